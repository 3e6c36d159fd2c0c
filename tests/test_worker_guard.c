/* The egress guard: forbidden addresses in every spelling, as names, and at connect. */
#include "fake_http.h"
#include "guard.h"
#include "worker_bench.h"

#include "count.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <locale.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <time.h>

/* ---- names: this program's own look-ups ---- */

static _Atomic bool release_slow;

/* "a-<ipv4 with dashes>.test" is that address; "slow.test" takes until it is released. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's are reserved ones */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    char address[64] = "";
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node != NULL && strcmp(node, "slow.test") == 0) {
        struct timespec tick = {.tv_nsec = 5000000};
        while (!release_slow)
            nanosleep(&tick, NULL); /* a name server that does not answer */
        return EAI_AGAIN;
    }
    if (node != NULL && sscanf(node, "a-%63[0-9-].test", address) == 1) {
        for (char *c = address; *c != '\0'; c++)
            *c = *c == '-' ? '.' : *c;
        node = address;
    }
    return real(node, service, hints, out);
}

/* ---- addresses ---- */

/* First, middle or last of every range that is refused. */
static const char *const forbidden[] = {"0.0.0.0",
                                        "0.0.0.1",
                                        "0.255.255.255",
                                        "10.0.0.0",
                                        "10.0.0.1",
                                        "10.127.3.4",
                                        "10.255.255.255",
                                        "100.64.0.0",
                                        "100.64.0.1",
                                        "100.100.100.200",
                                        "100.127.255.255",
                                        "127.0.0.0",
                                        "127.0.0.1",
                                        "127.0.0.53",
                                        "127.1.2.3",
                                        "127.255.255.255",
                                        "169.254.0.0",
                                        "169.254.169.254",
                                        "169.254.170.2",
                                        "169.254.255.255",
                                        "172.16.0.0",
                                        "172.16.0.1",
                                        "172.20.10.2",
                                        "172.31.255.255",
                                        "192.0.0.0",
                                        "192.0.0.1",
                                        "192.0.0.170",
                                        "192.0.0.192",
                                        "192.0.0.255",
                                        "192.0.2.0",
                                        "192.0.2.1",
                                        "192.0.2.255",
                                        "192.88.99.0",
                                        "192.88.99.1",
                                        "192.88.99.255",
                                        "192.168.0.0",
                                        "192.168.0.1",
                                        "192.168.1.254",
                                        "192.168.255.255",
                                        "198.18.0.0",
                                        "198.18.0.1",
                                        "198.19.255.255",
                                        "198.51.100.0",
                                        "198.51.100.7",
                                        "198.51.100.255",
                                        "203.0.113.0",
                                        "203.0.113.9",
                                        "203.0.113.255",
                                        "224.0.0.0",
                                        "224.0.0.1",
                                        "224.0.0.251",
                                        "239.255.255.250",
                                        "239.255.255.255",
                                        "240.0.0.0",
                                        "240.0.0.1",
                                        "250.1.2.3",
                                        "255.255.255.254",
                                        "255.255.255.255",
                                        "::",
                                        "::1",
                                        "::2",
                                        "::7f00:1",
                                        "::127.0.0.1",
                                        "::10.0.0.1",
                                        "::8.8.8.8",
                                        "::ffff:0.0.0.0",
                                        "::ffff:127.0.0.1",
                                        "::ffff:10.0.0.1",
                                        "::ffff:169.254.169.254",
                                        "::ffff:192.168.1.1",
                                        "::ffff:a9fe:a9fe",
                                        "::ffff:0:127.0.0.1",
                                        "64:ff9b::",
                                        "64:ff9b::7f00:1",
                                        "64:ff9b::8.8.8.8",
                                        "64:ff9b::a9fe:a9fe",
                                        "64:ff9b:1::1",
                                        "64:ff9b:1:ffff::10.0.0.1",
                                        "100::",
                                        "100::1",
                                        "100:0:0:1::1",
                                        "1fff:ffff::1",
                                        "2001::",
                                        "2001::1",
                                        "2001:0:53aa:64c::1",
                                        "2001:0:7f00:1::",
                                        "2001:2::1",
                                        "2001:10::1",
                                        "2001:20::1",
                                        "2001:1ff::1",
                                        "2001:db8::",
                                        "2001:db8::1",
                                        "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                                        "2002::",
                                        "2002:7f00:1::",
                                        "2002:7f00:1::1",
                                        "2002:a00:1::1",
                                        "2002:a9fe:a9fe::1",
                                        "2002:c0a8:101::1",
                                        "2002:808:808::1",
                                        "3fff::1",
                                        "3fff:fff:ffff::1",
                                        "4000::1",
                                        "5f00::1",
                                        "8000::1",
                                        "fc00::",
                                        "fc00::1",
                                        "fd00::1",
                                        "fd00:ec2::254",
                                        "fdff:ffff::1",
                                        "fe00::1",
                                        "fe80::",
                                        "fe80::1",
                                        "fe80::a9fe:a9fe",
                                        "febf:ffff::1",
                                        "fec0::",
                                        "fec0::1",
                                        "feff:ffff::1",
                                        "ff00::",
                                        "ff02::1",
                                        "ff02::fb",
                                        "ff05::1:3",
                                        "ff0e::1",
                                        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};

static const char *const admitted[] = {
    "1.1.1.1",         "8.8.8.8",      "9.255.255.255",   "11.0.0.0",
    "100.63.255.255",  "100.128.0.0",  "126.255.255.255", "128.0.0.1",
    "169.253.255.255", "169.255.0.0",  "172.15.255.255",  "172.32.0.0",
    "192.0.1.0",       "192.0.3.0",    "192.88.98.255",   "192.88.100.0",
    "192.167.255.255", "192.169.0.0",  "198.17.255.255",  "198.20.0.0",
    "223.255.255.255", "2000::1",      "2001:200::1",     "2001:4860:4860::8888",
    "2003::1",         "2a00:1450::1", "3ffe::1",         "::ffff:8.8.8.8"};

static guard_t guard_of(const char *const *settings)
{
    guard_t guard;
    plumb_conf_t conf;
    plumb_err_t err = {0};
    plumb_conf_init(&conf, &err);
    for (; *settings != NULL; settings++)
        plumb_conf_set(&conf, *settings, "test", &err);
    if (guard_init(&guard, &conf, &err) != 0 || err.code != 0)
        fail_msg("%s", err.text);
    plumb_conf_fini(&conf);
    return guard;
}

static const char *const production[] = {NULL};
static const char *const developing[] = {"development=yes", NULL};

static void addresses(void **state)
{
    (void)state;
    guard_t guard = guard_of(developing); /* development relaxes nothing here */
    assert_true(PLUMB_COUNT(forbidden) >= 120);
    for (size_t i = 0; i < PLUMB_COUNT(forbidden); i++)
        if (guard_admits_text(&guard, forbidden[i], 443))
            fail_msg("%s is admitted", forbidden[i]);
    for (size_t i = 0; i < PLUMB_COUNT(admitted); i++)
        if (!guard_admits_text(&guard, admitted[i], 443))
            fail_msg("%s is refused", admitted[i]);
    struct sockaddr other = {.sa_family = AF_UNIX};
    assert_false(guard_admits(&guard, &other));
    assert_false(guard_admits_text(&guard, "localhost", 443));
}

/* ---- spellings ---- */

/* The `kind`th way to write an address as a URL's host; false: no more. */
static bool spell(char *out, size_t size, const char *ip, unsigned kind)
{
    struct in_addr in;
    if (inet_pton(AF_INET, ip, &in) != 1) {
        snprintf(out, size, kind == 0 ? "[%s]" : kind == 1 ? "[%s%%25eth0]" : "[%s]:443", ip);
        return kind < 3;
    }
    uint32_t n = ntohl(in.s_addr);
    unsigned a = n >> 24, b = n >> 16 & 255, c = n >> 8 & 255, d = n & 255;
    switch (kind) {
    case 0:
        return snprintf(out, size, "%s", ip) > 0;
    case 1:
        return snprintf(out, size, "%" PRIu32, n) > 0;
    case 2:
        return snprintf(out, size, "0x%08" PRIx32, n) > 0;
    case 3:
        return snprintf(out, size, "0%o.0%o.0%o.0%o", a, b, c, d) > 0;
    case 4:
        return snprintf(out, size, "%u.%u", a, n & 0xffffff) > 0;
    case 5:
        return snprintf(out, size, "%u.%u.%u", a, b, n & 0xffff) > 0;
    case 6:
        return snprintf(out, size, "0x%x.%u.0%o.%u", a, b, c, d) > 0;
    case 7:
        return snprintf(out, size, "%s.", ip) > 0;
    case 8:
        return snprintf(out, size, "[::ffff:%s]", ip) > 0;
    case 9:
        return snprintf(out, size, "[::ffff:%x:%x]", n >> 16, n & 0xffff) > 0;
    case 10:
        return snprintf(out, size, "[64:ff9b::%s]", ip) > 0;
    case 11:
        return snprintf(out, size, "[2002:%x:%x::1]", n >> 16, n & 0xffff) > 0;
    case 12:
        return snprintf(out, size, "0%" PRIo32, n) > 0;
    case 13:
        return snprintf(out, size, "%u%%2e%u%%2e%u%%2e%u", a, b, c, d) > 0;
    default:
        return false;
    }
}

static void spellings(void **state)
{
    (void)state;
    guard_t strict = guard_of(production), relaxed = guard_of(developing);
    unsigned tried = 0;
    for (size_t i = 0; i < PLUMB_COUNT(forbidden); i++) {
        char host[128], url[256];
        for (unsigned kind = 0; spell(host, sizeof host, forbidden[i], kind); kind++, tried++) {
            snprintf(url, sizeof url, "https://%s/hook", host);
            if (guard_url(&strict, url, false) == NULL || guard_url(&relaxed, url, false) == NULL)
                fail_msg("%s passes", url);
        }
    }
    assert_true(tried > 900);
}

static void urls(void **state)
{
    (void)state;
    static const char *const allowing[] = {"egress.allow=127.0.0.1:8081,10.1.0.0/16", NULL};
    static const char *const both[] = {"development=yes", "egress.allow=127.0.0.1/32,[::1]:9000",
                                       NULL};
    const struct {
        const char *url;
        bool production, allowing, development;
    } rows[] = {
        {"https://crm.example/hook", true, true, true},
        {"https://crm.example:8443/", true, true, true},
        {"https://crm.example:8080/", true, true, true},
        {"https://crm.example:9000/", false, false, true},
        {"https://crm.example:22/", false, false, true},
        {"http://crm.example/hook", false, false, true},
        {"HTTPS://CRM.example/hook", true, true, true},
        {"https://почта.example/hook", true, true, true},
        {"https://user@crm.example/", false, false, false},
        {"https://user:pass@crm.example/", false, false, false},
        {"https://:@crm.example/", false, false, false},
        {"ftp://crm.example/", false, false, false},
        {"file:///etc/passwd", false, false, false},
        {"gopher://crm.example/", false, false, false},
        {"smtp://crm.example/", false, false, false},
        {"crm.example/hook", false, false, false},
        {"https://", false, false, false},
        {"", false, false, false},
        {"https://crm.example/a b", false, false, false},
        {"https://crm.example/\r\nX: y", false, false, false},
        {"https://crm.example\t/", false, false, false},
        {"https://127.0.0.1/", false, false, true},
        {"https://127.0.0.1:8081/", false, true, true},
        {"https://127.0.0.1:8082/", false, false, true},
        {"https://10.1.2.3/", false, true, false},
        {"https://10.2.2.3/", false, false, false},
        {"https://8.8.8.8/", false, false, false},
        {"https://[::1]:9000/", false, false, true},
        {"https://[::1]/", false, false, false},
        {"https://127.0.0.1@crm.example/", false, false, false},
        {"https://crm.example#@127.0.0.1/", true, true, true},
        {"https://1.2.3.4.5/", false, false, false},
        {"https://crm.0x7f/", false, false, false},
    };
    guard_t strict = guard_of(production), some = guard_of(allowing), dev = guard_of(both);
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        bool got[3] = {guard_url(&strict, rows[i].url, false) == NULL,
                       guard_url(&some, rows[i].url, false) == NULL,
                       guard_url(&dev, rows[i].url, false) == NULL};
        if (got[0] != rows[i].production || got[1] != rows[i].allowing ||
            got[2] != rows[i].development)
            fail_msg("%s: %d %d %d", rows[i].url, got[0], got[1], got[2]);
    }
}

static void mail_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool good;
    } rows[] = {{"smtp://mail.example:587", true}, {"smtps://mail.example", true},
                {"smtp://mail.example", true},     {"smtp://mail.example:80", false},
                {"https://mail.example", false},   {"smtp://127.0.0.1:25", false},
                {"smtp://a:b@mail.example", false}};
    guard_t guard = guard_of(production);
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++)
        if ((guard_url(&guard, rows[i].url, true) == NULL) != rows[i].good)
            fail_msg("%s", rows[i].url);
}

static void stand_ins(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "development=yes",
        "worker.connect_to=api.example:443>127.0.0.1:4443,b.example:80>10.0.0.1:81", NULL};
    guard_t guard = guard_of(settings);
    plumb_err_t err = {0};
    struct curl_slist *list = NULL;
    assert_true(guard_admits_text(&guard, "127.0.0.1", 4443));
    assert_false(guard_admits_text(&guard, "127.0.0.1", 443));
    assert_true(guard_admits_text(&guard, "10.0.0.1", 81));
    assert_non_null(guard_url(&guard, "https://127.0.0.1:4443/", false)); /* only by its name */
    assert_null(guard_url(&guard, "https://api.example/", false));
    assert_int_equal(guard_connect_to("a.example:443>127.0.0.1:4443,b:1>c:2", &list, &err), 0);
    assert_string_equal(list->data, "a.example:443:127.0.0.1:4443");
    assert_string_equal(list->next->data, "b:1:c:2");
    curl_slist_free_all(list);
    assert_int_equal(guard_connect_to("a.example:443", &list, &err), -PLUMB_E_CONFIG);
    curl_slist_free_all(list);
}

/* ---- at connect ---- */

static plumb_result_t call_url(bench_t *b, const char *url, plumb_ticket_t *ticket)
{
    char fields[512];
    size_t before = results_count(&b->results);
    b->credential = plumb_uuid_new();
    snprintf(fields, sizeof fields, "{\"url\":\"%s\"}", url);
    *ticket = bench_give(b, "webhooks", "send", fields, NULL, TAKE_BEGUN);
    bench_until(b, before + 1, 10000);
    return bench_result(b, ticket);
}

/* Whatever a name resolves to, nothing arrives. */
static void names_of_forbidden_addresses(void **state)
{
    (void)state;
    static const char *const none[] = {"egress.allow=", "worker.call_timeout=2s", NULL};
    fake_http_t *http = fake_http_start();
    bench_t *b = bench_open(NULL, none);
    static const char *const hosts[] = {"a-127-0-0-1.test", "localhost",
                                        "a-0-0-0-0.test",   "127。0。0。1",
                                        "a-10-0-0-1.test",  "a-169-254-169-254.test"};
    for (size_t i = 0; i < PLUMB_COUNT(hosts); i++) {
        char url[128];
        plumb_ticket_t t;
        snprintf(url, sizeof url, "http://%s:%d/ok", hosts[i], fake_http_port(http));
        plumb_result_t r = call_url(b, url, &t);
        if (r.outcome != PLUMB_OUT_retry || r.requests != 0 ||
            memmem(r.detail.data, r.detail.length, "not allowed", 11) == NULL)
            fail_msg("%s: %s '%.*s'", hosts[i], plumb_outcome_name(r.outcome), (int)r.detail.length,
                     r.detail.data);
    }
    assert_int_equal(fake_http_connections(http), 0);
    bench_close(&b);
    /* The same name passes where the operator allows its address, so it was the guard above. */
    plumb_ticket_t t;
    char url[128];
    b = bench_open(NULL, NULL);
    snprintf(url, sizeof url, "http://a-127-0-0-1.test:%d/ok", fake_http_port(http));
    assert_int_equal(call_url(b, url, &t).outcome, PLUMB_OUT_ok);
    bench_close(&b);
    fake_http_stop(&http);
}

/* A name server that does not answer delays its own call only. */
static void a_slow_name_delays_nobody(void **state)
{
    (void)state;
    static const char *const settings[] = {"worker.connect_timeout=300ms", NULL};
    fake_http_t *http = fake_http_start();
    bench_t *b = bench_open(NULL, settings);
    char url[128];
    plumb_ticket_t t;
    release_slow = false;
    int64_t began = plumb_mono_ms();
    plumb_ticket_t slow =
        bench_give(b, "webhooks", "send", "{\"url\":\"http://slow.test/\"}", NULL, TAKE_BEGUN);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/ok", fake_http_port(http));
    assert_int_equal(call_url(b, url, &t).outcome, PLUMB_OUT_ok);
    assert_true(plumb_mono_ms() - began < 250);
    bench_until(b, 2, 5000); /* the slow one ends in time, though its look-up goes on */
    assert_int_equal(bench_result(b, &slow).outcome, PLUMB_OUT_retry);
    assert_true(plumb_mono_ms() - began < 2000);
    release_slow = true;
    bench_close(&b);
    fake_http_stop(&http);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8"); /* as the worker does: names in any script */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(spellings),
        cmocka_unit_test(urls),
        cmocka_unit_test(mail_urls),
        cmocka_unit_test(stand_ins),
        cmocka_unit_test(names_of_forbidden_addresses),
        cmocka_unit_test(a_slow_name_delays_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
