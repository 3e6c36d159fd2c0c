/* Ingest: its hand-over, with a commit and a push that take their time.  Its own HERE tells the
 * tracker that it lives. */
#include "sim.h"

#include "handover.h"

#include "clock.h"

#include <stdio.h>
#include <stdlib.h>

static struct {
    handover_t *handover;
    uint64_t instance;
    int64_t here_ms;
    struct order {
        enum { NOT_YET, DECIDED, COMMITTED, PUSHED } state;
        int64_t at_ms; /* of the next state */
        uint64_t epoch;
    } orders[SIM_DELIVERIES];
} ingest;

static void start(int node)
{
    (void)node;
    plumb_err_t err = {0};
    if (handover_new(&ingest.handover, &err) < 0)
        abort();
    ingest.instance = sim_random() | 1;
    ingest.here_ms = sim.now_ms;
    for (size_t i = 0; i < sim.delivery_count; i++) { /* a client repeats what got no answer */
        bool in = sim.now_ms > 0 && db_is_in(i);
        ingest.orders[i].state = in ? PUSHED : NOT_YET;
        ingest.orders[i].at_ms = in ? INT64_MAX : sim.deliveries[i].born_ms;
    }
}

static void stop(int node)
{
    (void)node;
    handover_destroy(&ingest.handover);
}

static void say_here(void)
{
    plumb_buf_t frame = {0};
    plumb_err_t err = {0};
    plumb_note_t here = {
        .type = PLUMB_MSG_HERE, .name = {"ingest", 6}, .instance = ingest.instance};
    if (plumb_note_encode(&frame, &here, &err) < 0)
        abort();
    wire_send(INGEST, TRACKER, IN_RESULTS, frame.data, frame.length);
    plumb_buf_fini(&frame);
    ingest.here_ms = sim.now_ms + 1000;
}

static void hear(void)
{
    plumb_note_space_t space = {0};
    plumb_err_t err = {0};
    plumb_note_t beacon;
    for (frame_t *frame; (frame = wire_take(INGEST, IN_BEACON)) != NULL; free(frame))
        if (plumb_note_decode(&beacon, &space, frame->data, frame->length, &err) == 0)
            handover_beacon(ingest.handover, &beacon, plumb_mono_ms());
    plumb_note_space_fini(&space);
}

static void decide(struct order *order, size_t i)
{
    plumb_uuid_t credential = sim_credential(sim.deliveries[i].credential);
    char queue[32];
    snprintf(queue, sizeof queue, "integration-%s", sim_channel(sim.deliveries[i].credential));
    handover_way_t way =
        handover_way(ingest.handover, queue, &credential, plumb_mono_ms(), &order->epoch);
    bool open = way == HANDOVER_OPEN && handover_reserve(ingest.handover, 512);
    if (!open)
        order->epoch = 0;
    order->state = DECIDED;
    order->at_ms = sim.now_ms + (sim_chance(300) ? sim_between(0, 8000) : sim_between(0, 20));
}

static void commit(struct order *order, size_t i)
{
    if (sim_acts(INGEST) || !db_insert(i, order->epoch)) {
        order->state = NOT_YET; /* 503: the client comes again */
        order->at_ms = sim.now_ms + 500;
        return;
    }
    sim_trace("ingest: %zu %s", i, order->epoch != 0 ? "queued" : "pending");
    order->state = order->epoch != 0 ? COMMITTED : PUSHED;
    order->at_ms = order->epoch != 0 ? sim.now_ms + sim_between(0, 2) : INT64_MAX;
}

static void push(struct order *order, size_t i)
{
    plumb_buf_t frame = {0};
    order->state = PUSHED;
    order->at_ms = INT64_MAX;
    if (sim.skip_pushes > 0) {
        sim.skip_pushes--;
        return;
    }
    if (sim_job(&frame, i, 1, order->epoch, 0, 0) < 0)
        abort();
    wire_send(INGEST, BROKER, IN_JOBS, frame.data, frame.length);
    plumb_buf_fini(&frame);
}

static void turn(int node)
{
    static void (*const steps[])(struct order *, size_t) = {decide, commit, push};
    (void)node;
    hear();
    if (sim.now_ms >= ingest.here_ms)
        say_here();
    for (size_t i = 0; i < sim.delivery_count; i++) {
        struct order *order = &ingest.orders[i];
        if (sim.now_ms >= order->at_ms)
            steps[order->state](order, i);
    }
}

static int64_t due_ms(int node)
{
    (void)node;
    int64_t due_ms = ingest.here_ms;
    for (size_t i = 0; i < sim.delivery_count; i++)
        if (ingest.orders[i].at_ms < due_ms)
            due_ms = ingest.orders[i].at_ms;
    return due_ms;
}

const daemon_t ingest_daemon = {start, stop, turn, due_ms};
