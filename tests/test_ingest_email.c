/* E-mail addresses as forms send them. */
#include "count.h"
#include "email.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *in, *want; /* want "": refused */
} cases[] = {
    {"anna@mail.example", "anna@mail.example"},
    {" Anna.K+a@Mail.EXAMPLE\t\n", "Anna.K+a@mail.example"},
    {"a@b.co", "a@b.co"},
    {"o'neil_{x}@a-b.example", "o'neil_{x}@a-b.example"},
    {"\xD0\xB0@\xD0\x9F\xD0\xBE\xD1\x87\xD1\x82\xD0\xB0.\xD1\x80\xD1\x84",
     "\xD0\xB0@xn--80a1acny.xn--p1ai"},
    {"a@m\xC3\xBCnchen.example", "a@xn--mnchen-3ya.example"},
    {"a@MU\xCC\x88NCHEN.example", "a@xn--mnchen-3ya.example"}, /* u and the two dots apart */
    {"a@\xE2\x80\x8B.example", ""},
    {"a@\xFF.example", ""},
    {"a@xn--80a1acny.XN--P1AI", "a@xn--80a1acny.xn--p1ai"},
    {"", ""},
    {"   ", ""},
    {"nonsense", ""},
    {"@a.example", ""},
    {"a@", ""},
    {"a@b", ""},
    {"a@b@c.example", ""},
    {"a b@c.example", ""},
    {".a@c.example", ""},
    {"a.@c.example", ""},
    {"a..b@c.example", ""},
    {"a@.example", ""},
    {"a@c..example", ""},
    {"a@c.example.", ""},
    {"a@-c.example", ""},
    {"a@c-.example", ""},
    {"a@127.0.0.1", ""},
    {"a@[127.0.0.1]", ""},
    {"a@c_d.example", ""},
    {"\"a b\"@c.example", ""},
    {"a\r\nBcc: x@y.example@c.example", ""},
    {"a<b>@c.example", ""},
};

static void normalises(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        char got[EMAIL_MAX] = "";
        plumb_err_t err = {0};
        int rc = email_normalise(got, cases[i].in, strlen(cases[i].in), &err);
        int want = *cases[i].want == '\0' ? -PLUMB_E_INVALID : 0;
        if (rc != want || strcmp(rc == 0 ? got : "", cases[i].want) != 0)
            fail_msg("'%s': got %d '%s' (%s)", cases[i].in, rc, got, err.text);
    }
}

static void bounds(void **state)
{
    (void)state;
    char address[400], got[EMAIL_MAX];
    for (int local = 60; local <= 70; local++) {
        int n = snprintf(address, sizeof address, "%0*d@a.example", local, 1);
        int rc = email_normalise(got, address, (size_t)n, NULL);
        assert_int_equal(rc, local <= 64 ? 0 : -PLUMB_E_INVALID);
    }
    for (int label = 60; label <= 70; label++) {
        int n = snprintf(address, sizeof address, "a@%0*d.example", label, 1);
        int rc = email_normalise(got, address, (size_t)n, NULL);
        assert_int_equal(rc, label <= 63 ? 0 : -PLUMB_E_INVALID);
    }
    for (int last = 1; last <= 63; last++) { /* the whole is 254 bytes at most */
        int n = snprintf(address, sizeof address, "%064d@%063d.%063d.%0*d.de", 1, 1, 1, last, 1);
        int rc = email_normalise(got, address, (size_t)n, NULL);
        assert_int_equal(rc, n <= 254 ? 0 : -PLUMB_E_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(normalises), cmocka_unit_test(bounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
