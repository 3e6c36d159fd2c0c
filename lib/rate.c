/* Reading rates. */
#include "rate.h"

#include "conf_units.h"

#include <stdbool.h>
#include <string.h>

#define SECOND_US INT64_C(1000000)

/* The period that `unit` (one letter) stands for; 0: none. */
static int64_t period_of(const char *unit, size_t length)
{
    static const char letters[] = "smhd";
    static const int64_t periods[] = {SECOND_US, 60 * SECOND_US, 3600 * SECOND_US,
                                      86400 * SECOND_US};
    const char *found = length == 1 ? memchr(letters, unit[0], sizeof letters - 1) : NULL;
    return found == NULL ? 0 : periods[found - letters];
}

static bool take_count(int64_t *count, const char *text, size_t length, int64_t min)
{
    return plumb_int_parse(count, text, length) && *count >= min && *count <= PLUMB_RATE_MAX;
}

/* " burst N", or nothing. */
static bool take_burst(int64_t *burst, const char *text)
{
    static const char word[] = "burst";
    text += strspn(text, " ");
    if (text[0] == '\0')
        return true;
    if (strncmp(text, word, sizeof word - 1) != 0 || text[sizeof word - 1] != ' ')
        return false;
    text += sizeof word;
    text += strspn(text, " ");
    return take_count(burst, text, strlen(text), 1);
}

static bool read_rate(plumb_rate_t *rate, const char *text)
{
    size_t whole = strcspn(text, " "), digits = strcspn(text, " /");
    rate->period_us = SECOND_US;
    if (!take_count(&rate->count, text, digits, 0))
        return false;
    if (text[digits] == '/') {
        rate->period_us = period_of(text + digits + 1, whole - digits - 1);
        if (rate->period_us == 0)
            return false;
    }
    rate->burst = rate->count;
    return take_burst(&rate->burst, text + whole);
}

int plumb_rate_parse(plumb_rate_t *rate, const char *text, plumb_err_t *err)
{
    plumb_rate_t got;
    if (!read_rate(&got, text))
        return plumb_err_set(err, PLUMB_E_CONFIG,
                             "'%s', want 0 or a rate of at most %d such as 50/s, 100/m or "
                             "1000/h burst 50",
                             text, PLUMB_RATE_MAX);
    *rate = got;
    return 0;
}
