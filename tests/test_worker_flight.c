/* The flight file: what is there after a kill at any moment. */
#include "flight.h"
#include "results.h"

#include "count.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define RECORDS_AT 8192 /* behind header and states */

static char dir[] = "/tmp/plumb-flight-XXXXXX";
static char path[64];

static int make_dir(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/w.flight", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static int fresh(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static flight_t *open_file(unsigned slots)
{
    flight_t *f = NULL;
    plumb_err_t err = {0};
    if (flight_open(&f, path, slots, &err) != 0)
        fail_msg("%s", err.text);
    return f;
}

static flight_call_t a_call(unsigned n, bool resends)
{
    flight_call_t call;
    memset(&call, 0, sizeof call);
    call.ticket = (plumb_ticket_t){.attempt = n};
    memset(call.ticket.delivery.b, (int)n, 16);
    call.resends = resends;
    strcpy(call.channel, "webhooks");
    call.started_ms = 1234567;
    return call;
}

static plumb_slice_t text(const char *s)
{
    return (plumb_slice_t){s, strlen(s)};
}

static void assert_text(plumb_slice_t got, const char *want)
{
    assert_int_equal(got.length, strlen(want));
    assert_memory_equal(got.data, want, got.length);
}

/* Run `act` in a process that is then killed without a chance to tidy up. */
static void killed_after(void (*act)(flight_t *))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        flight_t *f = open_file(8);
        flight_own(f, 42);
        act(f);
        kill(getpid(), SIGKILL);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int take(flight_t *f, bool resends)
{
    flight_call_t call = a_call(1, resends);
    return flight_take(f, &call);
}

static void assigned(flight_t *f)
{
    take(f, true);
}

static void plugin(flight_t *f)
{
    flight_phase(f, take(f, true), FLIGHT_PLUGIN);
}

static void sent(flight_t *f)
{
    int slot = take(f, true);
    flight_phase(f, slot, FLIGHT_PLUGIN);
    flight_phase(f, slot, FLIGHT_ASSIGNED);
    flight_phase(f, slot, FLIGHT_SENT);
}

static void sent_unknown(flight_t *f)
{
    flight_phase(f, take(f, false), FLIGHT_SENT);
}

static void judging(flight_t *f)
{
    flight_phase(f, take(f, true), FLIGHT_JUDGING);
}

static void between(flight_t *f)
{
    int slot = take(f, false);
    flight_phase(f, slot, FLIGHT_SENT);
    flight_phase(f, slot, FLIGHT_JUDGING);
    flight_note_t note = {.requests = 1, .checkpoint = text("{\"contact\":5}")};
    flight_note(f, slot, FLIGHT_BETWEEN, &note);
}

static void second_sent(flight_t *f)
{
    int slot = take(f, false);
    flight_note_t note = {.requests = 1, .checkpoint = text("{\"contact\":5}")};
    flight_note(f, slot, FLIGHT_BETWEEN, &note);
    flight_phase(f, slot, FLIGHT_SENT);
}

static void answered(flight_t *f)
{
    int slot = take(f, true);
    flight_note_t note = {.outcome = PLUMB_OUT_ok,
                          .status = 201,
                          .requests = 2,
                          .timings = {.total_us = 99},
                          .external_id = text("R-1")};
    flight_phase(f, slot, FLIGHT_SENT);
    flight_note(f, slot, FLIGHT_ANSWERED, &note);
}

static char long_id[FLIGHT_EXTERNAL_MAX + 1];

/* Texts that do not fit the short place. */
static void answered_at_length(flight_t *f)
{
    int slot = take(f, true);
    flight_note_t note = {.outcome = PLUMB_OUT_duplicate,
                          .status = 409,
                          .requests = 1,
                          .external_id = text(long_id),
                          .checkpoint = text("{\"contact\":5}")};
    flight_note(f, slot, FLIGHT_ANSWERED, &note);
}

static void throttled(flight_t *f)
{
    int slot = take(f, true);
    flight_note_t note = {.outcome = PLUMB_OUT_throttled,
                          .status = 429,
                          .requests = 1,
                          .retry_after_ms = 7000,
                          .detail = text("slow down")};
    flight_note(f, slot, FLIGHT_ANSWERED, &note);
}

static void released(flight_t *f)
{
    flight_free(f, take(f, true));
}

static void each_phase_is_reported(void **state)
{
    (void)state;
    memset(long_id, 'x', FLIGHT_EXTERNAL_MAX);
    static const struct {
        const char *name;
        void (*act)(flight_t *);
        bool reported;
        plumb_outcome_t outcome;
        bool blamed, resend;
        int status, requests;
        int64_t retry_after_ms;
        const char *external_id, *checkpoint;
    } rows[] = {
        {"assigned", assigned, false, 0, 0, 0, 0, 0, 0, "", ""},
        {"inside the plugin", plugin, true, PLUMB_OUT_bug, true, false, 0, 0, 0, "", ""},
        {"bytes sent", sent, true, PLUMB_OUT_ambiguous, false, true, 0, 1, 0, "", ""},
        {"bytes sent, no key", sent_unknown, true, PLUMB_OUT_ambiguous, false, false, 0, 1, 0, "",
         ""},
        {"over the answer", judging, true, PLUMB_OUT_ambiguous, true, true, 0, 1, 0, "", ""},
        {"between requests", between, true, PLUMB_OUT_retry, false, false, 0, 1, 0, "",
         "{\"contact\":5}"},
        {"second request sent", second_sent, true, PLUMB_OUT_ambiguous, false, false, 0, 1, 0, "",
         "{\"contact\":5}"},
        {"answered", answered, true, PLUMB_OUT_ok, false, false, 201, 2, 0, "R-1", ""},
        {"answered at length", answered_at_length, true, PLUMB_OUT_duplicate, false, false, 409, 1,
         0, long_id, "{\"contact\":5}"},
        {"throttled", throttled, true, PLUMB_OUT_throttled, false, false, 429, 1, 7000, "", ""},
        {"acked", released, false, 0, 0, 0, 0, 0, 0, "", ""},
    };
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        results_t results;
        size_t count;
        plumb_err_t err = {0};
        fresh(NULL);
        killed_after(rows[i].act);
        /* Twice, since the heir may be killed as well before anybody heard of it. */
        for (int start = 0; start < 2; start++) {
            flight_t *f = open_file(8);
            assert_int_equal(flight_previous(f), 42);
            assert_int_equal(results_init(&results, f, "w", 2000, 8, &err), 0);
            assert_int_equal(results_recover(&results, &count, &err), 0);
            if (count != rows[i].reported)
                fail_msg("%s: %zu reported", rows[i].name, count);
            flight_call_t call = a_call(1, true);
            kept_t *kept = results_find(&results, &call.ticket);
            if (rows[i].reported) {
                plumb_result_t r = {0};
                assert_int_equal(
                    plumb_result_decode(&r, kept->frame.data, kept->frame.length, &err), 0);
                if (r.outcome != rows[i].outcome || r.blamed != rows[i].blamed ||
                    r.resend != rows[i].resend || r.status != rows[i].status ||
                    r.requests != rows[i].requests || r.retry_after_ms != rows[i].retry_after_ms)
                    fail_msg("%s, start %d: %s blamed %d resend %d status %d requests %d",
                             rows[i].name, start, plumb_outcome_name(r.outcome), r.blamed, r.resend,
                             r.status, r.requests);
                assert_text(r.external_id, rows[i].external_id);
                assert_text(r.checkpoint, rows[i].checkpoint);
                assert_int_equal(r.started_ms, 1234567);
            }
            results_fini(&results);
            flight_close(&f);
        }
    }
}

static void acked_is_gone(void **state)
{
    (void)state;
    results_t results;
    size_t count;
    plumb_err_t err = {0};
    killed_after(answered);
    flight_t *f = open_file(8);
    results_init(&results, f, "w", 2000, 8, &err);
    results_recover(&results, &count, &err);
    flight_call_t call = a_call(1, true);
    flight_left_t left;
    assert_true(results_ack(&results, &call.ticket));
    results_fini(&results);
    flight_close(&f);
    f = open_file(8);
    results_init(&results, f, "w", 2000, 8, &err);
    results_recover(&results, &count, &err);
    assert_int_equal(count, 1); /* the broker has not heard of it: another HELLO must list it */
    results_told(&results, results_find(&results, &call.ticket));
    assert_true(results_ack(&results, &call.ticket));
    results_fini(&results);
    flight_close(&f);
    f = open_file(8);
    assert_false(flight_next(f, 0, &left));
    flight_close(&f);
}

/* A kill between any two stores of a note must leave the old note or the new one. */
static void a_torn_note_is_the_old_one(void **state)
{
    (void)state;
    flight_t *f = open_file(4);
    flight_call_t call = a_call(1, true);
    int slot = flight_take(f, &call);
    flight_note_t old = {.requests = 1, .checkpoint = text("{\"a\":1}")};
    flight_note(f, slot, FLIGHT_BETWEEN, &old);
    flight_note_t newer = {.requests = 2, .checkpoint = text("{\"a\":1,\"b\":2}")};
    /* What a new note writes before the one store that puts it in force. */
    struct stat before;
    assert_int_equal(stat(path, &before), 0);
    char *image = malloc((size_t)before.st_size), *after = malloc((size_t)before.st_size);
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, image, (size_t)before.st_size, 0), before.st_size);
    flight_note(f, slot, FLIGHT_BETWEEN, &newer);
    assert_int_equal(pread(fd, after, (size_t)before.st_size, 0), before.st_size);
    flight_close(&f);
    /* The word in force stands apart; everything else may have been written. */
    memcpy(after + 4096, image + 4096, 4);
    assert_int_equal(pwrite(fd, after, (size_t)before.st_size, 0), before.st_size);
    flight_left_t left;
    f = open_file(4);
    assert_true(flight_next(f, 0, &left));
    assert_text(left.note.checkpoint, "{\"a\":1}");
    assert_int_equal(flight_damaged(f), 0);
    flight_close(&f);
    close(fd);
    free(image);
    free(after);
}

static void flip(off_t at)
{
    char byte;
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x5a;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void damage_is_told_apart(void **state)
{
    (void)state;
    flight_left_t left;
    killed_after(answered);
    flip(RECORDS_AT + 20); /* in whose call it is */
    flight_t *f = open_file(8);
    assert_false(flight_next(f, 0, &left));
    assert_int_equal(flight_damaged(f), 1);
    flight_close(&f);

    fresh(NULL);
    killed_after(answered);
    int fd = open(path, O_RDONLY);
    char record[2048], *at;
    assert_int_equal(pread(fd, record, sizeof record, RECORDS_AT), sizeof record);
    close(fd);
    at = memmem(record, sizeof record, "R-1", 3);
    assert_non_null(at);
    flip(RECORDS_AT + (at - record)); /* in the result: bytes were sent, that much is sure */
    f = open_file(8);
    assert_true(flight_next(f, 0, &left));
    assert_int_equal(left.phase, FLIGHT_SENT);
    assert_int_equal(flight_damaged(f), 1);
    flight_close(&f);
}

static void one_process_a_slot(void **state)
{
    (void)state;
    plumb_err_t err = {0};
    flight_t *f = open_file(4), *second = NULL;
    assert_int_equal(flight_open(&second, path, 4, &err), -PLUMB_E_CONFIG);
    assert_null(second);
    assert_non_null(strstr(err.text, "another process"));
    flight_close(&f);
}

static void fills_up_and_is_reused(void **state)
{
    (void)state;
    flight_t *f = open_file(3);
    int slots[3];
    for (unsigned i = 0; i < 3; i++) {
        flight_call_t call = a_call(i + 1, true);
        slots[i] = flight_take(f, &call);
        assert_true(slots[i] >= 0);
    }
    flight_call_t more = a_call(9, true);
    assert_int_equal(flight_take(f, &more), -1);
    flight_free(f, slots[1]);
    assert_int_equal(flight_take(f, &more), slots[1]);
    struct stat is;
    assert_int_equal(stat(path, &is), 0);
    assert_int_equal(is.st_size, RECORDS_AT + 3 * (384 + 2048));
    assert_int_equal(is.st_mode & 0777, 0600);
    flight_close(&f);
}

static void another_size_waits_for_the_old_to_empty(void **state)
{
    (void)state;
    flight_left_t left;
    killed_after(answered);
    flight_t *f = open_file(16);
    assert_int_equal(flight_slots(f), 8);
    assert_true(flight_next(f, 0, &left));
    flight_free(f, left.slot);
    flight_close(&f);
    f = open_file(16);
    assert_int_equal(flight_slots(f), 16);
    assert_int_equal(flight_previous(f), 42);
    flight_close(&f);
    flip(4); /* another layout */
    f = open_file(16);
    assert_int_equal(flight_previous(f), 0);
    flight_close(&f);
    assert_int_equal(truncate(path, 100), 0); /* half made */
    f = open_file(16);
    assert_int_equal(flight_slots(f), 16);
    flight_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_phase_is_reported),
        cmocka_unit_test_setup(acked_is_gone, fresh),
        cmocka_unit_test_setup(a_torn_note_is_the_old_one, fresh),
        cmocka_unit_test_setup(damage_is_told_apart, fresh),
        cmocka_unit_test_setup(one_process_a_slot, fresh),
        cmocka_unit_test_setup(fills_up_and_is_reused, fresh),
        cmocka_unit_test_setup(another_size_waits_for_the_old_to_empty, fresh),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
