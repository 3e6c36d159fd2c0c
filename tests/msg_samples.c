/* Sample messages. */
#include "msg_samples.h"

#include <string.h>

plumb_uuid_t sample_uuid(uint8_t seed)
{
    plumb_uuid_t id;
    for (size_t i = 0; i < sizeof id.b; i++)
        id.b[i] = (uint8_t)(seed + i);
    id.b[6] = 0x70;
    id.b[8] = 0x80;
    return id;
}

plumb_slice_t sample_text(const char *text)
{
    return (plumb_slice_t){text, strlen(text)};
}

#define DELIVERY                                                                                   \
    {                                                                                              \
        {                                                                                          \
            0x01, 0x97, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1                             \
        }                                                                                          \
    }

const plumb_held_t sample_held[2] = {
    {.ticket = {DELIVERY, 3}, .phase = PLUMB_PHASE_SENT, .done = true},
    {.ticket = {DELIVERY, INT32_MAX}, .phase = PLUMB_PHASE_ASSIGNED},
};

/* {"id": "x", "name": "Анна é!", "data": [1, {}]} */
static const char body[] = "\x83\xa2id\xa1x"
                           "\xa4name\xac\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0 \xc3\xa9!"
                           "\xa4"
                           "data\x92\x01\x80";

plumb_job_t sample_job(void)
{
    plumb_job_t job = {
        .ticket = {sample_uuid(1), 2},
        .account = sample_uuid(2),
        .lead = sample_uuid(3),
        .credential = sample_uuid(4),
        .epoch = INT64_MAX,
        .priority = PLUMB_LOW,
        .queue = sample_text("integration-webhooks"),
        .channel = sample_text("webhooks"),
        .verb = sample_text("send"),
        .trace = sample_text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        .throttles = {{sample_text("webhooks/0/https://example.test:443"), 50000, 100},
                      {sample_text("webhooks/1/"), 500, 1}},
        .throttle_count = 2,
        .tries = 7,
        .crashes = 1,
        .credential_version = 70000,
        .body = {body, sizeof body - 1},
        .secrets = {"\x81\xa3key\xa5whsec", 11},
        .mapping = sample_text("{\"a\":\"{{lead.name}}\"}"),
        .checkpoint = sample_text("{\"contact\":12}"),
        .external_id = sample_text("A-17"),
    };
    for (size_t i = 0; i < sizeof job.attempt_key; i++)
        job.attempt_key[i] = (uint8_t)(0xe0 + i);
    return job;
}

plumb_result_t sample_result(void)
{
    return (plumb_result_t){
        .ticket = {sample_uuid(1), 2},
        .account = sample_uuid(2),
        .lead = sample_uuid(3),
        .credential = sample_uuid(4),
        .worker = sample_text("worker-0"),
        .outcome = PLUMB_OUT_ambiguous,
        .blamed = true,
        .resend = true,
        .status = 503,
        .retry_after_ms = 30000,
        .timings = {100, 2000, 30000, 400000, 5000000},
        .started_ms = 1767225600123,
        .requests = 2,
        .detail = sample_text("the answer broke off"),
        .external_id = sample_text("A-17"),
        .checkpoint = sample_text("{\"contact\":12}"),
        .exchange = {"\x00\xff\x01sealed", 9},
        .refreshed = {"\x01\x02", 2},
        .credential_version = 3,
    };
}

static const plumb_slice_t queues[] = {{"integration-null", 16}, {"integration-webhooks", 20}};

plumb_note_t sample_note(plumb_msg_type_t type)
{
    static const plumb_uuid_t lanes[] = {DELIVERY, DELIVERY};
    static const int64_t waits[] = {15000, -1};
    plumb_note_t note = {.type = type, .name = sample_text("worker-0"), .epoch = 0x123456789abcdef};
    note.instance = UINT64_MAX;
    switch ((int)type) {
    case PLUMB_MSG_BEACON:
        note.room = 3355443;
        note.queues = queues;
        note.queue_count = 1;
        note.lanes = lanes;
        note.lane_wait_ms = waits;
        note.lane_count = 2;
        break;
    case PLUMB_MSG_HELLO:
        note.previous = 42;
        note.queues = queues;
        note.queue_count = 2;
        /* fall through */
    case PLUMB_MSG_PING:
    case PLUMB_MSG_PONG:
    case PLUMB_MSG_WELCOME:
        note.clock_ms = 123456789;
        note.credit = 512;
        break;
    case PLUMB_MSG_DONE:
        note.outcome = PLUMB_OUT_throttled;
        note.retry_after_ms = 2500;
        break;
    case PLUMB_MSG_STANDS:
        note.stands = true;
        break;
    case PLUMB_MSG_LOST:
        note.given_up = true;
        break;
    case PLUMB_MSG_CHANNELS:
    case PLUMB_MSG_CONTROL:
    case PLUMB_MSG_STATE:
        note.text = sample_text("{\"code\":\"webhooks\"}");
        break;
    default:
        break;
    }
    switch ((int)type) { /* lists of tickets */
    case PLUMB_MSG_BEACON:
    case PLUMB_MSG_HERE:
    case PLUMB_MSG_PING:
    case PLUMB_MSG_PONG:
    case PLUMB_MSG_WELCOME:
    case PLUMB_MSG_FENCED:
    case PLUMB_MSG_CENSUS:
    case PLUMB_MSG_STANDS:
    case PLUMB_MSG_CHANNELS:
    case PLUMB_MSG_CONTROL:
    case PLUMB_MSG_STATE:
        break;
    default:
        note.held = sample_held;
        note.held_count = 2;
    }
    return note;
}
