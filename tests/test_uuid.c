/* Ids: form, growth, text. */
#include "count.h"
#include "uuid.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static bool is_version_7(const plumb_uuid_t *id)
{
    return id->b[6] >> 4 == 7 && id->b[8] >> 6 == 2;
}

static void grows(void **state)
{
    (void)state;
    plumb_uuid_t last = plumb_uuid_new();
    assert_in_range(plumb_uuid_unix_ms(&last), (time(NULL) - 5) * 1000, (time(NULL) + 5) * 1000);
    for (int i = 0; i < 200000; i++) { /* more than a counter holds, most within few milliseconds */
        plumb_uuid_t id = plumb_uuid_new();
        if (plumb_uuid_compare(&last, &id) >= 0 || !is_version_7(&id))
            fail_msg("id %d does not follow", i);
        last = id;
    }
}

static void carries_the_moment_given(void **state)
{
    static const int64_t moments[] = {
        0, 1, 1767323045678, 1767323045678, 1767323045677, (INT64_C(1) << 48) - 1};
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(moments); i++) {
        plumb_uuid_t first = plumb_uuid_at(moments[i]), second = plumb_uuid_at(moments[i]);
        assert_int_equal(plumb_uuid_unix_ms(&first), moments[i]);
        assert_int_equal(plumb_uuid_unix_ms(&second), moments[i]);
        assert_true(is_version_7(&first));
        assert_true(plumb_uuid_compare(&first, &second) < 0);
    }
    for (int i = 0; i < 20000; i++) { /* more than one moment's counter holds: still that moment */
        plumb_uuid_t id = plumb_uuid_at(5);
        assert_int_equal(plumb_uuid_unix_ms(&id), 5);
    }
}

static int by_bytes(const void *a, const void *b)
{
    return plumb_uuid_compare(a, b);
}

#define THREADS 4
#define EACH 20000
#define ALL ((size_t)THREADS * EACH)

static void *make_ids(void *ids)
{
    for (plumb_uuid_t *id = ids; id < (plumb_uuid_t *)ids + EACH; id++)
        *id = plumb_uuid_at(1767323045678);
    return NULL;
}

static void differs_between_threads(void **state)
{
    (void)state;
    plumb_uuid_t *ids = calloc(ALL, sizeof *ids);
    pthread_t threads[THREADS];
    for (size_t t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, make_ids, &ids[t * EACH]), 0);
    for (size_t t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    qsort(ids, ALL, sizeof *ids, by_bytes);
    for (size_t i = 1; i < ALL; i++)
        assert_true(plumb_uuid_compare(&ids[i - 1], &ids[i]) != 0);
    free(ids);
}

static const struct {
    const char *text;
    bool good;
} texts[] = {
    {"0197a0b0-1111-7222-8333-444455556666", true},
    {"0197A0B0-1111-7222-8333-ABCDEFABCDEF", true},
    {"00000000-0000-0000-0000-000000000000", true},
    {"", false},
    {"0197a0b0-1111-7222-8333-44445555666", false},
    {"0197a0b0-1111-7222-8333-4444555566667", false},
    {"0197a0b01111-7222-8333-444455556666-", false},
    {"0197a0b0-1111-7222-8333-44445555666g", false},
    {"0197a0b0-1111-7222-8333-44445555666:", false},
    {"0197a0b0-1111-7222-8333_444455556666", false},
    {"{197a0b0-1111-7222-8333-44445555666}", false},
};

static void reads_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(texts); i++) {
        char got[PLUMB_UUID_TEXT];
        plumb_uuid_t before = plumb_uuid_new(), id = before;
        bool good = plumb_uuid_parse(&id, texts[i].text, strlen(texts[i].text));
        if (good != texts[i].good)
            fail_msg("'%s': got %d", texts[i].text, good);
        if (good)
            assert_int_equal(strcasecmp(plumb_uuid_text(&id, got), texts[i].text), 0);
        else
            assert_memory_equal(&before, &id, sizeof id);
    }
}

static void writes_lower_case(void **state)
{
    (void)state;
    char got[PLUMB_UUID_TEXT];
    plumb_uuid_t id;
    assert_true(plumb_uuid_parse(&id, texts[1].text, strlen(texts[1].text)));
    assert_string_equal(plumb_uuid_text(&id, got), "0197a0b0-1111-7222-8333-abcdefabcdef");
    assert_false(plumb_uuid_is_nil(&id));
    id = (plumb_uuid_t){{0}};
    assert_true(plumb_uuid_is_nil(&id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows),
        cmocka_unit_test(carries_the_moment_given),
        cmocka_unit_test(differs_between_threads),
        cmocka_unit_test(reads_text),
        cmocka_unit_test(writes_lower_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
