/* Strings and numbers of JSON. */
#include "json_scan.h"

#include "json_plain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool plumb_scan_refuse(plumb_scan_t *scan, const char *wrong)
{
    scan->wrong = wrong;
    return false;
}

/* ---- strings ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of "\uXXXX" at `at`, or -1. */
static int32_t hex_escape(const char *at, const char *end)
{
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    int32_t value = 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static size_t encode(int32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const int32_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = length - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(lead[length] | c);
    return length;
}

static size_t unicode_escape(const char *at, const char *end, char *out, size_t *length)
{
    int32_t c = hex_escape(at, end);
    size_t taken = 6;
    if (c >= 0xD800 && c <= 0xDBFF) {
        int32_t low = hex_escape(at + 6, end);
        if (low < 0xDC00 || low > 0xDFFF)
            return 0;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        taken = 12;
    } else if (c <= 0 || (c >= 0xDC00 && c <= 0xDFFF)) {
        return 0;
    }
    *length = encode(c, out);
    return taken;
}

size_t plumb_scan_escape(const char *at, const char *end, char *out, size_t *length)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (end - at < 2)
        return 0;
    if (at[1] == 'u')
        return unicode_escape(at, end, out, length);
    const char *name = memchr(names, at[1], sizeof names - 1);
    if (name == NULL)
        return 0;
    out[0] = meant[name - names];
    *length = 1;
    return 2;
}

/* Pass one character that does not stand for itself; its decoded length. */
static size_t scan_special(plumb_scan_t *scan)
{
    char decoded[4];
    size_t length = 0;
    if ((unsigned char)*scan->at < 0x20) {
        plumb_scan_refuse(scan, "control character in a string");
        return 0;
    }
    if (scan->at == scan->utf8_end) {
        plumb_scan_refuse(scan, "not UTF-8");
        return 0;
    }
    size_t taken = plumb_scan_escape(scan->at, scan->end, decoded, &length);
    if (taken == 0)
        plumb_scan_refuse(scan, "escape is unknown, of NUL or of half a surrogate pair");
    scan->at += taken;
    return taken > 0 ? length : 0;
}

bool plumb_scan_string(plumb_scan_t *scan, size_t max, bool *escaped)
{
    const char *open = scan->at++;
    size_t decoded = 0;
    *escaped = false;
    for (;;) {
        size_t plain = plumb_json_plain(scan->at, (size_t)(scan->utf8_end - scan->at));
        scan->at += plain;
        decoded += plain;
        if (scan->at == scan->end || *scan->at == '"')
            break;
        *escaped |= *scan->at == '\\';
        size_t length = scan_special(scan);
        if (length == 0)
            return false;
        decoded += length;
    }
    if (scan->at == scan->end)
        return plumb_scan_refuse(scan, "string without end");
    scan->at++;
    if (decoded > max) {
        scan->at = open;
        return plumb_scan_refuse(scan, "string longer than allowed");
    }
    return true;
}

/* ---- numbers ---- */

/* A longer one says nothing more in a double, and PostgreSQL's numeric has limits of its own. */
#define NUMBER_MAX 400
#define EXPONENT_MIN (-400)

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* Pass digits, at least one. */
static bool scan_digits(plumb_scan_t *scan)
{
    const char *from = scan->at;
    scan->at = skip_digits(from, scan->end);
    return scan->at > from || plumb_scan_refuse(scan, "want a digit");
}

static bool is_next(const plumb_scan_t *scan, char c)
{
    return scan->at < scan->end && *scan->at == c;
}

/* Pass "-12": no zero in front of other digits. */
static bool scan_whole(plumb_scan_t *scan)
{
    scan->at += is_next(scan, '-');
    if (!is_next(scan, '0'))
        return scan_digits(scan);
    scan->at++;
    return skip_digits(scan->at, scan->end) == scan->at ||
           plumb_scan_refuse(scan, "number with a leading zero");
}

/* Pass ".5e-3", each half of which may be absent; `exponent` points behind the 'e' or is NULL. */
static bool scan_real_part(plumb_scan_t *scan, const char **exponent)
{
    *exponent = NULL;
    if (is_next(scan, '.')) {
        scan->at++;
        if (!scan_digits(scan))
            return false;
    }
    if (!is_next(scan, 'e') && !is_next(scan, 'E'))
        return true;
    *exponent = ++scan->at;
    scan->at += is_next(scan, '+') || is_next(scan, '-');
    return scan_digits(scan);
}

static bool to_integer(const char *at, const char *end, int64_t *integer)
{
    bool negative = *at == '-';
    at += negative;
    if (end - at > 19) /* 19 digits fit 64 bits without a sign */
        return false;
    uint64_t value = 0;
    for (; at < end; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    if (value > (uint64_t)INT64_MAX + negative)
        return false;
    *integer = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* Can it be kept?  Only an exponent takes a short number out of a double's range. */
static bool is_in_range(const char *at, const char *end, const char *exponent)
{
    char copy[NUMBER_MAX + 1];
    size_t length = (size_t)(end - at);
    if (length > NUMBER_MAX)
        return false;
    if (exponent == NULL && length < 300)
        return true;
    memcpy(copy, at, length);
    copy[length] = '\0';
    return isfinite(strtod(copy, NULL)) &&
           (exponent == NULL || strtol(copy + (exponent - at), NULL, 10) >= EXPONENT_MIN);
}

bool plumb_scan_number(plumb_scan_t *scan, plumb_json_type_t *type, int64_t *integer)
{
    const char *from = scan->at, *exponent;
    if (!scan_whole(scan))
        return false;
    const char *whole_end = scan->at;
    if (!scan_real_part(scan, &exponent))
        return false;
    *type = scan->at == whole_end ? PLUMB_JSON_INTEGER : PLUMB_JSON_REAL;
    bool fits = *type == PLUMB_JSON_INTEGER ? to_integer(from, scan->at, integer)
                                            : is_in_range(from, scan->at, exponent);
    if (!fits && scan->any_number) {
        *type = PLUMB_JSON_REAL;
    } else if (!fits) {
        scan->at = from;
        return plumb_scan_refuse(scan, "number out of range");
    }
    return true;
}
