/* The broker's core fed with anything: raw frames at each of its doors, and well-formed messages
 * with small ids, so that they meet.  Its invariants must hold after each. */
#include "core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLICE(text) ((plumb_slice_t){(text), sizeof(text) - 1})
#define HELD 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct fuzz {
    broker_t *b;
    int64_t now;
    const uint8_t *at, *end;
    plumb_buf_t frame;
    unsigned sends;
} fuzz_t;

static uint8_t next(fuzz_t *f)
{
    return f->at < f->end ? *f->at++ : 0;
}

/* --- ports: now and then nothing can be sent --- */

static bool send_frame(fuzz_t *f)
{
    return f->sends++ % 7 != 6;
}

static bool to_worker(void *self, const char *slot, const void *frame, size_t length)
{
    (void)slot, (void)frame, (void)length;
    return send_frame(self);
}

static bool to_tracker(void *self, const void *frame, size_t length)
{
    (void)frame, (void)length;
    return send_frame(self);
}

static bool to_control(void *self, const void *identity, size_t identity_length, const void *frame,
                       size_t length)
{
    (void)identity, (void)identity_length, (void)frame, (void)length;
    return send_frame(self);
}

static void beacon(void *self, const void *frame, size_t length)
{
    (void)self, (void)frame, (void)length;
}

/* --- what is fed --- */

static const char *const slots[] = {"worker-0", "worker-1", "worker-2", "bad name"};

static plumb_uuid_t id(uint8_t kind, uint8_t n)
{
    return (plumb_uuid_t){{[0] = kind, [15] = n}};
}

static plumb_ticket_t ticket(fuzz_t *f)
{
    uint8_t n = next(f);
    return (plumb_ticket_t){id(1, n & 31), 1 + (n >> 7)};
}

static void door(fuzz_t *f, unsigned which, const char *slot, const void *frame, size_t length)
{
    if (which == 0)
        broker_job(f->b, f->now, frame, length);
    else if (which == 1)
        broker_work(f->b, f->now, slot, strlen(slot), frame, length);
    else if (which == 2)
        broker_control(f->b, f->now, slot, strlen(slot), frame, length);
    else
        broker_acks(f->b, f->now, frame, length);
}

static void raw(fuzz_t *f)
{
    uint8_t which = next(f);
    size_t length = next(f);
    length = length < (size_t)(f->end - f->at) ? length : (size_t)(f->end - f->at);
    door(f, which & 3, slots[which >> 2 & 3], f->at, length);
    f->at += length;
}

static void job(fuzz_t *f)
{
    static const plumb_slice_t queues[] = {SLICE("integration-a"), SLICE("b"), SLICE("c")};
    static const plumb_slice_t keys[] = {SLICE("a/0/x"), SLICE("a/0/"), SLICE("a/1/y")};
    static char padding[20000];
    plumb_err_t err = {0};
    uint8_t how = next(f);
    uint8_t who = next(f);
    memset(padding, 'x', sizeof padding);
    plumb_job_t j = {.ticket = ticket(f),
                     .account = id(2, who & 3),
                     .credential = id(4, who >> 2 & 7),
                     .epoch = broker_epoch(f->b) + (how == 255),
                     .priority = (plumb_priority_t)(how % 3),
                     .queue = queues[how / 3 % 3],
                     .channel = SLICE("a"),
                     .verb = SLICE("send"),
                     .crashes = how >> 6 == 3,
                     .body = SLICE("\x80"),
                     .secrets = SLICE("\x80"),
                     .mapping = {padding, how >> 5 == 5 ? sizeof padding : 10}};
    for (unsigned i = 0; i < (unsigned)(who >> 6); i++)
        j.throttles[j.throttle_count++] = (plumb_throttle_t){
            .key = keys[i], .per_kilosecond = 500u * (how & 7), .burst = how >> 4};
    if (plumb_job_encode(&f->frame, &j, &err) == 0)
        door(f, 0, "", f->frame.data, f->frame.length);
}

static void note(fuzz_t *f)
{
    static const plumb_msg_type_t types[] = {
        PLUMB_MSG_HELLO, PLUMB_MSG_PING,   PLUMB_MSG_DONE,   PLUMB_MSG_RETURN,  PLUMB_MSG_RECALLED,
        PLUMB_MSG_AUDIT, PLUMB_MSG_RECALL, PLUMB_MSG_STANDS, PLUMB_MSG_CONTROL, PLUMB_MSG_ACKS};
    static const plumb_slice_t queues[] = {SLICE("integration-a"), SLICE("b"), SLICE("c")};
    static const plumb_slice_t verbs[] = {SLICE("pause"), SLICE("resume"), SLICE("drain"),
                                          SLICE("stats")};
    plumb_err_t err = {0};
    plumb_held_t held[HELD];
    uint8_t what = next(f);
    uint8_t how = next(f);
    unsigned type = what % (sizeof types / sizeof types[0]);
    const char *slot = slots[how & 3];
    size_t count = how >> 2 & 3;
    for (size_t i = 0; i < count; i++)
        held[i] = (plumb_held_t){.ticket = ticket(f), .phase = (plumb_phase_t)(next(f) & 3)};
    plumb_note_t n = {.type = types[type],
                      .name = {slot, strlen(slot)},
                      .instance = 1 + (how >> 7),
                      .previous = how >> 5 & 3,
                      .epoch = broker_epoch(f->b),
                      .credit = next(f),
                      .outcome = (plumb_outcome_t)(next(f) % PLUMB_OUT_COUNT),
                      .retry_after_ms = (int64_t)next(f) * 100,
                      .stands = how & 4,
                      .queues = queues,
                      .queue_count = types[type] == PLUMB_MSG_HELLO ? how >> 4 & 3 : 0,
                      .held = held,
                      .held_count = count};
    if (types[type] == PLUMB_MSG_CONTROL) {
        n.text = verbs[how >> 4 & 3];
        n.name = how >> 7 ? queues[how % 3] : (plumb_slice_t){"", 0};
    }
    if (plumb_note_encode(&f->frame, &n, &err) == 0)
        door(f, type < 5 ? 1 : type < 9 ? 2 : 3, slot, f->frame.data, f->frame.length);
}

static void act(fuzz_t *f)
{
    uint8_t what = next(f);
    f->now += (int64_t)(what >> 3) * (what >> 3);
    switch (what & 7) {
    case 0:
        raw(f);
        break;
    case 1:
    case 2:
    case 3:
        job(f);
        break;
    case 7:
        f->now += (int64_t)next(f) * 100;
        if (next(f) == 255)
            broker_stop(f->b, f->now);
        break;
    default:
        note(f);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_t f = {.now = 1000, .at = data, .end = data + size};
    broker_settings_t settings = {.name = "broker-0",
                                  .memory = 65536,
                                  .beacon_every_ms = 1000,
                                  .epoch_dead_ms = 10000,
                                  .worker_dead_ms = 10000,
                                  .fence_ms = 5000,
                                  .breaker_run = 3,
                                  .breaker_open_ms = 1000,
                                  .breaker_open_max_ms = 8000,
                                  .destination_start = 2,
                                  .destination_max = 4};
    broker_ports_t ports = {.self = &f,
                            .to_worker = to_worker,
                            .to_tracker = to_tracker,
                            .to_control = to_control,
                            .beacon = beacon};
    plumb_err_t err = {0};
    f.b = broker_new(&settings, &ports, 1, f.now);
    while (f.b != NULL && f.at < f.end) {
        act(&f);
        if (broker_check(f.b, &err) == 0)
            broker_step(f.b, f.now);
        if (broker_check(f.b, &err) < 0) {
            fprintf(stderr, "invariant: %s\n", err.text);
            abort();
        }
    }
    broker_destroy(&f.b);
    plumb_buf_fini(&f.frame);
    return 0;
}
