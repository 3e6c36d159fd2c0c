/* City and country of an address: what is filled in, and a file that changes under the daemon. */
#include "api_world.h"
#include "count.h"
#include "geo.h"
#include "mmdb.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

static const mmdb_place_t places[] = {
    {.network = "192.0.2.0/24",
     .country = "RU",
     .city_ru = "Москва",
     .city_en = "Moscow",
     .region_ru = "Московская область",
     .region_en = "Moscow Oblast",
     .timezone = "Europe/Moscow"},
    {.network = "198.51.100.0/24",
     .is_flat = true,
     .country = "KZ",
     .city_en = "Almaty",
     .region_en = "Almaty Region",
     .timezone = "Asia/Almaty"},
    {.network = "2001:db8::/32", .country = "DE", .city_en = "Berlin"},
    {.network = "127.0.0.0/8", .country = "ZZ", .city_ru = "Дом"},
};

static plumb_err_t err;
static char path[128];

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    char assignment[160];
    *state = w;
    w->account = account_new();
    snprintf(path, sizeof path, "%s/geo.mmdb", w->account->dir);
    mmdb_write(path, places, PLUMB_COUNT(places));
    snprintf(assignment, sizeof assignment, "geo.file=%s", path);
    if (plumb_conf_set(&w->account->conf, assignment, "test", &err) < 0 ||
        plumb_conf_set(&w->account->conf, "geo.every=50ms", "test", &err) < 0)
        fail_msg("%s", err.text);
    world_start(w);
    return 0;
}

static void text_of(const http_answer_t *answer, const char *name, char out[300])
{
    char at[64];
    snprintf(at, sizeof at, "data.attributes.%s", name);
    world_text(answer, at, out, 300);
}

/* ---- what is filled in ---- */

static void fills(void **state)
{
    static const struct {
        const char *name, *attributes, *country, *city, *region, *timezone;
    } cases[] = {
        {"in Russian", ",\"ipAddress\":\"192.0.2.7\"", "RU", "Москва", "Московская область",
         "Europe/Moscow"},
        {"flat", ",\"ipAddress\":\"198.51.100.1\"", "KZ", "Almaty", "Almaty Region", "Asia/Almaty"},
        {"English, IPv6", ",\"ipAddress\":\"2001:db8::7\"", "DE", "Berlin", "", ""},
        {"the client's own", "", "ZZ", "Дом", "", ""},
        {"not known", ",\"ipAddress\":\"203.0.113.1\"", "", "", "", ""},
        {"given", ",\"ipAddress\":\"192.0.2.7\",\"city\":\"Тверь\",\"timezone\":\"UTC\"", "RU",
         "Тверь", "Московская область", "UTC"},
        {"all given",
         ",\"ipAddress\":\"192.0.2.7\",\"city\":\"a\",\"timezone\":\"b\",\"country\":\"c\","
         "\"region\":\"d\"",
         "c", "a", "d", "b"},
    };
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        char country[300], city[300], region[300], timezone[300];
        http_answer_t made = world_post(w, 0, w->account->token, cases[i].attributes, "");
        assert_int_equal(made.status, 201);
        http_answer_t seen =
            world_ask(w, 0, w->account->token, "GET", http_header(&made, "Location"), "", NULL);
        const http_answer_t *both[] = {&made, &seen};
        for (size_t k = 0; k < 2; k++) {
            text_of(both[k], "country", country);
            text_of(both[k], "city", city);
            text_of(both[k], "region", region);
            text_of(both[k], "timezone", timezone);
            if (strcmp(country, cases[i].country) != 0 || strcmp(city, cases[i].city) != 0 ||
                strcmp(region, cases[i].region) != 0 || strcmp(timezone, cases[i].timezone) != 0)
                fail_msg("%s: %s", cases[i].name, both[k]->body);
        }
        http_answer_fini(&made);
        http_answer_fini(&seen);
    }
}

static void leaves_traces(void **state)
{
    static const struct {
        const char *settings, *attributes, *verdict, *reason;
    } cases[] = {
        {"{}", ",\"ipAddress\":\"192.0.2.7\"", "passed", "found"},
        {"{}", ",\"ipAddress\":\"203.0.113.1\"", "passed", "unknown"},
        {"{}", ",\"city\":\"a\",\"timezone\":\"b\",\"country\":\"c\",\"region\":\"d\"", "skipped",
         "given"},
        {"{\"geo\":false}", ",\"ipAddress\":\"192.0.2.7\"", "skipped", "off"},
    };
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        char city[300];
        account_sql(w->account, "UPDATE quizzes SET settings = settings || '%s'",
                    cases[i].settings);
        http_answer_t made = world_post(w, 0, w->account->token, cases[i].attributes, "");
        text_of(&made, "city", city);
        if (strcmp(cases[i].verdict, "skipped") == 0 && city[0] != '\0' && city[0] != 'a')
            fail_msg("turned off, and filled: %s", made.body);
        if (account_count(w->account,
                          "SELECT count(*) FROM leads, json_array_elements(trace) t WHERE id = "
                          "'%s' AND t->>0 = 'geo' AND t->>1 = '%s' AND t->>2 = '%s'",
                          strrchr(http_header(&made, "Location"), '/') + 1, cases[i].verdict,
                          cases[i].reason) != 1)
            fail_msg("no trace %s(%s)", cases[i].verdict, cases[i].reason);
        http_answer_fini(&made);
    }
    account_sql(w->account, "UPDATE quizzes SET settings = settings - 'geo'");
}

/* What is filled in does not tell one request from another. */
static void repeats_are_known(void **state)
{
    world_t *w = *state;
    http_answer_t first =
        world_post(w, 0, w->account->token, ",\"name\":\"x\"", "Idempotency-Key: geo\r\n");
    w->ingest[0].rates.account = (plumb_rate_t){1, INT64_C(3600000000), 1};
    http_answer_t again =
        world_post(w, 0, w->account->token, ",\"name\":\"x\"", "Idempotency-Key: geo\r\n");
    http_answer_t last =
        world_post(w, 0, w->account->token, ",\"name\":\"y\"", ""); /* the limit is used up */
    http_answer_t late =
        world_post(w, 0, w->account->token, ",\"name\":\"x\"", "Idempotency-Key: geo\r\n");
    http_answer_t over = world_post(w, 0, w->account->token, ",\"name\":\"y\"", "");
    assert_int_equal(first.status, 201);
    assert_int_equal(again.status, 201);
    assert_int_equal(last.status, 201);
    assert_int_equal(over.status, 429);
    assert_int_equal(late.status, 201); /* asked before the address was looked up */
    assert_string_equal(http_header(&late, "Idempotency-Replayed"), "true");
    assert_string_equal(http_header(&again, "Location"), http_header(&first, "Location"));
    assert_string_equal(http_header(&late, "Location"), http_header(&first, "Location"));
    w->ingest[0].rates.account.count = 0;
    http_answer_fini(&first);
    http_answer_fini(&again);
    http_answer_fini(&last);
    http_answer_fini(&late);
    http_answer_fini(&over);
}

/* ---- a file that changes ---- */

/* Post until the city of 192.0.2.7 is that. */
static void wait_city(const world_t *w, const char *want)
{
    int64_t deadline_ms = plumb_mono_ms() + 20000;
    char city[300] = "";
    do {
        if (plumb_mono_ms() > deadline_ms)
            fail_msg("city '%s', want '%s'", city, want);
        http_answer_t made =
            world_post(w, 0, w->account->token, ",\"ipAddress\":\"192.0.2.7\"", "");
        text_of(&made, "city", city);
        http_answer_fini(&made);
    } while (strcmp(city, want) != 0);
}

/* Wait until /readyz?verbose has that text. */
static void wait_ready_text(const world_t *w, const char *text)
{
    int64_t deadline_ms = plumb_mono_ms() + 20000;
    for (bool found = false; !found;) {
        http_answer_t answer = http_exchange(w->ports[0], "GET", "/readyz?verbose", "", NULL);
        assert_int_equal(answer.status, 200);
        found = strstr(answer.body, text) != NULL;
        if (!found && plumb_mono_ms() > deadline_ms)
            fail_msg("no '%s' in %s", text, answer.body);
        http_answer_fini(&answer);
    }
}

static void write_text(const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void follows_the_file(void **state)
{
    world_t *w = *state;
    mmdb_place_t other = {.network = "192.0.2.0/24", .country = "RU", .city_ru = "Казань"};
    char aside[160];
    wait_ready_text(w, "\ngeo: ok");
    snprintf(aside, sizeof aside, "%s.new", path);
    mmdb_write(aside, &other, 1); /* as it should be done */
    assert_int_equal(rename(aside, path), 0);
    wait_city(w, "Казань");
    other.city_ru = "Пермь"; /* and as cp does it */
    mmdb_write(path, &other, 1);
    wait_city(w, "Пермь");
    write_text("this is no database");
    wait_ready_text(w, "\ngeo: The MaxMind DB file");
    wait_city(w, "Пермь");
    write_text("");
    wait_city(w, "Пермь");
    assert_int_equal(unlink(path), 0);
    wait_ready_text(w, "\ngeo: the file is not there");
    wait_city(w, "Пермь");
    other.city_ru = "Омск";
    mmdb_write(path, &other, 1);
    wait_city(w, "Омск");
    wait_ready_text(w, "\ngeo: ok");
}

/* ---- by itself ---- */

static struct sockaddr_in address_of(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    inet_pton(AF_INET, text, &address.sin_addr);
    return address;
}

static void starts_without_a_file(void **state)
{
    geo_t *geo;
    geo_place_t place;
    struct sockaddr_in address = address_of("192.0.2.7");
    char file[160];
    (void)state;
    snprintf(file, sizeof file, "%s.late", path);
    assert_int_equal(geo_new(&geo, "", "ru", &err), 0);
    assert_null(geo);
    assert_int_equal(geo_new(&geo, file, "ru", &err), 0);
    assert_false(geo_is_here(geo, &err));
    assert_false(geo_find(geo, (struct sockaddr *)&address, &place));
    mmdb_write(file, places, PLUMB_COUNT(places));
    geo_refresh(geo);
    assert_true(geo_is_here(geo, &err));
    assert_true(geo_find(geo, (struct sockaddr *)&address, &place));
    assert_string_equal(place.city, "Москва");
    geo_destroy(&geo);
    assert_int_equal(geo_new(&geo, file, "en", &err), 0);
    assert_true(geo_find(geo, (struct sockaddr *)&address, &place));
    assert_string_equal(place.city, "Moscow");
    geo_destroy(&geo);
    unlink(file);
}

/* Names are cut between characters; what is no UTF-8 is left out. */
static void takes_odd_names(void **state)
{
    geo_t *geo;
    geo_place_t place;
    struct sockaddr_in address = address_of("192.0.2.7");
    char file[160], name[601] = "x";
    (void)state;
    for (int i = 0; i < 299; i++)
        memcpy(name + 1 + (size_t)i * 2, "я", 3);
    mmdb_place_t odd = {
        .network = "192.0.2.0/24", .city_ru = name, .country = "\xff\xfe", .timezone = name};
    snprintf(file, sizeof file, "%s.odd", path);
    mmdb_write(file, &odd, 1);
    assert_int_equal(geo_new(&geo, file, "ru", &err), 0);
    assert_true(geo_find(geo, (struct sockaddr *)&address, &place));
    assert_int_equal(strlen(place.city), 255);
    assert_int_equal(strlen(place.timezone), 63);
    assert_string_equal(place.country, "");
    geo_destroy(&geo);
    unlink(file);
}

typedef struct looker {
    geo_t *geo;
    atomic_bool stop;
    atomic_long found;
} looker_t;

static void *look_main(void *self)
{
    looker_t *l = self;
    struct sockaddr_in address = address_of("192.0.2.7");
    geo_place_t place;
    while (!atomic_load(&l->stop)) {
        bool found = geo_find(l->geo, (struct sockaddr *)&address, &place);
        if (!found || strlen(place.city) != strlen("Москва") || strcmp(place.country, "RU") != 0)
            return "a look-up went wrong";
        atomic_fetch_add(&l->found, 1);
    }
    return NULL;
}

/* Files come and go while four threads look addresses up. */
static void swaps_under_load(void **state)
{
    static const char *const cities[] = {"Москва", "Казань"};
    looker_t l = {0};
    pthread_t threads[4];
    char file[160];
    (void)state;
    mmdb_place_t place = {.network = "192.0.2.0/24", .country = "RU", .city_ru = cities[0]};
    snprintf(file, sizeof file, "%s.busy", path);
    mmdb_write(file, &place, 1);
    assert_int_equal(geo_new(&l.geo, file, "ru", &err), 0);
    for (size_t i = 0; i < PLUMB_COUNT(threads); i++)
        pthread_create(&threads[i], NULL, look_main, &l);
    for (unsigned i = 0; i < 200; i++) {
        long before = atomic_load(&l.found);
        char aside[176];
        snprintf(aside, sizeof aside, "%s.new", file);
        place.city_ru = cities[i % 2];
        mmdb_write(aside, &place, 1);
        rename(aside, file);
        geo_refresh(l.geo);
        for (int k = 0; k < 1000 && atomic_load(&l.found) == before; k++)
            pause_ms(1);
    }
    atomic_store(&l.stop, true);
    for (size_t i = 0; i < PLUMB_COUNT(threads); i++) {
        void *why;
        pthread_join(threads[i], &why);
        if (why != NULL)
            fail_msg("%s", (const char *)why);
    }
    geo_destroy(&l.geo);
    unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills),
        cmocka_unit_test(leaves_traces),
        cmocka_unit_test(repeats_are_known),
        cmocka_unit_test(follows_the_file),
        cmocka_unit_test(starts_without_a_file),
        cmocka_unit_test(takes_odd_names),
        cmocka_unit_test(swaps_under_load),
    };
    pg_conninfo();
    return cmocka_run_group_tests(tests, setup, world_teardown);
}
