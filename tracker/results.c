/* Gathering, recording and acknowledging results. */
#include "results.h"

#include "clock.h"
#include "metrics.h"
#include "tracker.h"

#include <stdlib.h>

int results_init(results_t *r, size_t limit, plumb_err_t *err)
{
    *r = (results_t){.limit = limit};
    r->entries = calloc(limit, sizeof *r->entries);
    r->writes = calloc(limit, sizeof *r->writes);
    r->held = calloc(limit, sizeof *r->held);
    if (r->entries == NULL || r->writes == NULL || r->held == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "a group of %zu results", limit);
    return 0;
}

void results_fini(results_t *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->entries[i].state != RESULT_GONE)
            zmq_msg_close(&r->entries[i].frame);
    free(r->entries);
    free(r->writes);
    free(r->held);
    *r = (results_t){0};
}

bool results_full(const results_t *r)
{
    return r->count == r->limit || r->bytes >= RESULTS_BYTES;
}

int64_t results_due_ms(const results_t *r)
{
    if (r->count == 0)
        return INT64_MAX;
    return results_full(r) ? 0 : r->rest_until_ms;
}

void results_take(tracker_t *t, zmq_msg_t *frame, const plumb_result_t *result)
{
    results_t *r = &t->results;
    if (results_full(r)) {
        plumb_metric_add(PLUMB_M_FRAMES_REFUSED, "no_room", 1);
        return;
    }
    if (r->count == 0) {
        r->oldest_ms = t->now_ms;
        r->bytes = 0;
    }
    r->bytes += zmq_msg_size(frame);
    results_entry_t *entry = &r->entries[r->count++];
    zmq_msg_init(&entry->frame);
    zmq_msg_move(&entry->frame, frame);
    entry->result = *result;
    entry->state = RESULT_OPEN;
}

void results_lag(const results_t *r, int64_t now_ms)
{
    plumb_metric_set(PLUMB_M_TRACKER_LAG, "", r->count > 0 ? (now_ms - r->oldest_ms) / 1000 : 0);
}

static bool is_success(const plumb_result_t *result)
{
    return result->outcome == PLUMB_OUT_ok || result->outcome == PLUMB_OUT_duplicate;
}

/* List what is still to be recorded, in the order of locking. */
static size_t list_open(results_t *r, bool successes_only)
{
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++) {
        results_entry_t *entry = &r->entries[i];
        if (entry->state == RESULT_OPEN && (!successes_only || is_success(&entry->result)))
            r->writes[count++] = (attempt_write_t){.result = &entry->result, .index = (uint32_t)i};
    }
    group_sort(r->writes, count);
    return count;
}

static void take_over(results_t *r, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (r->writes[i].done)
            r->entries[r->writes[i].index].state =
                r->writes[i].refused ? RESULT_REFUSED : RESULT_RECORDED;
}

/* What is committed is told to worker and broker; what cannot ever be is let go without a word. */
static void acknowledge(tracker_t *t)
{
    results_t *r = &t->results;
    size_t acked = 0, open = 0;
    for (size_t i = 0; i < r->count; i++) {
        results_entry_t *entry = &r->entries[i];
        if (entry->state == RESULT_OPEN)
            open++;
        if (entry->state == RESULT_RECORDED)
            r->held[acked++] = (plumb_held_t){.ticket = entry->result.ticket};
        if (entry->state == RESULT_RECORDED || entry->state == RESULT_REFUSED) {
            zmq_msg_close(&entry->frame);
            entry->state = RESULT_GONE;
        }
    }
    if (open == 0)
        r->count = r->bytes = 0;
    links_ack(&t->links, r->held, acked);
}

static int record(tracker_t *t, record_fn how, bool successes_only, plumb_err_t *err)
{
    results_t *r = &t->results;
    size_t count = list_open(r, successes_only);
    if (count == 0)
        return 0;
    int rc = group_replay(t, how, r->writes, count, err);
    take_over(r, count);
    return rc;
}

int results_flush(tracker_t *t, plumb_err_t *err)
{
    results_t *r = &t->results;
    size_t count = r->count;
    if (count == 0 || (t->now_ms < results_due_ms(r) && !t->stopping))
        return 0;
    plumb_metric_observe_ms(PLUMB_M_RESULT_GROUP, "", (double)count);
    int rc = record(t, group_record_successes, true, err);
    if (rc == 0)
        rc = record(t, group_record, false, err);
    acknowledge(t);
    r->rest_until_ms = rc == 0 && count >= RESULTS_BUSY ? plumb_mono_ms() + RESULTS_REST_MS : 0;
    results_lag(r, t->now_ms);
    return rc;
}
