/* The addresses that mail servers take: a dot-atom, "@", a domain with a dot.  Quoted local parts
 * and address literals are legal on paper and typing errors in a form.  A domain of other letters
 * is kept as the DNS has it ("xn--…"), so that two spellings of one domain are one. */
#include "email.h"

#include <idn2.h>
#include <stdbool.h>
#include <string.h>

#define LOCAL_MAX 64
#define LABEL_MAX 63
#define DOMAIN_MAX 253

static int refuse(plumb_err_t *err, const char *why)
{
    return plumb_err_set(err, PLUMB_E_INVALID, "not an e-mail address: %s", why);
}

static bool is_letter_or_digit(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80;
}

static bool is_atom(unsigned char c)
{
    return is_letter_or_digit(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Parts of allowed characters, joined by single dots. */
static bool is_local(const char *at, size_t length)
{
    bool after_dot = true;
    for (size_t i = 0; i < length; i++) {
        if (at[i] == '.' ? after_dot : !is_atom((unsigned char)at[i]))
            return false;
        after_dot = at[i] == '.';
    }
    return !after_dot;
}

static bool is_label(const char *at, size_t length)
{
    if (length == 0 || length > LABEL_MAX || at[0] == '-' || at[length - 1] == '-')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_letter_or_digit((unsigned char)at[i]) && at[i] != '-')
            return false;
    return true;
}

/* At least two labels, the last of them no number. */
static bool is_domain(const char *at, size_t length)
{
    size_t labels = 0, begin = 0;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && at[i] != '.')
            continue;
        if (!is_label(at + begin, i - begin))
            return false;
        labels++;
        if (i < length)
            begin = i + 1;
    }
    return labels >= 2 && strspn(at + begin, "0123456789") < length - begin;
}

static void trim(const char **text, size_t *length)
{
    while (*length > 0 && strchr(" \t\r\n", (*text)[0]) != NULL) {
        (*text)++;
        (*length)--;
    }
    while (*length > 0 && strchr(" \t\r\n", (*text)[*length - 1]) != NULL)
        (*length)--;
}

static bool is_ascii(const char *text)
{
    while (*text != '\0' && (unsigned char)*text < 0x80)
        text++;
    return *text == '\0';
}

/* Write the domain as the DNS has it to `out` of `size` bytes. */
static int write_domain(char *out, size_t size, const char *domain, plumb_err_t *err)
{
    uint8_t *ascii = NULL;
    int idn =
        idn2_lookup_u8((const uint8_t *)domain, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (idn != IDN2_OK)
        return idn == IDN2_MALLOC ? plumb_err_set(err, PLUMB_E_MEMORY, "domain")
                                  : refuse(err, "the domain");
    size_t length = strlen((const char *)ascii);
    if (length < size)
        memcpy(out, ascii, length + 1);
    idn2_free(ascii);
    return length < size ? 0 : refuse(err, "longer than 254 bytes");
}

int email_normalise(char out[EMAIL_MAX], const char *text, size_t length, plumb_err_t *err)
{
    trim(&text, &length);
    if (length >= EMAIL_MAX)
        return refuse(err, "longer than 254 bytes");
    const char *at = memrchr(text, '@', length);
    if (at == NULL)
        return refuse(err, "no @");
    size_t local = (size_t)(at - text);
    if (local == 0 || local > LOCAL_MAX || !is_local(text, local))
        return refuse(err, "what stands before the @");
    char given[EMAIL_MAX], *domain = out + local + 1;
    memcpy(out, text, length);
    out[length] = '\0';
    memcpy(given, domain, length - local);
    int rc = is_ascii(given) ? 0 : write_domain(domain, EMAIL_MAX - local - 1, given, err);
    if (rc < 0)
        return rc;
    if (strlen(domain) > DOMAIN_MAX || !is_domain(domain, strlen(domain)))
        return refuse(err, "the domain");
    for (; *domain != '\0'; domain++)
        if (*domain >= 'A' && *domain <= 'Z')
            *domain = (char)(*domain | 0x20);
    return 0;
}
