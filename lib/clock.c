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
