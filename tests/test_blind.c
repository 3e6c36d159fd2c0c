/* Blind indexes: which spellings have one term, and what a search text asks for. */
#include "blind.h"
#include "count.h"
#include "fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#define NONE                                                                                       \
    (plumb_slice_t)                                                                                \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

static const plumb_key_t key = {PLUMB_INDEX_KEY_ID, "0123456789abcdef0123456789abcde"};

static plumb_slice_t slice(const char *text)
{
    return (plumb_slice_t){text, text == NULL ? 0 : strlen(text)};
}

static plumb_blind_t lead(const char *name, const char *phone, const char *email)
{
    plumb_blind_t blind;
    plumb_slice_t n = slice(name), p = slice(phone), e = slice(email);
    memset(&blind, 0xEE, sizeof blind);
    plumb_blind_lead(&blind, &key, &n, &p, &e);
    return blind;
}

static bool has(const plumb_blind_t *lead, int64_t term)
{
    for (size_t i = 0; i < lead->count; i++)
        if (lead->terms[i] == term)
            return true;
    return false;
}

static bool has_group(const plumb_blind_t *lead, const plumb_blind_t *group)
{
    bool all = true;
    if (group->has_phone)
        all = lead->has_phone && lead->phone == group->phone;
    if (group->has_email)
        all = all && lead->has_email && lead->email == group->email;
    for (size_t i = 0; i < group->count; i++)
        all = all && has(lead, group->terms[i]);
    assert_true(group->has_phone || group->has_email || group->count > 0);
    return all;
}

static bool finds(const char *text, const plumb_blind_t *lead)
{
    plumb_blind_search_t search;
    bool any = false;
    memset(&search, 0xEE, sizeof search);
    plumb_blind_search(&search, &key, text, strlen(text));
    assert_true(search.count <= PLUMB_BLIND_GROUPS);
    for (size_t i = 0; i < search.count; i++)
        any = any || has_group(lead, &search.groups[i]);
    return any;
}

/* ---- words ---- */

static const struct {
    const char *text, *words; /* each with a comma behind it */
} folds[] = {
    {"Vera", "vera,"},
    {"  Vera  PETROVA-Smith ", "vera,petrova,smith,"},
    {"Ёлкин ёлкин Елкин", "елкин,елкин,елкин,"},
    {"Андре\u0439 Андреи\u0306", "андреи,андреи,"},
    {"José JOSE\u0301", "jose,jose,"},
    {"Ångström A\u030Angström", "angstrom,angstrom,"},
    {"O'Brien O\u2019Brien", "obrien,obrien,"},
    {"Дар\u02BCя дар'Я", "даря,даря,"},
    {"Γιώργος ΓΙΏΡΓΟΣ", "γιωργοσ,γιωργοσ,"},
    {"İstanbul Istanbul ıstanbul", "istanbul,istanbul,istanbul,"},
    {"Straße STRA\u1E9EE", "straße,straße,"},
    {"Иван2 3-й", "иван2,3,и,"},
    {"山田 太郎", "山田,太郎,"},
    {"a\u2014b\u00A0c\u3000d", "a,b,c,d,"},
    {"a\u200Db \xF0\x9F\x98\x80 c", "ab,c,"},
    {"bad\xFF\xC3(x", "bad,x,"},
    {"", ""},
    {" .,!? ", ""},
};

static void words_are_folded(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(folds); i++) {
        char got[256] = "", word[PLUMB_FOLD_MAX];
        const char *at = folds[i].text, *end = at + strlen(at);
        size_t length;
        while (plumb_fold_word(&at, end, word, &length))
            snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s,", (int)length, word);
        if (strcmp(got, folds[i].words) != 0)
            fail_msg("'%s': got '%s', want '%s'", folds[i].text, got, folds[i].words);
    }
}

static void long_words_are_cut(void **state)
{
    (void)state;
    char text[2 * PLUMB_FOLD_MAX], word[PLUMB_FOLD_MAX];
    const char *at = text;
    size_t length = 0;
    memset(text, 'x', sizeof text);
    assert_true(plumb_fold_word(&at, text + sizeof text, word, &length));
    assert_true(length < PLUMB_FOLD_MAX && length > PLUMB_FOLD_MAX - 8);
    assert_false(plumb_fold_word(&at, text + sizeof text, word, &length));
}

/* ---- terms ---- */

/* They are in the tables of everybody: the same for ever.  Computed by Python's hashlib. */
static void terms_are_fixed(void **state)
{
    (void)state;
    plumb_blind_t blind = lead("Vera", "+79001234567", "Vera@Mail.Example");
    plumb_slice_t name = slice("inn"), value = slice("7701");
    int64_t field = 0;
    assert_true(plumb_blind_field(&field, &key, &name, &value));
    assert_int_equal(blind.count, 3);
    const int64_t got[] = {blind.phone,    blind.email,    blind.terms[0],
                           blind.terms[1], blind.terms[2], field};
    static const int64_t want[] = {2888754066105878346,  723653518185427429, 9019455704116195261,
                                   -2701230942018203099, 240134379777908155, -5516683469158453206};
    for (size_t i = 0; i < PLUMB_COUNT(want); i++)
        if (got[i] != want[i])
            fail_msg("term %zu is %lld", i, (long long)got[i]);
}

static void terms_differ_by_key_and_kind(void **state)
{
    (void)state;
    plumb_key_t other = key;
    other.bytes[0] ^= 1;
    int64_t a = 0, b = 0, c = 0;
    assert_true(plumb_blind_phone(&a, &key, "4567", 4));
    assert_true(plumb_blind_phone(&b, &other, "4567", 4));
    assert_true(plumb_blind_last_digits(&c, &key, "4567", 4));
    assert_true(a != b && a != c && b != c);
}

static void empty_values_have_no_term(void **state)
{
    (void)state;
    static const char *const emails[] = {"", " ", "@", "a@", "@b", "nobody"};
    plumb_slice_t name = slice("x"), blank = slice(" \t"), none = NONE;
    int64_t term;
    plumb_blind_t blind = lead(NULL, NULL, NULL);
    assert_false(blind.has_phone || blind.has_email);
    assert_int_equal(blind.count, 0);
    blind = lead("-", "+", " ");
    assert_false(blind.has_phone || blind.has_email);
    assert_int_equal(blind.count, 0);
    for (size_t i = 0; i < PLUMB_COUNT(emails); i++)
        assert_false(plumb_blind_email(&term, &key, emails[i], strlen(emails[i])));
    assert_false(plumb_blind_phone(&term, &key, "123456789012345678901234567890123", 33));
    assert_false(plumb_blind_last_digits(&term, &key, "123", 3));
    assert_false(plumb_blind_domain(&term, &key, " ", 1));
    assert_false(plumb_blind_field(&term, &key, &name, &blank));
    assert_false(plumb_blind_field(&term, &key, &name, &none));
}

static void fields_do_not_run_together(void **state)
{
    (void)state;
    plumb_slice_t a = slice("a"), ab = slice("ab"), bc = slice("bc"), c = slice("c");
    int64_t one = 0, two = 0;
    assert_true(plumb_blind_field(&one, &key, &a, &bc));
    assert_true(plumb_blind_field(&two, &key, &ab, &c));
    assert_true(one != two);
}

static void long_names_are_bounded(void **state)
{
    (void)state;
    char name[256] = "";
    for (int i = 0; i < 50; i++)
        snprintf(name + strlen(name), sizeof name - strlen(name), "n%d ", i);
    plumb_blind_t blind = lead(name, NULL, NULL);
    assert_int_equal(blind.count, PLUMB_BLIND_WORDS);
    for (int64_t i = 0; i < 100; i++)
        plumb_blind_add(&blind, i);
    assert_int_equal(blind.count, PLUMB_BLIND_TERMS);
    blind = lead("Anna ANNA anna", NULL, NULL);
    assert_int_equal(blind.count, 1);
}

/* ---- searching ---- */

static const struct {
    const char *text, *name, *phone, *email;
    bool found;
} searches[] = {
    {"Vera", "Vera Petrova", NULL, NULL, true},
    {"petrova VERA", "Vera Petrova", NULL, NULL, true},
    {"Vera Ivanova", "Vera Petrova", NULL, NULL, false},
    {"Ver", "Vera", NULL, NULL, false},
    {"4567", "Vera", "+79001234567", NULL, true},
    {"4567", "Agent 4567", NULL, NULL, true},
    {"4567", "Vera", "+79004567123", NULL, false},
    {"Vera 4567", "Vera", "+79001234567", NULL, true},
    {"Vera 4568", "Vera", "+79001234567", NULL, false},
    {"+7 900 123-45-67", NULL, "+79001234567", NULL, true},
    {"79001234567", NULL, "+79001234567", NULL, true},
    {"8 (900) 123-45-67", NULL, "+79001234567", NULL, true},
    {"007 900 1234567", NULL, "+79001234567", NULL, true},
    {"+7 900 123-45-68", NULL, "+79001234567", NULL, false},
    {"Vera +79001234567", "Vera", "+79001234567", NULL, true},
    {"vera@mail.example", NULL, NULL, "Vera@mail.example", true},
    {"VERA@MAIL.example", NULL, NULL, "vera@mail.example", true},
    {"vera@mail.example", NULL, NULL, "wera@mail.example", false},
    {"a@b.example c@b.example", NULL, NULL, "c@b.example", false},
    {"@mail.example", NULL, NULL, "vera@mail.example", true},
    {"mail.example", NULL, NULL, "vera@Mail.example", true},
    {"mail.example", "Mail Example", NULL, NULL, true},
    {"other.example", NULL, NULL, "vera@mail.example", false},
    {"Vera , mail.example !", "Vera", NULL, "vera@mail.example", true},
    {"vera@", "Vera", NULL, NULL, true},
    {"1111 2222 3333 4444 5555", "1111 2222 3333 4444 5555", NULL, NULL, false},
    {"1111 Vera 2222", "1111 Vera 2222", NULL, NULL, true},
};

static void texts_ask_for_terms(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(searches); i++) {
        plumb_blind_t blind = lead(searches[i].name, searches[i].phone, searches[i].email);
        if (finds(searches[i].text, &blind) != searches[i].found)
            fail_msg("'%s' is wrong about row %zu", searches[i].text, i);
    }
}

static void signs_ask_for_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "   ", "!", "+ -", "@", "@ ."};
    for (size_t i = 0; i < PLUMB_COUNT(texts); i++) {
        plumb_blind_search_t search;
        plumb_blind_search(&search, &key, texts[i], strlen(texts[i]));
        if (search.count != 0)
            fail_msg("'%s' asks for something", texts[i]);
    }
}

static void long_texts_are_bounded(void **state)
{
    (void)state;
    char text[8192] = "";
    plumb_blind_search_t search;
    for (int i = 0; i < 500; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%04d.ru ", i);
    plumb_blind_search(&search, &key, text, strlen(text));
    assert_int_equal(search.count, PLUMB_BLIND_GROUPS);
    memset(text, '7', sizeof text);
    plumb_blind_search(&search, &key, text, sizeof text);
    assert_int_equal(search.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_folded),          cmocka_unit_test(long_words_are_cut),
        cmocka_unit_test(terms_are_fixed),           cmocka_unit_test(terms_differ_by_key_and_kind),
        cmocka_unit_test(empty_values_have_no_term), cmocka_unit_test(fields_do_not_run_together),
        cmocka_unit_test(long_names_are_bounded),    cmocka_unit_test(texts_ask_for_terms),
        cmocka_unit_test(signs_ask_for_nothing),     cmocka_unit_test(long_texts_are_bounded)};
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
