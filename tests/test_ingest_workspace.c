/* The pool of workspaces: which one comes back, and what it keeps. */
#include "count.h"
#include "workspace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static plumb_err_t err;

static workspaces_t *pool(void)
{
    workspaces_t *all;
    assert_int_equal(workspaces_new(&all, &err), 0);
    return all;
}

static void the_last_comes_first(void **state)
{
    (void)state;
    workspaces_t *all = pool();
    workspace_t *a = workspaces_take(all), *b = workspaces_take(all);
    assert_ptr_not_equal(a, b);
    workspaces_give(all, a);
    workspaces_give(all, b);
    workspaces_give(all, NULL);
    assert_ptr_equal(workspaces_take(all), b);
    assert_ptr_equal(workspaces_take(all), a);
    workspaces_give(all, a);
    workspaces_give(all, b);
    workspaces_destroy(&all);
    assert_null(all);
    workspaces_destroy(&all);
}

static void small_memory_is_kept_and_large_released(void **state)
{
    (void)state;
    workspaces_t *all = pool();
    workspace_t *w = workspaces_take(all);
    static char text[40000];
    text[0] = '[';
    for (size_t i = 1; i < 4000; i++)
        text[i] = i % 2 == 1 ? '0' : ',';
    text[4000] = ']';
    plumb_buf_text(&w->plain, "small");
    plumb_buf_put(&w->message, text, sizeof text);
    assert_int_equal(plumb_json_read(&w->json, text, strlen(text), &err), 0);
    workspaces_give(all, w);
    assert_ptr_equal(workspaces_take(all), w);
    assert_string_equal(w->plain.data, "");
    assert_true(w->plain.capacity > 0);
    assert_null(w->message.data);
    assert_null(w->json.nodes);
    assert_int_equal(plumb_json_read(&w->json, "[0]", 3, &err), 0);
    workspaces_give(all, w);
    assert_ptr_equal(workspaces_take(all), w);
    assert_non_null(w->json.nodes);
    workspaces_give(all, w);
    workspaces_destroy(&all);
}

/* The sanitizer would tell of one that is lost or given back twice. */
static void many_at_once_are_served(void **state)
{
    (void)state;
    workspaces_t *all = pool();
    workspace_t *held[40];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < PLUMB_COUNT(held); i++) {
            held[i] = workspaces_take(all);
            assert_non_null(held[i]);
            plumb_buf_text(&held[i]->out, "used");
        }
        for (size_t i = 0; i < PLUMB_COUNT(held); i++)
            workspaces_give(all, held[i]);
    }
    workspaces_destroy(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_comes_first),
        cmocka_unit_test(small_memory_is_kept_and_large_released),
        cmocka_unit_test(many_at_once_are_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
