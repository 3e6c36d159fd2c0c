/* A job comes in: taken, known already, of a dead epoch, or more than we may hold. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

#define OVERFLOW_PART 4 /* so much above the memory not even a note of what was refused is kept */

/* Not taken: the tracker hears of it, so that its row waits in the table again at once.  When even
 * that is too much it is dropped, and an audit finds it. */
static void give_up(broker_t *b, ticket_t *t, const plumb_job_t *job)
{
    if (t == NULL && b->held < b->set.memory + b->set.memory / OVERFLOW_PART)
        t = bk_ticket_new(b, &job->ticket);
    if (t == NULL) {
        b->counts.refused++;
        return;
    }
    bk_ticket_move(b, t, BK_GIVEN_UP, NULL);
}

static bool attach_throttles(broker_t *b, payload_t *payload, const plumb_job_t *job)
{
    for (unsigned i = 0; i < job->throttle_count; i++) {
        throttle_t *throttle = bk_throttle_get(b, &job->throttles[i]);
        if (throttle == NULL)
            return false;
        payload->throttles[payload->throttle_count++] = throttle;
    }
    return true;
}

/* NULL: out of memory. */
static payload_t *payload_new(broker_t *b, queue_t *queue, lane_t *lane, const plumb_job_t *job,
                              const void *frame, size_t length)
{
    payload_t *payload = malloc(sizeof *payload + length);
    if (payload == NULL)
        return NULL;
    *payload = (payload_t){.length = length};
    memcpy(payload->frame, frame, length);
    if (attach_throttles(b, payload, job))
        payload->line = bk_line_get(b, queue, job, lane);
    if (payload->line != NULL)
        return payload;
    for (unsigned i = 0; i < payload->throttle_count; i++)
        bk_throttle_put(b, payload->throttles[i]);
    free(payload);
    return NULL;
}

static void take(broker_t *b, ticket_t *t, queue_t *queue, lane_t *lane, const plumb_job_t *job,
                 const void *frame, size_t length)
{
    payload_t *payload = payload_new(b, queue, lane, job, frame, length);
    if (payload != NULL && t == NULL)
        t = bk_ticket_new(b, &job->ticket);
    if (payload == NULL || t == NULL) {
        b->counts.refused++;
        if (payload != NULL) {
            for (unsigned i = 0; i < payload->throttle_count; i++)
                bk_throttle_put(b, payload->throttles[i]);
            bk_line_unref(b, payload->line);
            free(payload);
        }
        return;
    }
    t->payload = payload;
    t->arrived_ms = b->now_ms;
    t->queue = queue;
    queue->refs++;
    lane->queue = queue;
    bk_lane_throttles(b, lane, payload);
    bk_memory_add(b, lane, bk_job_bytes(length));
    b->beacon_taken += bk_job_bytes(length);
    b->counts.taken++;
    bk_ticket_move(b, t, BK_WAITING, NULL);
}

void bk_job(broker_t *b, const plumb_job_t *job, const void *frame, size_t length)
{
    if (job->ticket.attempt == 0 || !bk_name_valid(job->queue)) {
        b->counts.malformed++;
        return;
    }
    if (job->epoch != b->epoch) {
        b->counts.stale++;
        return;
    }
    if (b->mode != BK_RUNS) {
        b->counts.refused++;
        return;
    }
    ticket_t *t = bk_ticket_find(b, &job->ticket);
    if (t != NULL && t->phase != BK_MISSING) {
        b->counts.known++;
        return;
    }
    int64_t bytes = bk_job_bytes(length) + bk_ticket_bytes();
    lane_t *lane = bk_lane_get(b, &job->credential);
    queue_t *queue = bk_queue_get(b, job->queue);
    bool full = lane == NULL || !bk_takes(b, bytes) || !bk_lane_takes(b, lane, bytes);
    if (full)
        b->full++;
    if (full || queue == NULL || queue->state == BK_QUEUE_DRAINING || b->stopping)
        give_up(b, t, job);
    else
        take(b, t, queue, lane, job, frame, length);
}
