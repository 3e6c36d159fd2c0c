/* Terms of values, of leads, of what is searched for. */
#include "blind.h"

#include "fold.h"

#include <sodium.h>
#include <string.h>

#define DIGITS_MAX 32
#define LAST_DIGITS 4
#define PHONE_DIGITS 7 /* a number of so many may be a phone */
#define EMAIL_MAX 320

/* The byte in front of the value; they are in the tables, so none ever changes. */
typedef enum kind {
    KIND_PHONE = 1,
    KIND_EMAIL = 2,
    KIND_DOMAIN = 3,
    KIND_LAST_DIGITS = 4,
    KIND_WORD = 5,
    KIND_FIELD = 6
} kind_t;

static int64_t hash(const plumb_key_t *key, kind_t kind, const char *value, size_t length)
{
    uint8_t input[1 + EMAIL_MAX], out[crypto_generichash_BYTES_MIN]; /* no value is longer */
    uint64_t term = 0;
    input[0] = (uint8_t)kind;
    memcpy(input + 1, value, length);
    crypto_generichash(out, sizeof out, input, 1 + length, key->bytes, sizeof key->bytes);
    for (size_t i = 0; i < sizeof term; i++)
        term = term << 8 | out[i];
    return (int64_t)term;
}

/* ---- values ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static plumb_slice_t trimmed(const char *text, size_t length)
{
    while (length > 0 && is_blank(text[0])) {
        text++;
        length--;
    }
    while (length > 0 && is_blank(text[length - 1]))
        length--;
    return (plumb_slice_t){text, length};
}

/* The digits of `text`; 0: none, or more than any phone has. */
static size_t digits_of(char digits[DIGITS_MAX], const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            continue;
        if (count == DIGITS_MAX)
            return 0;
        digits[count++] = text[i];
    }
    return count;
}

static void lower(char out[EMAIL_MAX], const plumb_slice_t *text)
{
    for (size_t i = 0; i < text->length; i++) {
        char c = text->data[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
}

bool plumb_blind_phone(int64_t *term, const plumb_key_t *key, const char *phone, size_t length)
{
    char digits[DIGITS_MAX];
    size_t count = digits_of(digits, phone, length);
    if (count > 0)
        *term = hash(key, KIND_PHONE, digits, count);
    return count > 0;
}

bool plumb_blind_last_digits(int64_t *term, const plumb_key_t *key, const char *phone,
                             size_t length)
{
    char digits[DIGITS_MAX];
    size_t count = digits_of(digits, phone, length);
    if (count < LAST_DIGITS)
        return false;
    *term = hash(key, KIND_LAST_DIGITS, digits + count - LAST_DIGITS, LAST_DIGITS);
    return true;
}

/* The domain of a trimmed address; data NULL: it is none. */
static plumb_slice_t domain_of(const plumb_slice_t *email)
{
    const char *at = email->length == 0 ? NULL : memrchr(email->data, '@', email->length);
    if (at == NULL || at == email->data || at + 1 == email->data + email->length ||
        email->length > EMAIL_MAX)
        return (plumb_slice_t){NULL, 0};
    return (plumb_slice_t){at + 1, (size_t)(email->data + email->length - at) - 1};
}

bool plumb_blind_email(int64_t *term, const plumb_key_t *key, const char *email, size_t length)
{
    char value[EMAIL_MAX];
    plumb_slice_t text = trimmed(email, length);
    if (domain_of(&text).data == NULL)
        return false;
    lower(value, &text);
    *term = hash(key, KIND_EMAIL, value, text.length);
    return true;
}

bool plumb_blind_domain(int64_t *term, const plumb_key_t *key, const char *domain, size_t length)
{
    char value[EMAIL_MAX];
    plumb_slice_t text = trimmed(domain, length);
    if (text.length == 0 || text.length > EMAIL_MAX)
        return false;
    lower(value, &text);
    *term = hash(key, KIND_DOMAIN, value, text.length);
    return true;
}

/* By hashes of both, of which neither can run into the other. */
bool plumb_blind_field(int64_t *term, const plumb_key_t *key, const plumb_slice_t *name,
                       const plumb_slice_t *value)
{
    uint8_t input[2 * crypto_generichash_BYTES];
    plumb_slice_t text = trimmed(value->data, value->length);
    if (text.length == 0)
        return false;
    crypto_generichash(input, crypto_generichash_BYTES, (const uint8_t *)name->data, name->length,
                       NULL, 0);
    crypto_generichash(input + crypto_generichash_BYTES, crypto_generichash_BYTES,
                       (const uint8_t *)text.data, text.length, NULL, 0);
    *term = hash(key, KIND_FIELD, (const char *)input, sizeof input);
    return true;
}

/* ---- leads ---- */

void plumb_blind_add(plumb_blind_t *blind, int64_t term)
{
    for (size_t i = 0; i < blind->count; i++)
        if (blind->terms[i] == term)
            return;
    if (blind->count < PLUMB_BLIND_TERMS)
        blind->terms[blind->count++] = term;
}

static void add_words(plumb_blind_t *blind, const plumb_key_t *key, const char *text, size_t length)
{
    char word[PLUMB_FOLD_MAX];
    const char *end = text + length;
    for (int i = 0; i < PLUMB_BLIND_WORDS && plumb_fold_word(&text, end, word, &length); i++)
        plumb_blind_add(blind, hash(key, KIND_WORD, word, length));
}

void plumb_blind_lead(plumb_blind_t *blind, const plumb_key_t *key, const plumb_slice_t *name,
                      const plumb_slice_t *phone, const plumb_slice_t *email)
{
    int64_t term;
    plumb_slice_t address = trimmed(email->data, email->length), domain = domain_of(&address);
    blind->count = 0;
    blind->has_phone = plumb_blind_phone(&blind->phone, key, phone->data, phone->length);
    blind->has_email = plumb_blind_email(&blind->email, key, email->data, email->length);
    if (plumb_blind_last_digits(&term, key, phone->data, phone->length))
        plumb_blind_add(blind, term);
    if (domain.data != NULL && plumb_blind_domain(&term, key, domain.data, domain.length))
        plumb_blind_add(blind, term);
    if (name->length > 0)
        add_words(blind, key, name->data, name->length);
}

/* ---- searching ---- */

/* Ways to read a part of the text: any of these groups. */
typedef plumb_blind_search_t ways_t;

static plumb_blind_t *new_way(ways_t *ways)
{
    plumb_blind_t *group = &ways->groups[ways->count];
    if (ways->count == PLUMB_BLIND_GROUPS)
        return NULL;
    memset(group, 0, sizeof *group);
    ways->count++;
    return group;
}

static void phone_way(ways_t *ways, const plumb_key_t *key, const char *digits, size_t count)
{
    plumb_blind_t *group = new_way(ways);
    if (group != NULL)
        group->has_phone = plumb_blind_phone(&group->phone, key, digits, count);
}

/* Numbers come with country code, with "00" in front of it, or with the "8" of national calls. */
static void phone_ways(ways_t *ways, const plumb_key_t *key, char *digits, size_t count)
{
    phone_way(ways, key, digits, count);
    if (count > PHONE_DIGITS + 2 && digits[0] == '0' && digits[1] == '0')
        phone_way(ways, key, digits + 2, count - 2);
    if (count == 11 && digits[0] == '8') {
        digits[0] = '7';
        phone_way(ways, key, digits, count);
        digits[0] = '8';
    }
}

static bool is_made_of(const plumb_slice_t *text, const char *signs)
{
    for (size_t i = 0; i < text->length; i++)
        if (text->data[i] == '\0' || strchr(signs, text->data[i]) == NULL)
            return false;
    return text->length > 0;
}

static void number_ways(ways_t *ways, const plumb_key_t *key, const plumb_slice_t *text)
{
    char digits[DIGITS_MAX];
    plumb_blind_t *group;
    size_t count = digits_of(digits, text->data, text->length);
    if (!is_made_of(text, "0123456789+-() .\t"))
        return;
    if (count >= PHONE_DIGITS)
        phone_ways(ways, key, digits, count);
    if (count == LAST_DIGITS && (group = new_way(ways)) != NULL) {
        group->count = 1;
        plumb_blind_last_digits(group->terms, key, digits, count);
    }
}

static void domain_way(ways_t *ways, const plumb_key_t *key, const char *domain, size_t length)
{
    plumb_blind_t *group = new_way(ways);
    if (group != NULL && plumb_blind_domain(group->terms, key, domain, length))
        group->count = 1;
    else if (group != NULL)
        ways->count--;
}

static void email_way(ways_t *ways, const plumb_key_t *key, const plumb_slice_t *email)
{
    plumb_blind_t *group = new_way(ways);
    if (group == NULL)
        return;
    group->has_email = plumb_blind_email(&group->email, key, email->data, email->length);
    if (!group->has_email)
        ways->count--;
}

/* What one word between blanks may be: what has an "@" is an address, all else may be a name too.
 */
static void word_ways(ways_t *ways, const plumb_key_t *key, const plumb_slice_t *word)
{
    ways->count = 0;
    if (memchr(word->data, '@', word->length) != NULL) {
        if (word->data[0] == '@')
            domain_way(ways, key, word->data + 1, word->length - 1);
        else
            email_way(ways, key, word);
    }
    if (ways->count > 0)
        return;
    number_ways(ways, key, word);
    if (word->length > 2 && memchr(word->data + 1, '.', word->length - 2) != NULL)
        domain_way(ways, key, word->data, word->length);
    plumb_blind_t *group = new_way(ways);
    if (group != NULL)
        add_words(group, key, word->data, word->length);
    if (group != NULL && group->count == 0) /* signs alone */
        ways->count--;
}

/* Ask for all of `b` too.  False: no lead has both, since it has one phone and one address. */
static bool join(plumb_blind_t *a, const plumb_blind_t *b)
{
    if ((a->has_phone && b->has_phone && a->phone != b->phone) ||
        (a->has_email && b->has_email && a->email != b->email))
        return false;
    if (b->has_phone)
        a->phone = b->phone;
    if (b->has_email)
        a->email = b->email;
    a->has_phone = a->has_phone || b->has_phone;
    a->has_email = a->has_email || b->has_email;
    for (size_t i = 0; i < b->count; i++)
        plumb_blind_add(a, b->terms[i]);
    return true;
}

/* Each way of the text so far with each of a further word, as many as there is room for. */
static void combine(plumb_blind_search_t *search, const ways_t *ways)
{
    plumb_blind_search_t old = *search;
    search->count = 0;
    for (size_t i = 0; i < old.count; i++)
        for (size_t j = 0; j < ways->count && search->count < PLUMB_BLIND_GROUPS; j++) {
            search->groups[search->count] = old.groups[i];
            search->count += join(&search->groups[search->count], &ways->groups[j]);
        }
}

/* The next run without blanks; false: there is none. */
static bool next_word(plumb_slice_t *rest, plumb_slice_t *word)
{
    plumb_slice_t text = trimmed(rest->data, rest->length);
    size_t length = 0;
    while (length < text.length && !is_blank(text.data[length]))
        length++;
    *word = (plumb_slice_t){text.data, length};
    *rest = (plumb_slice_t){text.data + length, text.length - length};
    return length > 0;
}

void plumb_blind_search(plumb_blind_search_t *search, const plumb_key_t *key, const char *text,
                        size_t length)
{
    plumb_slice_t rest = trimmed(text, length), word;
    ways_t ways;
    bool first = true;
    search->count = 0;
    number_ways(search, key, &rest);
    if (search->count > 0 && memchr(rest.data, ' ', rest.length) != NULL)
        return; /* a phone with blanks in it */
    search->count = 0;
    for (int words = 0; words < PLUMB_BLIND_WORDS && next_word(&rest, &word); words++) {
        word_ways(&ways, key, &word);
        if (ways.count == 0)
            continue; /* signs alone say nothing */
        if (first)
            *search = ways;
        else
            combine(search, &ways);
        first = false;
    }
}
