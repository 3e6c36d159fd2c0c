/* Clocks. */
#include "clock.h"

#include <time.h>

static int64_t now_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t); /* cannot fail for the clocks below */
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t plumb_mono_ms(void)
{
    return now_us(CLOCK_MONOTONIC) / 1000;
}

int64_t plumb_mono_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

int64_t plumb_boot_ms(void)
{
    return now_us(CLOCK_BOOTTIME) / 1000;
}

int64_t plumb_wall_ms(void)
{
    return now_us(CLOCK_REALTIME) / 1000;
}

/* Write `value` with leading zeros, `width` digits, up to and not including `end`. */
static void put_digits(char *end, int width, int64_t value)
{
    for (; width > 0; width--, value /= 10)
        *--end = (char)('0' + value % 10);
}

/* What four digits of a year can say; other times become the nearest of these. */
#define YEAR_0_MS (-62167219200000)
#define YEAR_9999_MS 253402300799999

char *plumb_time_text(int64_t unix_ms, char *out)
{
    static const char form[PLUMB_TIME_TEXT] = "0000-00-00T00:00:00.000Z";
    unix_ms = unix_ms < YEAR_0_MS ? YEAR_0_MS : unix_ms;
    unix_ms = unix_ms > YEAR_9999_MS ? YEAR_9999_MS : unix_ms;
    int64_t ms = (unix_ms % 1000 + 1000) % 1000; /* counts upward before 1970 as well */
    time_t seconds = (time_t)((unix_ms - ms) / 1000);
    struct tm t;
    gmtime_r(&seconds, &t);
    for (int i = 0; i < PLUMB_TIME_TEXT; i++)
        out[i] = form[i];
    put_digits(out + 4, 4, t.tm_year + 1900);
    put_digits(out + 7, 2, t.tm_mon + 1);
    put_digits(out + 10, 2, t.tm_mday);
    put_digits(out + 13, 2, t.tm_hour);
    put_digits(out + 16, 2, t.tm_min);
    put_digits(out + 19, 2, t.tm_sec);
    put_digits(out + 23, 3, ms);
    return out;
}

/* ---- reading ---- */

typedef struct cursor {
    const char *at, *end;
} cursor_t;

static bool take_char(cursor_t *c, char want)
{
    bool there = c->at < c->end && *c->at == want;
    c->at += there;
    return there;
}

/* Exactly `width` digits of a number from `low` to `high`. */
static bool take_number(cursor_t *c, int width, int low, int high, int *value)
{
    *value = 0;
    for (; width > 0; width--, c->at++) {
        if (c->at == c->end || *c->at < '0' || *c->at > '9')
            return false;
        *value = *value * 10 + (*c->at - '0');
    }
    return *value >= low && *value <= high;
}

/* Seconds with a fraction of any length, which may be left out. */
static bool take_seconds(cursor_t *c, int *seconds, int *ms)
{
    *seconds = *ms = 0;
    if (!take_char(c, ':'))
        return true;
    if (!take_number(c, 2, 0, 59, seconds))
        return false;
    if (!take_char(c, '.'))
        return true;
    const char *first = c->at;
    for (int unit = 100; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, unit /= 10)
        *ms += (*c->at - '0') * unit;
    return c->at > first;
}

/* "Z", or how far the clock is ahead of UTC. */
static bool take_offset(cursor_t *c, int *minutes)
{
    int hours = 0, rest = 0, sign = 1;
    *minutes = 0;
    if (take_char(c, 'Z') || take_char(c, 'z'))
        return true;
    if (take_char(c, '-'))
        sign = -1;
    else if (!take_char(c, '+'))
        return false;
    bool good =
        take_number(c, 2, 0, 23, &hours) && take_char(c, ':') && take_number(c, 2, 0, 59, &rest);
    *minutes = sign * (hours * 60 + rest);
    return good;
}

bool plumb_time_parse(int64_t *unix_ms, const char *text, size_t length)
{
    cursor_t c = {text, text + length};
    int year, month, day, hour, minute, second, ms, offset;
    if (!take_number(&c, 4, 1970, 9999, &year) || !take_char(&c, '-') ||
        !take_number(&c, 2, 1, 12, &month) || !take_char(&c, '-') ||
        !take_number(&c, 2, 1, 31, &day) || (!take_char(&c, 'T') && !take_char(&c, 't')) ||
        !take_number(&c, 2, 0, 23, &hour) || !take_char(&c, ':') ||
        !take_number(&c, 2, 0, 59, &minute) || !take_seconds(&c, &second, &ms) ||
        !take_offset(&c, &offset) || c.at != c.end)
        return false;
    struct tm t = {.tm_year = year - 1900,
                   .tm_mon = month - 1,
                   .tm_mday = day,
                   .tm_hour = hour,
                   .tm_min = minute,
                   .tm_sec = second};
    time_t moment = timegm(&t);
    if (t.tm_mday != day) /* the 31st of a shorter month */
        return false;
    *unix_ms = ((int64_t)moment - (int64_t)offset * 60) * 1000 + ms;
    return true;
}
