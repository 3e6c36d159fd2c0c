/* Address ranges: what is read, what is inside. */
#include "cidr.h"
#include "count.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void reads(void **state)
{
    static const struct {
        const char *text;
        bool good;
        int family;
        unsigned bits;
        uint16_t port;
    } rows[] = {
        {"10.0.0.0/8", true, AF_INET, 8, 0},
        {"127.0.0.1", true, AF_INET, 32, 0},
        {"127.0.0.1:8080", true, AF_INET, 32, 8080},
        {"10.1.0.0/16:443", true, AF_INET, 16, 443},
        {"0.0.0.0/0", true, AF_INET, 0, 0},
        {"::/0", true, AF_INET6, 0, 0},
        {"::1", true, AF_INET6, 128, 0},
        {"fd00::/8", true, AF_INET6, 8, 0},
        {"[::1]", true, AF_INET6, 128, 0},
        {"[::1]:443", true, AF_INET6, 128, 443},
        {"[fd00::/8]:443", true, AF_INET6, 8, 443},
        {"[fd00::]/8:443", true, AF_INET6, 8, 443},
        {"[fd00::]/8", true, AF_INET6, 8, 0},
        {"::ffff:10.0.0.1", true, AF_INET, 32, 0},
        {"::ffff:10.0.0.0/104", true, AF_INET, 8, 0},
        {"::ffff:0:0/95", true, AF_INET6, 95, 0},
        {"", false, 0, 0, 0},
        {"localhost", false, 0, 0, 0},
        {"10.0.0", false, 0, 0, 0},
        {"10.0.0.1/33", false, 0, 0, 0},
        {"10.0.0.1/-1", false, 0, 0, 0},
        {"10.0.0.1/", false, 0, 0, 0},
        {"10.0.0.1/8/8", false, 0, 0, 0},
        {"10.0.0.1:0", false, 0, 0, 0},
        {"10.0.0.1:65536", false, 0, 0, 0},
        {"10.0.0.1:", false, 0, 0, 0},
        {"10.0.0.1:80x", false, 0, 0, 0},
        {"10.0.0.1:99999999999999999999", false, 0, 0, 0},
        {" 10.0.0.1", false, 0, 0, 0},
        {"010.0.0.1", false, 0, 0, 0},
        {"::1/129", false, 0, 0, 0},
        {"[::1", false, 0, 0, 0},
        {"::1]", false, 0, 0, 0},
        {"[::1]x:80", false, 0, 0, 0},
        {"[::1/64]/64", false, 0, 0, 0},
        {"[]", false, 0, 0, 0},
        {"[", false, 0, 0, 0},
        {":", false, 0, 0, 0},
        {"/8", false, 0, 0, 0},
        {"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", false, 0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        plumb_cidr_t got = {0};
        bool good = plumb_cidr_parse(&got, rows[i].text, strlen(rows[i].text));
        if (good != rows[i].good || got.family != rows[i].family || got.bits != rows[i].bits ||
            got.port != rows[i].port)
            fail_msg("'%s': got %d, family %d, /%u, port %u", rows[i].text, good, got.family,
                     got.bits, got.port);
    }
}

static struct sockaddr_storage address_of(const char *text, uint16_t port)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
    } else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
    } else {
        storage.ss_family = AF_UNIX;
    }
    return storage;
}

static void matches(void **state)
{
    static const struct {
        const char *range, *address;
        uint16_t port;
        bool want;
    } rows[] = {
        {"10.0.0.0/8", "10.255.255.255", 80, true},
        {"10.0.0.0/8", "11.0.0.0", 80, false},
        {"10.1.2.3/8", "10.9.9.9", 80, true}, /* further bits of the range do not count */
        {"172.16.0.0/12", "172.31.255.255", 80, true},
        {"172.16.0.0/12", "172.32.0.0", 80, false},
        {"127.0.0.1", "127.0.0.1", 1, true},
        {"127.0.0.1", "127.0.0.2", 1, false},
        {"127.0.0.1:8080", "127.0.0.1", 8080, true},
        {"127.0.0.1:8080", "127.0.0.1", 8081, false},
        {"0.0.0.0/0", "203.0.113.9", 80, true},
        {"0.0.0.0/0", "2001:db8::1", 80, false},
        {"::/0", "2001:db8::1", 80, true},
        {"::/0", "203.0.113.9", 80, false},
        {"::/0", "::ffff:203.0.113.9", 80, false}, /* mapped counts as IPv4 */
        {"10.0.0.0/8", "::ffff:10.1.1.1", 80, true},
        {"::ffff:10.0.0.0/104", "10.1.1.1", 80, true},
        {"2001:db8::/33", "2001:db8:7fff::1", 80, true},
        {"2001:db8::/33", "2001:db8:8000::1", 80, false},
        {"[2001:db8::1]:443", "2001:db8::1", 443, true},
        {"[2001:db8::1]:443", "2001:db8::1", 80, false},
        {"0.0.0.0/0", "a unix socket", 0, false},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        plumb_cidr_t range;
        struct sockaddr_storage address = address_of(rows[i].address, rows[i].port);
        assert_true(plumb_cidr_parse(&range, rows[i].range, strlen(rows[i].range)));
        if (plumb_cidr_match(&range, (struct sockaddr *)&address) != rows[i].want)
            fail_msg("%s with %s port %u", rows[i].range, rows[i].address, rows[i].port);
    }
}

static void reads_lists(void **state)
{
    (void)state;
    plumb_cidr_t list[3];
    size_t count = 9;
    plumb_err_t err = {0};
    struct sockaddr_storage inside = address_of("fd00::7", 80);
    assert_int_equal(plumb_cidr_list("  ", list, 3, &count, &err), 0);
    assert_int_equal(count, 0);
    assert_false(plumb_cidr_any(list, count, (struct sockaddr *)&inside));
    assert_int_equal(plumb_cidr_list("127.0.0.1:80 , ::1,fd00::/8", list, 3, &count, &err), 0);
    assert_int_equal(count, 3);
    assert_true(plumb_cidr_any(list, count, (struct sockaddr *)&inside));
    assert_false(plumb_cidr_any(list, 2, (struct sockaddr *)&inside));
    assert_int_equal(plumb_cidr_list("::1,::2,::3,::4", list, 3, &count, &err), -PLUMB_E_CONFIG);
    assert_string_equal(err.text, "more than 3 ranges");
    assert_int_equal(plumb_cidr_list("::1,,::2", list, 3, &count, &err), -PLUMB_E_CONFIG);
    assert_int_equal(plumb_cidr_list("::1, 10.0.0.1/99", list, 3, &count, &err), -PLUMB_E_CONFIG);
    assert_string_equal(err.text, "'10.0.0.1/99', want ADDRESS[/BITS][:PORT]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(matches),
        cmocka_unit_test(reads_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
