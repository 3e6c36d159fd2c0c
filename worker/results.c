/* Kept results. */
#include "results.h"

#include "log.h"

#include <stdlib.h>
#include <string.h>

int results_init(results_t *results, flight_t *flight, const char *worker, int64_t resend_ms,
                 size_t expected, plumb_err_t *err)
{
    *results = (results_t){.flight = flight, .worker = worker, .resend_ms = resend_ms};
    if (tickets_init(&results->by_ticket, expected) != 0)
        return plumb_err_set(err, PLUMB_E_MEMORY, "results");
    return 0;
}

#define UNUSED_MAX 64
#define FRAME_KEPT_MAX 2048 /* memory kept for the next frame; enough for a success */

/* ---- memory ---- */

/* Zeroes, but for the frame's memory. */
static kept_t *take_memory(results_t *r)
{
    kept_t *kept = r->unused;
    if (kept == NULL)
        return calloc(1, sizeof *kept);
    r->unused = kept->next;
    r->unused_count--;
    *kept = (kept_t){.frame = kept->frame};
    return kept;
}

static void free_memory(kept_t *kept)
{
    plumb_buf_fini(&kept->frame);
    free(kept);
}

static void give_memory(results_t *r, kept_t *kept)
{
    if (r->unused_count == UNUSED_MAX || kept->frame.capacity > FRAME_KEPT_MAX) {
        free_memory(kept);
        return;
    }
    kept->next = r->unused;
    r->unused = kept;
    r->unused_count++;
}

/* ---- lists ---- */

static void link_last(kept_t **first, kept_t **last, kept_t *kept)
{
    kept->before = *last;
    kept->next = NULL;
    *(*last != NULL ? &(*last)->next : first) = kept;
    *last = kept;
}

static void unlink_from(kept_t **first, kept_t **last, kept_t *kept)
{
    *(kept->before != NULL ? &kept->before->next : first) = kept->next;
    *(kept->next != NULL ? &kept->next->before : last) = kept->before;
}

/* A result that was never sent has no due time yet. */
#define FRESH INT64_MIN

static void leave(results_t *r, kept_t *kept)
{
    if (kept->acked)
        unlink_from(&r->acked_first, &r->acked_last, kept);
    else if (kept->due_ms == FRESH)
        unlink_from(&r->fresh_first, &r->fresh_last, kept);
    else
        unlink_from(&r->sent_first, &r->sent_last, kept);
}

static void destroy(results_t *r, kept_t *kept)
{
    leave(r, kept);
    r->untold -= !kept->told;
    r->acked -= kept->acked;
    tickets_remove(&r->by_ticket, &kept->entry);
    give_memory(r, kept);
}

void results_fini(results_t *r)
{
    for (kept_t *kept; (kept = results_next(r, NULL)) != NULL;)
        destroy(r, kept);
    while (r->unused != NULL)
        free_memory(take_memory(r));
    tickets_fini(&r->by_ticket);
}

/* ---- keeping ---- */

static plumb_result_t result_of(const results_t *r, const flight_call_t *call,
                                const flight_note_t *note)
{
    return (plumb_result_t){.ticket = call->ticket,
                            .account = call->account,
                            .lead = call->lead,
                            .credential = call->credential,
                            .credential_version = call->credential_version,
                            .worker = {r->worker, strlen(r->worker)},
                            .outcome = note->outcome,
                            .blamed = note->blamed,
                            .resend = note->resend,
                            .status = note->status,
                            .retry_after_ms = note->retry_after_ms,
                            .timings = note->timings,
                            .started_ms = call->started_ms,
                            .requests = note->requests,
                            .detail = note->detail,
                            .external_id = note->external_id,
                            .checkpoint = note->checkpoint};
}

static int keep(results_t *r, const plumb_result_t *result, int slot, plumb_err_t *err)
{
    kept_t *kept = take_memory(r);
    if (kept == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "keep a result");
    int rc = plumb_result_encode(&kept->frame, result, err);
    if (rc < 0) {
        free_memory(kept);
        return rc;
    }
    kept->entry.ticket = result->ticket;
    kept->slot = slot;
    kept->due_ms = FRESH;
    kept->outcome = result->outcome;
    kept->retry_after_ms = result->retry_after_ms;
    r->untold++;
    link_last(&r->fresh_first, &r->fresh_last, kept);
    tickets_add(&r->by_ticket, &kept->entry);
    return 0;
}

int results_add(results_t *r, int slot, const flight_call_t *call, const flight_note_t *note,
                plumb_slice_t exchange, plumb_slice_t refreshed, plumb_err_t *err)
{
    flight_note(r->flight, slot, FLIGHT_ANSWERED, note);
    plumb_result_t result = result_of(r, call, note);
    result.exchange = exchange;
    result.refreshed = refreshed;
    return keep(r, &result, slot, err);
}

/* ---- what an earlier process left ---- */

static const struct {
    plumb_outcome_t outcome;
    bool blamed;
    const char *detail;
} meaning[] = {
    [FLIGHT_PLUGIN] = {PLUMB_OUT_bug, true, "the channel crashed or did not return"},
    [FLIGHT_SENT] = {PLUMB_OUT_ambiguous, false, "the worker ended before the answer came"},
    /* The service has the request, so a plain try again would be a second one: its channel decides,
     * as with any lost answer. */
    [FLIGHT_JUDGING] = {PLUMB_OUT_ambiguous, true, "the channel crashed over the answer"},
    [FLIGHT_BETWEEN] = {PLUMB_OUT_retry, false, "the worker ended between two requests"},
};

static int recover_one(results_t *r, flight_left_t *left, plumb_err_t *err)
{
    flight_note_t note = left->note;
    plumb_slice_t none = {0};
    if (left->phase != FLIGHT_ANSWERED) {
        note.outcome = meaning[left->phase].outcome;
        note.blamed = meaning[left->phase].blamed;
        note.detail =
            (plumb_slice_t){meaning[left->phase].detail, strlen(meaning[left->phase].detail)};
        note.external_id = none;
        note.resend = note.outcome == PLUMB_OUT_ambiguous && left->call.resends;
        if (note.requests == 0 && note.outcome == PLUMB_OUT_ambiguous)
            note.requests = 1;
    }
    if (note.blamed) {
        char delivery[PLUMB_UUID_TEXT];
        plumb_log_event(LOG_WARNING, "delivery_blamed", "delivery=%s channel=%s attempt=%u",
                        plumb_uuid_text(&left->call.ticket.delivery, delivery), left->call.channel,
                        left->call.ticket.attempt);
    }
    return results_add(r, left->slot, &left->call, &note, none, none, err);
}

int results_recover(results_t *r, size_t *count, plumb_err_t *err)
{
    flight_left_t left;
    int rc = 0;
    *count = 0;
    for (int from = 0; rc == 0 && flight_next(r->flight, from, &left); from = left.slot + 1) {
        if (left.phase == FLIGHT_ASSIGNED) {
            flight_free(r->flight, left.slot); /* not listed in HELLO: the broker gives it out */
            continue;
        }
        rc = recover_one(r, &left, err);
        *count += rc == 0;
    }
    return rc;
}

/* ---- sending, acks ---- */

kept_t *results_find(const results_t *r, const plumb_ticket_t *ticket)
{
    return (kept_t *)(void *)tickets_find(&r->by_ticket, ticket);
}

kept_t *results_due(const results_t *r, int64_t now_ms)
{
    if (r->fresh_first != NULL)
        return r->fresh_first;
    return r->sent_first != NULL && r->sent_first->due_ms <= now_ms ? r->sent_first : NULL;
}

void results_sent(results_t *r, kept_t *kept, int64_t now_ms)
{
    leave(r, kept);
    kept->due_ms = now_ms + r->resend_ms;
    link_last(&r->sent_first, &r->sent_last, kept);
}

int64_t results_due_ms(const results_t *r)
{
    if (r->fresh_first != NULL)
        return INT64_MIN;
    return r->sent_first != NULL ? r->sent_first->due_ms : INT64_MAX;
}

/* Recorded, and the broker knows: only now may a crash make it unknown. */
static void forget(results_t *r, kept_t *kept)
{
    flight_free(r->flight, kept->slot);
    destroy(r, kept);
}

bool results_ack(results_t *r, const plumb_ticket_t *ticket)
{
    kept_t *kept = results_find(r, ticket);
    if (kept == NULL)
        return false;
    if (kept->acked)
        return true;
    if (kept->told) {
        forget(r, kept);
        return true;
    }
    leave(r, kept);
    plumb_buf_fini(&kept->frame);
    kept->acked = true;
    r->acked++;
    link_last(&r->acked_first, &r->acked_last, kept);
    return true;
}

void results_told(results_t *r, kept_t *kept)
{
    r->untold -= !kept->told;
    kept->told = true;
    if (kept->acked)
        forget(r, kept);
}

void results_untell(results_t *r, kept_t *kept)
{
    r->untold += kept->told;
    kept->told = false;
}

void results_untell_all(results_t *r)
{
    for (kept_t *kept = NULL; (kept = results_next(r, kept)) != NULL;)
        results_untell(r, kept);
}

kept_t *results_next(const results_t *r, const kept_t *kept)
{
    kept_t *sent_or_acked = r->sent_first != NULL ? r->sent_first : r->acked_first;
    if (kept == NULL)
        return r->fresh_first != NULL ? r->fresh_first : sent_or_acked;
    if (kept->next != NULL || kept->acked)
        return kept->next;
    return kept->due_ms == FRESH ? sent_or_acked : r->acked_first;
}

size_t results_count(const results_t *r)
{
    return r->by_ticket.count - r->acked;
}
