/* Messages: round trips, golden files, and everything that must be refused. */
#include "count.h"
#include "golden.h"
#include "msg.h"
#include "msg_check.h"
#include "msg_samples.h"
#include "msg_token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_ok(int rc, const plumb_err_t *err)
{
    if (rc != 0)
        fail_msg("%s", err->text);
}

static void assert_slice(plumb_slice_t got, plumb_slice_t want)
{
    assert_int_equal(got.length, want.length);
    assert_int_equal(got.data == NULL, want.data == NULL);
    if (want.length > 0)
        assert_memory_equal(got.data, want.data, want.length);
}

#define SAME(got, want, member) assert_true((got).member == (want).member)
#define SAME_UUID(got, want, member) assert_memory_equal((got).member.b, (want).member.b, 16)

/* ---- round trips ---- */

static void assert_job(const plumb_job_t *got, const plumb_job_t *want)
{
    SAME_UUID(*got, *want, ticket.delivery);
    SAME_UUID(*got, *want, account);
    SAME_UUID(*got, *want, lead);
    SAME_UUID(*got, *want, credential);
    SAME(*got, *want, ticket.attempt);
    SAME(*got, *want, epoch);
    SAME(*got, *want, priority);
    assert_slice(got->queue, want->queue);
    assert_slice(got->channel, want->channel);
    assert_slice(got->verb, want->verb);
    assert_slice(got->trace, want->trace);
    SAME(*got, *want, throttle_count);
    for (unsigned i = 0; i < want->throttle_count; i++) {
        assert_slice(got->throttles[i].key, want->throttles[i].key);
        SAME(*got, *want, throttles[i].per_kilosecond);
        SAME(*got, *want, throttles[i].burst);
    }
    assert_memory_equal(got->attempt_key, want->attempt_key, sizeof want->attempt_key);
    SAME(*got, *want, tries);
    SAME(*got, *want, crashes);
    SAME(*got, *want, credential_version);
    assert_slice(got->body, want->body);
    assert_slice(got->secrets, want->secrets);
    assert_slice(got->mapping, want->mapping);
    assert_slice(got->checkpoint, want->checkpoint);
    assert_slice(got->external_id, want->external_id);
}

static void carries_jobs(void **state)
{
    (void)state;
    plumb_buf_t out = {0};
    plumb_err_t err = {0};
    plumb_job_t job = sample_job(), got;
    assert_ok(plumb_job_encode(&out, &job, &err), &err);
    golden_bytes("msg_job.hex", out.data, out.length);
    assert_ok(plumb_job_decode(&got, out.data, out.length, &err), &err);
    assert_job(&got, &job);
    job = (plumb_job_t){.queue = job.queue, .channel = job.channel, .verb = {"", 0}};
    assert_ok(plumb_job_encode(&out, &job, &err), &err);
    golden_bytes("msg_job_smallest.hex", out.data, out.length);
    assert_ok(plumb_job_decode(&got, out.data, out.length, &err), &err);
    assert_job(&got, &job);
    plumb_buf_fini(&out);
}

static void carries_results(void **state)
{
    (void)state;
    plumb_buf_t out = {0};
    plumb_err_t err = {0};
    const plumb_result_t want = sample_result();
    plumb_result_t got;
    assert_ok(plumb_result_encode(&out, &want, &err), &err);
    golden_bytes("msg_result.hex", out.data, out.length);
    assert_ok(plumb_result_decode(&got, out.data, out.length, &err), &err);
    SAME_UUID(got, want, ticket.delivery);
    SAME_UUID(got, want, account);
    SAME_UUID(got, want, lead);
    SAME_UUID(got, want, credential);
    SAME(got, want, ticket.attempt);
    assert_slice(got.worker, want.worker);
    SAME(got, want, outcome);
    SAME(got, want, blamed);
    SAME(got, want, resend);
    SAME(got, want, status);
    SAME(got, want, retry_after_ms);
    assert_memory_equal(&got.timings, &want.timings, sizeof want.timings);
    SAME(got, want, started_ms);
    SAME(got, want, requests);
    assert_slice(got.detail, want.detail);
    assert_slice(got.external_id, want.external_id);
    assert_slice(got.checkpoint, want.checkpoint);
    assert_slice(got.exchange, want.exchange);
    assert_slice(got.refreshed, want.refreshed);
    SAME(got, want, credential_version);
    plumb_buf_fini(&out);
}

static void assert_note(const plumb_note_t *got, const plumb_note_t *want)
{
    SAME(*got, *want, type);
    assert_slice(got->name, want->name);
    SAME(*got, *want, instance);
    SAME(*got, *want, epoch);
    SAME(*got, *want, previous);
    SAME(*got, *want, clock_ms);
    SAME(*got, *want, credit);
    SAME(*got, *want, room);
    SAME(*got, *want, stands);
    SAME(*got, *want, given_up);
    SAME(*got, *want, outcome);
    SAME(*got, *want, retry_after_ms);
    assert_slice(got->text, want->text);
    SAME(*got, *want, queue_count);
    for (size_t i = 0; i < want->queue_count; i++)
        assert_slice(got->queues[i], want->queues[i]);
    SAME(*got, *want, held_count);
    for (size_t i = 0; i < want->held_count; i++) {
        SAME_UUID(*got, *want, held[i].ticket.delivery);
        SAME(*got, *want, held[i].ticket.attempt);
        SAME(*got, *want, held[i].phase);
        SAME(*got, *want, held[i].done);
    }
    SAME(*got, *want, lane_count);
    for (size_t i = 0; i < want->lane_count; i++) {
        SAME_UUID(*got, *want, lanes[i]);
        SAME(*got, *want, lane_wait_ms[i]);
    }
}

static void carries_notes(void **state)
{
    (void)state;
    plumb_buf_t out = {0};
    plumb_err_t err = {0};
    plumb_note_space_t space = {0};
    for (plumb_msg_type_t type = PLUMB_MSG_ACKS; type < PLUMB_MSG_COUNT; type++) {
        char name[64];
        plumb_note_t note = sample_note(type), got;
        plumb_msg_type_t is = PLUMB_MSG_JOB;
        assert_ok(plumb_note_encode(&out, &note, &err), &err);
        snprintf(name, sizeof name, "msg_%s.hex", plumb_msg_name(type));
        golden_bytes(name, out.data, out.length);
        assert_ok(plumb_msg_check(out.data, out.length, &is, &err), &err);
        assert_int_equal(is, type);
        assert_ok(plumb_note_decode(&got, &space, out.data, out.length, &err), &err);
        assert_note(&got, &note);
        note = (plumb_note_t){.type = type}; /* nothing but its type */
        assert_ok(plumb_note_encode(&out, &note, &err), &err);
        assert_ok(plumb_note_decode(&got, &space, out.data, out.length, &err), &err);
        assert_note(&got, &note);
    }
    plumb_note_space_fini(&space);
    plumb_note_space_fini(&space);
    plumb_note_space_fini(NULL);
    plumb_buf_fini(&out);
}

/* Lists at their limit, and one above it. */
static void limits_lists(void **state)
{
    (void)state;
    plumb_buf_t out = {0};
    plumb_err_t err = {0};
    plumb_note_space_t space = {0};
    plumb_note_t got, note = {.type = PLUMB_MSG_AUDIT, .held_count = PLUMB_HELD_MAX};
    plumb_held_t *held = calloc(PLUMB_HELD_MAX + 1, sizeof *held);
    assert_non_null(held);
    for (uint32_t i = 0; i <= PLUMB_HELD_MAX; i++)
        held[i] = (plumb_held_t){{sample_uuid((uint8_t)i), i}, PLUMB_PHASE_PLUGIN, i % 2 == 0};
    note.held = held;
    assert_ok(plumb_note_encode(&out, &note, &err), &err);
    assert_true(out.length < PLUMB_HELD_MAX * 21 + 32);
    assert_ok(plumb_note_decode(&got, &space, out.data, out.length, &err), &err);
    assert_note(&got, &note);
    note.held_count++;
    assert_int_equal(plumb_note_encode(&out, &note, &err), -PLUMB_E_MESSAGE);
    assert_string_equal(err.text, "encode 'audit': 'held': 4097, want at most 4096");
    free(held);
    plumb_note_space_fini(&space);
    plumb_buf_fini(&out);
}

/* ---- restamping ---- */

static void restamps(void **state)
{
    (void)state;
    plumb_buf_t out = {0}, again = {0};
    plumb_err_t err = {0};
    plumb_job_t job = sample_job();
    plumb_result_t result = sample_result();
    assert_ok(plumb_job_encode(&out, &job, &err), &err);
    assert_ok(plumb_job_restamp(out.data, out.length, 0x01020304, 0x05060708090a0b0c, &err), &err);
    job.ticket.attempt = 0x01020304;
    job.epoch = 0x05060708090a0b0c;
    assert_ok(plumb_job_encode(&again, &job, &err), &err);
    assert_int_equal(out.length, again.length);
    assert_memory_equal(out.data, again.data, again.length);
    for (size_t length = 0; length < 40; length++) {
        char cut[40];
        memcpy(cut, out.data, length);
        assert_int_equal(plumb_job_restamp(cut, length, 1, 1, &err), -PLUMB_E_MESSAGE);
    }
    assert_int_equal(plumb_job_restamp(out.data, out.length, 0x80000000, 1, &err),
                     -PLUMB_E_MESSAGE);
    assert_int_equal(plumb_job_restamp(out.data, out.length, 1, UINT64_MAX, &err),
                     -PLUMB_E_MESSAGE);
    assert_memory_equal(out.data, again.data, again.length);
    assert_ok(plumb_result_encode(&out, &result, &err), &err);
    assert_int_equal(plumb_job_restamp(out.data, out.length, 1, 1, &err), -PLUMB_E_MESSAGE);
    plumb_buf_fini(&out);
    plumb_buf_fini(&again);
}

/* ---- what is refused ---- */

/* Each decoder must survive; `frame` is copied to memory of its exact size for the sanitizer. */
static int decode_any(const char *frame, size_t length, plumb_err_t *err)
{
    static plumb_note_space_t space;
    plumb_job_t job;
    plumb_result_t result;
    plumb_note_t note;
    plumb_msg_type_t type = PLUMB_MSG_COUNT;
    char *exact = malloc(length > 0 ? length : 1);
    assert_non_null(exact);
    memcpy(exact, frame, length);
    int rc = plumb_msg_check(exact, length, &type, err);
    int as_job =
        plumb_job_decode(&job, exact, length, rc == 0 && type == PLUMB_MSG_JOB ? err : NULL);
    int as_result = plumb_result_decode(&result, exact, length,
                                        rc == 0 && type == PLUMB_MSG_RESULT ? err : NULL);
    int as_note = plumb_note_decode(&note, &space, exact, length,
                                    rc == 0 && type > PLUMB_MSG_RESULT ? err : NULL);
    plumb_note_space_fini(&space);
    free(exact);
    if (rc < 0 || type == PLUMB_MSG_COUNT) {
        assert_true(as_job < 0 && as_result < 0 && as_note < 0);
        return rc;
    }
    assert_true((as_job < 0) + (as_result < 0) + (as_note < 0) >= 2);
    return type == PLUMB_MSG_JOB ? as_job : type == PLUMB_MSG_RESULT ? as_result : as_note;
}

static void refuses_cut(const plumb_buf_t *frame)
{
    plumb_err_t err = {0};
    assert_ok(decode_any(frame->data, frame->length, &err), &err);
    for (size_t length = 0; length < frame->length; length++)
        if (decode_any(frame->data, length, &err) != -PLUMB_E_MESSAGE)
            fail_msg("cut to %zu of %zu bytes: taken", length, frame->length);
    char *longer = calloc(1, frame->length + 1);
    assert_non_null(longer);
    memcpy(longer, frame->data, frame->length);
    assert_int_equal(decode_any(longer, frame->length + 1, &err), -PLUMB_E_MESSAGE);
    free(longer);
}

/* Every bit flipped: no crash, and no frame that says one thing twice. */
static void survives_flips(const plumb_buf_t *frame)
{
    plumb_err_t err = {0};
    for (size_t bit = 0; bit < 8 * frame->length; bit++) {
        frame->data[bit / 8] ^= (char)(1 << bit % 8);
        decode_any(frame->data, frame->length, &err);
        frame->data[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static void survives_cuts_and_flips(void **state)
{
    (void)state;
    plumb_buf_t out = {0};
    plumb_err_t err = {0};
    plumb_job_t job = sample_job();
    plumb_result_t result = sample_result();
    assert_ok(plumb_job_encode(&out, &job, &err), &err);
    refuses_cut(&out);
    survives_flips(&out);
    assert_ok(plumb_result_encode(&out, &result, &err), &err);
    refuses_cut(&out);
    survives_flips(&out);
    for (plumb_msg_type_t type = PLUMB_MSG_ACKS; type < PLUMB_MSG_COUNT; type++) {
        plumb_note_t note = sample_note(type);
        assert_ok(plumb_note_encode(&out, &note, &err), &err);
        refuses_cut(&out);
        survives_flips(&out);
    }
    plumb_buf_fini(&out);
}

#define NOTE "\xa1v\x01\xa1t\xa4ping" /* two pairs */
#define B(bytes) bytes, sizeof(bytes) - 1

static const struct {
    const char *name, *frame;
    size_t length;
    const char *want; /* within the error; NULL: taken */
} frames[] = {
    {"smallest", B("\x82" NOTE), NULL},
    {"keys in another order", B("\x82\xa1t\xa4ping\xa1v\x01"), NULL},
    {"unknown key", B("\x83" NOTE "\xa5later\x81\xa1x\xc0"), NULL},
    {"number wider than needed", B("\x82\xa1v\xcf\0\0\0\0\0\0\0\1\xa1t\xa4ping"), NULL},
    {"signed but not negative",
     B("\x83" NOTE "\xa6"
       "credit\xd1\0\5"),
     NULL},
    {"negative clock",
     B("\x83" NOTE "\xa7"
       "clockMs\xff"),
     NULL},
    {"depth 16", B("\x83" NOTE "\xa1x\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x90"),
     NULL},
    {"depth 17",
     B("\x83" NOTE "\xa1x\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x90"),
     "nested too deep"},
    {"empty", B(""), "empty"},
    {"HTTP", B("GET / HTTP/1.0\r\n\r\n"), "bytes behind the end"},
    {"text of another protocol", B("\xa4ping"), "not a map"},
    {"array", B("\x92\x01\xa4ping"), "not a map"},
    {"no version", B("\x81\xa1t\xa4ping"), "has no version"},
    {"no type", B("\x81\xa1v\x01"), "has no type"},
    {"version 2", B("\x82\xa1v\x02\xa1t\xa4ping"), "version 2, want 1"},
    {"version as text",
     B("\x82\xa1v\xa1"
       "1\xa1t\xa4ping"),
     "has no version"},
    {"unknown type",
     B("\x82\xa1v\x01\xa1t\xa4"
       "boom"),
     "unknown type 'boom'"},
    {"type as number", B("\x82\xa1v\x01\xa1t\x01"), "type is no text"},
    {"doubled known key",
     B("\x84" NOTE "\xa5"
       "epoch\x01\xa5"
       "epoch\x01"),
     "doubled key"},
    {"doubled version", B("\x83" NOTE "\xa1v\x01"), "doubled key"},
    {"doubled type", B("\x83" NOTE "\xa1t\xa4ping"), "doubled key"},
    {"doubled known key with another between",
     B("\x85" NOTE "\xa5"
       "epoch\x01\xa1x\x01\xa5"
       "epoch\x01"),
     "doubled key"},
    {"name not UTF-8", B("\x83" NOTE "\xa4name\xa1\xff"), "not UTF-8"},
    {"name with NUL", B("\x83" NOTE "\xa4name\xa1\0"), "not UTF-8"},
    {"queue not UTF-8", B("\x83" NOTE "\xa6queues\x91\xa1\x80"), "not UTF-8"},
    {"queues cut", B("\x83" NOTE "\xa6queues\x92\xa1x"), "cut off"},
    {"text cut", B("\x83" NOTE "\xa4name\xa2x"), "cut off"},
    {"doubled unknown key", B("\x84" NOTE "\xa1x\x01\xa1x\x02"), "doubled key"},
    {"doubled key, longer head", B("\x84" NOTE "\xa1x\x01\xd9\x01x\x02"), "doubled key"},
    {"doubled key within", B("\x83" NOTE "\xa1x\x82\xa1y\x01\xa1y\x01"), "doubled key"},
    {"key that is a number", B("\x83" NOTE "\x05\x01"), "a key that is no text"},
    {"key that is bytes", B("\x83" NOTE "\xc4\x01x\x01"), "a key that is no text"},
    {"key that is not UTF-8", B("\x83" NOTE "\xa1\xff\x01"), "not UTF-8"},
    {"bytes behind", B("\x82" NOTE "\xc0"), "bytes behind the end"},
    {"map of 4 G in five bytes", B("\xdf\x03\x03\x03\xdf"), "more items than bytes left"},
    {"array of 4 G", B("\x83" NOTE "\xa1x\xdd\xff\xff\xff\xff\x01"), "more items than bytes left"},
    {"text longer than the frame", B("\x83" NOTE "\xa1x\xdb\xff\xff\xff\xff"), "cut off"},
    {"bytes longer than the frame", B("\x83" NOTE "\xa1x\xc6\x00\x00\x00\x02\x01"), "cut off"},
    {"number cut", B("\x83" NOTE "\xa1x\xcf\x01"), "cut off"},
    {"reserved head", B("\x83" NOTE "\xa1x\xc1"), "not used here"},
    {"ext", B("\x83" NOTE "\xa1x\xc7\x01\x05\x01"), "not used here"},
    {"timestamp ext", B("\x83" NOTE "\xa1x\xd6\xff\x01\x01\x01\x01"), "not used here"},
    {"text not UTF-8", B("\x83" NOTE "\xa1x\xa1\x80"), "not UTF-8"},
    {"surrogate", B("\x83" NOTE "\xa1x\xa3\xed\xa0\x80"), "not UTF-8"},
    {"overlong", B("\x83" NOTE "\xa1x\xa2\xc0\x80"), "not UTF-8"},
    {"NUL in text", B("\x83" NOTE "\xa1x\xa1\0"), "not UTF-8"},
    {"not a number", B("\x83" NOTE "\xa1x\xcb\x7f\xf8\0\0\0\0\0\0"), "not finite"},
    {"infinite float", B("\x83" NOTE "\xa1x\xca\x7f\x80\0\0"), "not finite"},
    {"name as number", B("\x83" NOTE "\xa4name\x01"), "'name': not text"},
    {"name as bytes", B("\x83" NOTE "\xa4name\xc4\x01x"), "'name': not text"},
    {"credit as text",
     B("\x83" NOTE "\xa6"
       "credit\xa1"
       "5"),
     "'credit': not a whole number"},
    {"credit negative",
     B("\x83" NOTE "\xa6"
       "credit\xff"),
     "'credit': not a whole number"},
    {"credit of 33 bits",
     B("\x83" NOTE "\xa6"
       "credit\xcf\0\0\0\1\0\0\0\0"),
     "want at most"},
    {"credit as real",
     B("\x83" NOTE "\xa6"
       "credit\xca\x3f\x80\0\0"),
     "not a whole number"},
    {"credit nil",
     B("\x83" NOTE "\xa6"
       "credit\xc0"),
     "not a whole number"},
    {"epoch of 64 bits",
     B("\x83" NOTE "\xa5"
       "epoch\xcf\x80\0\0\0\0\0\0\0"),
     "want at most"},
    {"clock above 63 bits",
     B("\x83" NOTE "\xa7"
       "clockMs\xcf\x80\0\0\0\0\0\0\0"),
     "with sign"},
    {"stands as number", B("\x83" NOTE "\xa6stands\x01"), "not true or false"},
    {"outcome unknown", B("\x83" NOTE "\xa7outcome\xa4nope"), "not a name that is known"},
    {"outcome as number", B("\x83" NOTE "\xa7outcome\x01"), "not a name that is known"},
    {"queues as text", B("\x83" NOTE "\xa6queues\xa1x"), "'queues': not an array"},
    {"queues of numbers", B("\x83" NOTE "\xa6queues\x91\x01"), "'queues': not text"},
    {"held as array", B("\x83" NOTE "\xa4held\x90"), "'held': not a multiple of 21"},
    {"held cut",
     B("\x83" NOTE "\xa4held\xc4\x14"
       "01234567890123456789"),
     "not a multiple of 21"},
    {"held in phase 4",
     B("\x83" NOTE "\xa4held\xc4\x15"
       "0123456789abcdef\0\0\0\1\x04"),
     "not a list of tickets"},
    {"held with attempt -1",
     B("\x83" NOTE "\xa4held\xc4\x15"
       "0123456789abcdef\xff\xff\xff\xff\0"),
     "not a list of tickets"},
    {"held none", B("\x83" NOTE "\xa4held\xc4\0"), NULL},
    {"lanes cut", B("\x83" NOTE "\xa5lanes\xc4\x01x"), "'lanes': not a multiple of 24"},
    {"job without anything", B("\x82\xa1v\x01\xa1t\xa3job"), "'attempt' is missing"},
    {"result without anything", B("\x82\xa1v\x01\xa1t\xa6result"), "'delivery' is missing"},
    {"delivery of 15 bytes",
     B("\x83\xa1v\x01\xa1t\xa3job\xa8"
       "delivery\xc4\x0f"
       "012345678901234"),
     "'delivery': not 16 bytes"},
    {"delivery as text",
     B("\x83\xa1v\x01\xa1t\xa3job\xa8"
       "delivery\xb0"
       "0123456789012345"),
     "not 16 bytes"},
    {"body as map",
     B("\x83\xa1v\x01\xa1t\xa3job\xa4"
       "body\x80"),
     "'body': not bytes"},
    {"body that is no map",
     B("\x83\xa1v\x01\xa1t\xa3job\xa4"
       "body\xc4\x01\x90"),
     "not a map"},
    {"body broken",
     B("\x83\xa1v\x01\xa1t\xa3job\xa4"
       "body\xc4\x02\x81\xa1"),
     "'body': byte 1"},
    {"body with doubled keys",
     B("\x83\xa1v\x01\xa1t\xa3job\xa4"
       "body\xc4\x07\x82\xa1x\x01\xa1x\x01"),
     "doubled key"},
    {"priority unknown", B("\x83\xa1v\x01\xa1t\xa3job\xa8priority\xa3top"),
     "'priority': not a name"},
    {"four throttles", B("\x83\xa1v\x01\xa1t\xa3job\xa9throttles\x94\x90\x90\x90\x90"),
     "4, want at most 3"},
    {"throttle of two", B("\x83\xa1v\x01\xa1t\xa3job\xa9throttles\x91\x92\xa1x\x01"),
     "not an array of arrays of 3"},
    {"timings of four", B("\x83\xa1v\x01\xa1t\xa6result\xa7timings\x94\1\2\3\4"),
     "'timings': not an array of 5"},
    {"status of 17 bits", B("\x83\xa1v\x01\xa1t\xa6result\xa6status\xce\0\1\0\0"), "want at most"},
};

static void refuses_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(frames); i++) {
        plumb_err_t err = {0};
        int rc = decode_any(frames[i].frame, frames[i].length, &err);
        if (frames[i].want == NULL && rc != 0)
            fail_msg("%s: refused: %s", frames[i].name, err.text);
        if (frames[i].want != NULL &&
            (rc != -PLUMB_E_MESSAGE || strstr(err.text, frames[i].want) == NULL))
            fail_msg("%s: got %d '%s', want '%s'", frames[i].name, rc, err.text, frames[i].want);
    }
}

/* The type that a decoder is chosen by is told without a check, from whatever bytes there are. */
static void tells_what_a_frame_claims(void **state)
{
    (void)state;
    static const struct {
        const char *frame;
        size_t length;
        plumb_msg_type_t want;
    } cases[] = {
        {B("\x82" NOTE), PLUMB_MSG_PING},
        {B("\x82\xa1t\xa4ping\xa1v\x01"), PLUMB_MSG_PING},
        {B("\x83\xa1x\x92\x01\x81\xa1t\x02\xa1t\xa6result\xc1"), PLUMB_MSG_RESULT},
        {B(""), PLUMB_MSG_COUNT},
        {B("\x92\xa1t\xa4ping"), PLUMB_MSG_COUNT},
        {B("\x82\xa1t"), PLUMB_MSG_COUNT},
        {B("\x82\xa1t\x01"), PLUMB_MSG_COUNT},
        {B("\x82\xa1t\xa4"
           "boom"),
         PLUMB_MSG_COUNT},
        {B("\xdf\xff\xff\xff\xff\xa1x\xdd\xff\xff\xff\xff"), PLUMB_MSG_COUNT},
    };
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        char *exact = malloc(cases[i].length > 0 ? cases[i].length : 1);
        assert_non_null(exact);
        memcpy(exact, cases[i].frame, cases[i].length);
        plumb_msg_type_t got = plumb_msg_claims(exact, cases[i].length);
        if (got != cases[i].want)
            fail_msg("row %zu: got %s", i, plumb_msg_name(got));
        free(exact);
    }
}

/* Who passes a job on leaves its packed values to who decodes it in the end, and nothing else. */
static void passes_on_packed_values(void **state)
{
    (void)state;
    plumb_buf_t out = {0};
    plumb_err_t err = {0};
    plumb_job_t job = sample_job(), got;
    assert_ok(plumb_job_encode(&out, &job, &err), &err);
    assert_ok(plumb_job_decode_to_pass_on(&got, out.data, out.length, &err), &err);
    assert_job(&got, &job);
    out.data[got.body.data - out.data] = '\x90'; /* no map any more */
    assert_ok(plumb_job_decode_to_pass_on(&got, out.data, out.length, &err), &err);
    assert_int_equal(got.body.length, job.body.length);
    assert_int_equal(plumb_job_decode(&got, out.data, out.length, &err), -PLUMB_E_MESSAGE);
    assert_int_equal(plumb_job_decode_to_pass_on(&got, out.data, out.length - 1, &err),
                     -PLUMB_E_MESSAGE);
    plumb_buf_fini(&out);
}

/* Keys of a later version at the top, among the known ones: each only once, however many. */
static void finds_doubled_unknown_at_the_top(void **state)
{
    (void)state;
    plumb_buf_t out = {0};
    plumb_err_t err = {0};
    plumb_note_t note;
    for (unsigned count = 1; count < 120; count++)
        for (int doubled = 0; doubled < 2; doubled++) {
            plumb_buf_clear(&out);
            plumb_buf_put(&out, "\xde\0", 2);
            plumb_buf_put(&out, (uint8_t[]){(uint8_t)(count + 3 + (unsigned)doubled)}, 1);
            plumb_buf_put(&out, B(NOTE "\xa6"
                                       "credit\x05"));
            for (unsigned i = 0; i < count; i++)
                plumb_buf_printf(&out, "\xa6k%05u%c", i, 1);
            if (doubled)
                plumb_buf_printf(&out, "\xa6k%05u%c", count / 2, 1);
            int rc = plumb_note_decode(&note, NULL, out.data, out.length, &err);
            if (doubled ? rc == 0 || strstr(err.text, "doubled key") == NULL : rc < 0)
                fail_msg("%u keys, %d doubled: %d %s", count, doubled, rc, err.text);
        }
    plumb_buf_fini(&out);
}

/* Every form an integer may have, read as the "clockMs" of a ping. */
static void reads_integers(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        int64_t want;
    } cases[] = {
        {B("\x00"), 0},
        {B("\x7f"), 127},
        {B("\xff"), -1},
        {B("\xe0"), -32},
        {B("\xcc\xff"), 255},
        {B("\xcd\xff\xff"), 65535},
        {B("\xce\xff\xff\xff\xff"), UINT32_MAX},
        {B("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MAX},
        {B("\xd0\x7f"), 127},
        {B("\xd0\x80"), -128},
        {B("\xd1\x80\0"), -32768},
        {B("\xd2\x80\0\0\0"), INT32_MIN},
        {B("\xd2\xff\xff\xff\xfe"), -2},
        {B("\xd3\x80\0\0\0\0\0\0\0"), INT64_MIN},
        {B("\xd3\0\0\0\0\0\0\0\x09"), 9},
    };
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        plumb_buf_t frame = {0};
        plumb_note_t note;
        plumb_err_t err = {0};
        plumb_buf_put(&frame, B("\x83" NOTE "\xa7"
                                "clockMs"));
        plumb_buf_put(&frame, cases[i].bytes, cases[i].length);
        assert_ok(plumb_note_decode(&note, NULL, frame.data, frame.length, &err), &err);
        if (note.clock_ms != cases[i].want)
            fail_msg("row %zu: got %lld", i, (long long)note.clock_ms);
        plumb_buf_fini(&frame);
    }
}

/* A map of `count` keys "k00001" … in the frame's `x`, the last one a repetition if wanted. */
static void put_many_keys(plumb_buf_t *out, unsigned count, bool doubled)
{
    plumb_buf_clear(out);
    plumb_buf_put(out, "\x83" NOTE "\xa1x\xde", 14);
    plumb_buf_put(out, (uint8_t[]){(uint8_t)(count >> 8), (uint8_t)count}, 2);
    for (unsigned i = 0; i < count; i++)
        plumb_buf_printf(out, "\xa6k%05u%c", doubled && i == count - 1 ? count / 2 : i, 1);
}

static void finds_doubled_among_many(void **state)
{
    (void)state;
    static const unsigned counts[] = {2, 47, 48, 49, 50, 1000, PLUMB_MSG_KEYS_MAX};
    plumb_buf_t out = {0};
    plumb_err_t err = {0};
    plumb_msg_type_t type;
    for (size_t i = 0; i < PLUMB_COUNT(counts); i++) {
        put_many_keys(&out, counts[i], false);
        assert_ok(plumb_msg_check(out.data, out.length, &type, &err), &err);
        if (counts[i] == 2)
            continue;
        put_many_keys(&out, counts[i], true);
        if (plumb_msg_check(out.data, out.length, &type, &err) != -PLUMB_E_MESSAGE ||
            strstr(err.text, "doubled key") == NULL)
            fail_msg("%u keys: the doubled one was not found", counts[i]);
    }
    put_many_keys(&out, PLUMB_MSG_KEYS_MAX + 1, false);
    assert_int_equal(plumb_msg_check(out.data, out.length, &type, &err), -PLUMB_E_MESSAGE);
    plumb_buf_fini(&out);
}

/* What a decoder would refuse is refused where it is made. */
static void refuses_to_encode(void **state)
{
    (void)state;
    static const char long_name[300] = {[0 ... 298] = 'x'};
    static char big[PLUMB_MSG_MAX];
    plumb_buf_t out = {0};
    plumb_err_t err = {0};
    memset(big, 'x', sizeof big);
    const plumb_job_t good = sample_job();
    plumb_job_t bad[10];
    for (size_t i = 0; i < PLUMB_COUNT(bad); i++)
        bad[i] = good;
    bad[0].queue = sample_text(long_name);
    bad[1].queue = (plumb_slice_t){0};
    bad[2].verb = (plumb_slice_t){"\xff", 1};
    bad[3].mapping = (plumb_slice_t){"a\0b", 3};
    bad[4].ticket.attempt = 0x80000000;
    bad[5].epoch = (uint64_t)1 << 63;
    bad[6].body = (plumb_slice_t){"\x91\x01", 2};
    bad[7].secrets = (plumb_slice_t){"\x81\xa1", 2};
    bad[8].mapping = (plumb_slice_t){big, sizeof big};
    bad[9].throttle_count = PLUMB_THROTTLES_MAX + 1;
    for (size_t i = 0; i < PLUMB_COUNT(bad); i++)
        if (plumb_job_encode(&out, &bad[i], &err) != -PLUMB_E_MESSAGE)
            fail_msg("bad job %zu was encoded", i);
    plumb_note_t note = {.type = PLUMB_MSG_JOB};
    assert_int_equal(plumb_note_encode(&out, &note, &err), -PLUMB_E_MESSAGE);
    note = (plumb_note_t){.type = PLUMB_MSG_DONE, .outcome = PLUMB_OUT_COUNT};
    assert_int_equal(plumb_note_encode(&out, &note, &err), -PLUMB_E_MESSAGE);
    assert_ok(plumb_job_encode(&out, &good, &err), &err); /* an error leaves nothing behind */
    plumb_buf_fini(&out);
}

/* The lead may be nested as deep as intake lets it: its depth counts for itself. */
static void carries_deep_leads(void **state)
{
    (void)state;
    char body[64] = "\x81\xa1x";
    plumb_buf_t out = {0};
    plumb_err_t err = {0};
    plumb_job_t job = sample_job(), got;
    memset(body + 3, '\x91', 30);
    body[33] = '\x90';
    job.body = (plumb_slice_t){body, 34};
    assert_ok(plumb_job_encode(&out, &job, &err), &err);
    assert_ok(plumb_job_decode(&got, out.data, out.length, &err), &err);
    body[33] = '\x91';
    body[34] = '\x90';
    job.body.length = 35;
    assert_int_equal(plumb_job_encode(&out, &job, &err), -PLUMB_E_MESSAGE);
    plumb_buf_fini(&out);
}

/* Maps of our own are written without a look; whoever reads the frame looks all the same. */
static void takes_its_own_maps_as_they_are(void **state)
{
    (void)state;
    plumb_buf_t looked = {0}, taken = {0};
    plumb_err_t err = {0};
    plumb_job_t job = sample_job(), got;
    assert_ok(plumb_job_encode(&looked, &job, &err), &err);
    job.is_ours = true;
    assert_ok(plumb_job_encode(&taken, &job, &err), &err);
    assert_int_equal(taken.length, looked.length);
    assert_memory_equal(taken.data, looked.data, looked.length);
    job.body = (plumb_slice_t){"\x91\x01", 2};
    assert_ok(plumb_job_encode(&taken, &job, &err), &err);
    assert_int_equal(plumb_job_decode(&got, taken.data, taken.length, &err), -PLUMB_E_MESSAGE);
    plumb_buf_fini(&looked);
    plumb_buf_fini(&taken);
}

static void refuses_large_frames(void **state)
{
    (void)state;
    plumb_err_t err = {0};
    plumb_msg_type_t type;
    char *frame = calloc(1, PLUMB_MSG_MAX + 1);
    assert_non_null(frame);
    assert_int_equal(plumb_msg_check(frame, PLUMB_MSG_MAX + 1, &type, &err), -PLUMB_E_MESSAGE);
    assert_string_equal(err.text, "frame: 1048577 bytes, want at most 1048576");
    free(frame);
}

/* ---- docs/messages.md ---- */

static void load_page(plumb_buf_t *page)
{
    char path[4096], piece[4096];
    size_t got;
    const char *source = getenv("PLUMB_SOURCE");
    snprintf(path, sizeof path, "%s/docs/messages.md", source != NULL ? source : ".");
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while ((got = fread(piece, 1, sizeof piece, file)) > 0)
        plumb_buf_put(page, piece, got);
    fclose(file);
}

static void assert_on_page(const plumb_buf_t *page, const char *word, size_t length)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "`%.*s`", (int)length, word);
    if (page->data == NULL || strstr(page->data, quoted) == NULL)
        fail_msg("docs/messages.md does not know %s", quoted);
}

static void assert_keys_on_page(const plumb_buf_t *page, const plumb_buf_t *frame)
{
    plumb_cursor_t cursor = {(const uint8_t *)frame->data,
                             (const uint8_t *)frame->data + frame->length};
    plumb_token_t map = {0}, key = {0};
    plumb_token_next(&cursor, &map);
    for (uint64_t i = 0; i < map.number; i++) {
        plumb_token_next(&cursor, &key);
        plumb_token_skip(&cursor);
        assert_on_page(page, (const char *)key.data, key.number);
    }
}

/* The samples have every key: the page must know each, and each type and outcome. */
static void is_documented(void **state)
{
    (void)state;
    plumb_buf_t page = {0}, out = {0};
    plumb_err_t err = {0};
    plumb_job_t job = sample_job();
    plumb_result_t result = sample_result();
    load_page(&page);
    assert_ok(plumb_job_encode(&out, &job, &err), &err);
    assert_keys_on_page(&page, &out);
    assert_ok(plumb_result_encode(&out, &result, &err), &err);
    assert_keys_on_page(&page, &out);
    for (plumb_msg_type_t type = PLUMB_MSG_ACKS; type < PLUMB_MSG_COUNT; type++) {
        plumb_note_t note = sample_note(type);
        assert_ok(plumb_note_encode(&out, &note, &err), &err);
        assert_keys_on_page(&page, &out);
        assert_on_page(&page, plumb_msg_name(type), strlen(plumb_msg_name(type)));
    }
    for (plumb_outcome_t outcome = 0; outcome < PLUMB_OUT_COUNT; outcome++)
        assert_on_page(&page, plumb_outcome_name(outcome), strlen(plumb_outcome_name(outcome)));
    plumb_buf_fini(&page);
    plumb_buf_fini(&out);
}

static void names_types(void **state)
{
    (void)state;
    for (plumb_msg_type_t type = PLUMB_MSG_JOB; type < PLUMB_MSG_COUNT; type++)
        for (plumb_msg_type_t other = PLUMB_MSG_JOB; other < type; other++)
            assert_string_not_equal(plumb_msg_name(type), plumb_msg_name(other));
    assert_string_equal(plumb_msg_name(PLUMB_MSG_COUNT), "unknown");
    assert_string_equal(plumb_outcome_name(PLUMB_OUT_gone), "gone");
    assert_string_equal(plumb_outcome_name(PLUMB_OUT_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_jobs),
        cmocka_unit_test(carries_results),
        cmocka_unit_test(carries_notes),
        cmocka_unit_test(limits_lists),
        cmocka_unit_test(restamps),
        cmocka_unit_test(survives_cuts_and_flips),
        cmocka_unit_test(refuses_malformed),
        cmocka_unit_test(tells_what_a_frame_claims),
        cmocka_unit_test(passes_on_packed_values),
        cmocka_unit_test(finds_doubled_unknown_at_the_top),
        cmocka_unit_test(reads_integers),
        cmocka_unit_test(finds_doubled_among_many),
        cmocka_unit_test(refuses_to_encode),
        cmocka_unit_test(carries_deep_leads),
        cmocka_unit_test(takes_its_own_maps_as_they_are),
        cmocka_unit_test(refuses_large_frames),
        cmocka_unit_test(is_documented),
        cmocka_unit_test(names_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
