/* Times and sizes with units. */
#include "conf_units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct unit {
    const char *name;
    int64_t factor;
} unit_t;

/* Largest first, as they are written. */
static const unit_t times[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                               {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const unit_t sizes[] = {
    {"G", INT64_C(1) << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}, {NULL, 0}};

/* Read the digits at the start of `text`; how many bytes they take, 0 when there are none or too
 * many. */
static size_t take_digits(int64_t *value, const char *text, size_t length)
{
    size_t i = 0;
    *value = 0;
    for (; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
        int digit = text[i] - '0';
        if (*value > (INT64_MAX - digit) / 10)
            return 0;
        *value = *value * 10 + digit;
    }
    return i;
}

static bool parse(int64_t *value, const char *text, size_t length, const unit_t *units)
{
    int64_t number;
    size_t digits = take_digits(&number, text, length);
    if (digits == 0)
        return false;
    const char *name = text + digits;
    size_t left = length - digits;
    if (left == 0 && number == 0) {
        *value = 0;
        return true;
    }
    const unit_t *u = units;
    while (u->name != NULL && (strlen(u->name) != left || memcmp(u->name, name, left) != 0))
        u++;
    if (u->name == NULL || number > INT64_MAX / u->factor)
        return false;
    *value = number * u->factor;
    return true;
}

static char *write_text(int64_t value, char *out, const unit_t *units)
{
    const unit_t *u = units;
    while (value % u->factor != 0)
        u++;
    snprintf(out, PLUMB_UNIT_TEXT, "%" PRId64 "%s", value / u->factor, value == 0 ? "" : u->name);
    return out;
}

bool plumb_ms_parse(int64_t *ms, const char *text, size_t length)
{
    return parse(ms, text, length, times);
}

bool plumb_size_parse(int64_t *bytes, const char *text, size_t length)
{
    return parse(bytes, text, length, sizes);
}

bool plumb_int_parse(int64_t *value, const char *text, size_t length)
{
    bool negative = length > 0 && text[0] == '-';
    size_t sign = negative ? 1 : 0;
    int64_t number;
    size_t digits = take_digits(&number, text + sign, length - sign);
    if (digits == 0 || sign + digits != length)
        return false;
    *value = negative ? -number : number;
    return true;
}

char *plumb_ms_text(int64_t ms, char *out)
{
    return write_text(ms, out, times);
}

char *plumb_size_text(int64_t bytes, char *out)
{
    return write_text(bytes, out, sizes);
}
