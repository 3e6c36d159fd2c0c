/* One table of the countries whose national numbers are understood; the rest must say their calling
 * code, by which their length is known. */
#include "phone.h"

#include "count.h"
#include "phone_codes.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DIGITS_MAX 20
#define E164_MIN 7
#define E164_MAX 15

typedef struct plan {
    const char *country, *code;
    unsigned digits;   /* of a national number, without code and trunk */
    const char *trunk; /* what is dialled before it at home; "": nothing */
    const char *first; /* digits it may begin with */
    bool told;         /* the trunk alone tells the country; else only a hint makes sense of it */
} plan_t;

/* The first row that fits counts: no Russian area begins with 0, so 80 is Belarus. */
static const plan_t plans[] = {
    {"BY", "375", 9, "80", "1234", true},      {"RU", "7", 10, "8", "3456789", true},
    {"KZ", "7", 10, "8", "67", true},          {"UA", "380", 9, "0", "3456789", true},
    {"UZ", "998", 9, "", "123456789", false},  {"KG", "996", 9, "0", "23456789", false},
    {"TJ", "992", 9, "", "0123456789", false}, {"TM", "993", 8, "8", "123456789", false},
    {"AM", "374", 8, "0", "123456789", false}, {"AZ", "994", 9, "0", "123456789", false},
    {"GE", "995", 9, "0", "123456789", false}, {"MD", "373", 8, "0", "23456789", false},
};

typedef struct number {
    char digits[DIGITS_MAX + 1];
    size_t count;
    bool plus;
} number_t;

static int refuse(plumb_err_t *err, const char *why)
{
    return plumb_err_set(err, PLUMB_E_INVALID, "%s", why);
}

/* Bytes of the separator that begins here; 0: it is none. */
static size_t separator(const char *at, size_t left)
{
    static const char *const wide[] = {"\xC2\xA0", "\xE2\x80\x91", "\xE2\x80\x93", "\xE2\x80\xAF"};
    if (strchr(" -().\t/", *at) != NULL)
        return *at != '\0';
    for (size_t i = 0; i < PLUMB_COUNT(wide); i++)
        if (left >= strlen(wide[i]) && memcmp(at, wide[i], strlen(wide[i])) == 0)
            return strlen(wide[i]);
    return 0;
}

static int read_digits(number_t *n, const char *text, size_t length, plumb_err_t *err)
{
    for (size_t i = 0; i < length;) {
        char c = text[i];
        size_t skip = 1;
        if (c >= '0' && c <= '9') {
            if (n->count == DIGITS_MAX)
                return refuse(err, "too many digits for a phone number");
            n->digits[n->count++] = c;
        } else if (c == '+' && n->count == 0 && !n->plus) {
            n->plus = true;
        } else {
            skip = separator(text + i, length - i);
        }
        if (skip == 0)
            return refuse(err, "not a phone number: holds more than digits, + and separators");
        i += skip;
    }
    return 0;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* `digits` is the national number of `plan`? */
static bool is_national(const plan_t *plan, const char *digits)
{
    return strlen(digits) == plan->digits && strchr(plan->first, digits[0]) != NULL;
}

/* The national number within `digits`, which begin with the calling code; NULL: another length. */
static const char *behind(const plan_t *plan, const char *prefix, const char *digits)
{
    if (!starts_with(digits, prefix))
        return NULL;
    digits += strlen(prefix);
    return is_national(plan, digits) ? digits : NULL;
}

/* Is `count` within ranges such as "7 9-10"? */
static bool is_length(const char *ranges, unsigned long count)
{
    while (*ranges != '\0') {
        char *end;
        unsigned long low = strtoul(ranges, &end, 10), high = low;
        if (*end == '-')
            high = strtoul(end + 1, &end, 10);
        if (count >= low && count <= high)
            return true;
        ranges = end + (*end == ' ');
    }
    return false;
}

static int check_code(const char *digits, plumb_err_t *err)
{
    for (size_t i = 0; i < PLUMB_COUNT(phone_codes); i++) {
        const char *code = phone_codes[i].code;
        if (!starts_with(digits, code))
            continue;
        if (!is_length(phone_codes[i].lengths, strlen(digits) - strlen(code)))
            return plumb_err_set(err, PLUMB_E_INVALID, "no phone number of +%s", code);
        return 0;
    }
    return refuse(err, "there is no such calling code");
}

/* Behind "+" or "00": a country of ours must have its plan, any other the lengths of its code. */
static int international(char out[PHONE_MAX], const char *digits, plumb_err_t *err)
{
    size_t count = strlen(digits);
    if (digits[0] == '0')
        return refuse(err, "no calling code begins with 0");
    if (count < E164_MIN || count > E164_MAX)
        return refuse(err, "not the length of an international phone number");
    const plan_t *misfit = NULL;
    bool fits = false; /* one of those that share the calling code */
    for (size_t i = 0; i < PLUMB_COUNT(plans); i++) {
        if (behind(&plans[i], plans[i].code, digits) != NULL)
            fits = true;
        else if (starts_with(digits, plans[i].code))
            misfit = &plans[i];
    }
    if (misfit != NULL && !fits)
        return plumb_err_set(err, PLUMB_E_INVALID, "no phone number of +%s", misfit->code);
    int rc = fits ? 0 : check_code(digits, err);
    if (rc == 0)
        snprintf(out, PHONE_MAX, "+%s", digits);
    return rc;
}

/* The national number that `digits` stand for in `plan`; NULL: none.  `hinted`: the sender said the
 * country. */
static const char *national(const plan_t *plan, const char *digits, bool hinted)
{
    const char *n = behind(plan, plan->code, digits);
    if (n == NULL && plan->trunk[0] != '\0' && (plan->told || hinted))
        n = behind(plan, plan->trunk, digits);
    if (n == NULL && hinted && is_national(plan, digits))
        n = digits;
    return n;
}

/* Try the countries that agree with the hint, or all. */
static bool find(char out[PHONE_MAX], const char *digits, const char *country, bool hinted)
{
    for (size_t i = 0; i < PLUMB_COUNT(plans); i++) {
        if (hinted && strcasecmp(country, plans[i].country) != 0)
            continue;
        const char *n = national(&plans[i], digits, hinted);
        if (n != NULL) {
            snprintf(out, PHONE_MAX, "+%s%s", plans[i].code, n);
            return true;
        }
    }
    return false;
}

int phone_normalise(char out[PHONE_MAX], const char *text, size_t length, const char *country,
                    plumb_err_t *err)
{
    number_t n = {.count = 0};
    int rc = read_digits(&n, text, length, err);
    if (rc < 0)
        return rc;
    if (n.plus)
        return international(out, n.digits, err);
    if (starts_with(n.digits, "00"))
        return international(out, n.digits + 2, err);
    if (find(out, n.digits, country, true) || find(out, n.digits, country, false))
        return 0;
    return refuse(err, "not a phone number that can be told without its calling code");
}
