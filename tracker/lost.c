/* Tickets whose worker or broker let go of them. */
#include "lost.h"

#include "count.h"
#include "log.h"
#include "metrics.h"
#include "tracker.h"

#include <stdlib.h>
#include <string.h>

#define GATHER_MS 20
#define PAGE 1000
#define TICKETS_MAX 65536 /* what is more is repeated by its broker */

/* What was said of a ticket, and by which epoch: a place in `epochs` above the flags.  Of a broker
 * that does not know yet that it is dead a row that lives on under another epoch must not hear. */
enum { SAID_LOST = 1, SAID_GIVEN_UP = 2, SAID_UNACKED = 4, FOUND = 8, TAKEN = 16, OPEN = 32 };
#define PLACE_SHIFT 8
#define FLAGS ((1U << PLACE_SHIFT) - 1)

void lost_init(lost_t *l)
{
    *l = (lost_t){.at_ms = INT64_MAX};
}

void lost_fini(lost_t *l)
{
    tickets_fini(&l->tickets);
}

/* The epoch's place, or LOST_EPOCHS when there is none left: it repeats itself. */
static size_t place_of(lost_t *l, uint64_t epoch)
{
    for (size_t i = 0; i < l->epoch_count; i++)
        if (l->epochs[i] == epoch)
            return i;
    if (l->epoch_count == LOST_EPOCHS)
        return LOST_EPOCHS;
    l->epochs[l->epoch_count] = epoch;
    l->questions[l->epoch_count] = 0;
    return l->epoch_count++;
}

void lost_note(tracker_t *t, const plumb_note_t *note)
{
    lost_t *l = &t->lost;
    uint32_t said = note->type == PLUMB_MSG_UNACKED ? SAID_UNACKED
                    : note->given_up                ? SAID_GIVEN_UP
                                                    : SAID_LOST;
    size_t place = place_of(l, note->epoch);
    if (place == LOST_EPOCHS)
        return;
    if (note->type == PLUMB_MSG_UNACKED && note->instance > l->questions[place])
        l->questions[place] = note->instance;
    slice_text(l->broker, sizeof l->broker, &note->name);
    for (size_t i = 0; i < note->held_count && l->tickets.count < TICKETS_MAX; i++) {
        uint32_t *known = tickets_enter(&l->tickets, &note->held[i].ticket, 0, NULL);
        if (known == NULL)
            continue;
        if (said != SAID_UNACKED || *known == 0)
            *known = (*known & FLAGS) | (uint32_t)place << PLACE_SHIFT;
        *known |= said;
    }
    if (l->tickets.count > 0 && l->at_ms == INT64_MAX)
        l->at_ms = t->now_ms + GATHER_MS;
}

/* ---- recording what a silent worker had ---- */

static int record(tracker_t *t, const delivery_key_t *keys, size_t count, plumb_result_t *results,
                  attempt_write_t *writes, const char *who, plumb_err_t *err)
{
    static const char detail[] = "its worker fell silent; the request may have been sent";
    for (size_t i = 0; i < count; i++) {
        results[i] = (plumb_result_t){.ticket = keys[i].ticket,
                                      .account = keys[i].account,
                                      .worker = {who, strlen(who)},
                                      .outcome = PLUMB_OUT_ambiguous,
                                      .detail = {detail, sizeof detail - 1}};
        writes[i] = (attempt_write_t){.result = &results[i], .index = (uint32_t)i, .lost = true};
    }
    group_sort(writes, count);
    int rc = group_replay(t, group_record, writes, count, err);
    if (rc == 0) {
        plumb_metric_add(PLUMB_M_REQUEUED, "lost", (int64_t)count);
        plumb_log_event(LOG_WARNING, "worker_lost", "deliveries=%zu told_by=%s", count, who);
    }
    return rc;
}

int lost_record(tracker_t *t, const delivery_key_t *keys, size_t count, const char *who,
                plumb_err_t *err)
{
    if (count == 0)
        return 0;
    plumb_result_t *results = calloc(count, sizeof *results);
    attempt_write_t *writes = calloc(count, sizeof *writes);
    int rc = results == NULL || writes == NULL
                 ? plumb_err_set(err, PLUMB_E_MEMORY, "%zu lost deliveries", count)
                 : record(t, keys, count, results, writes, who, err);
    free(results);
    free(writes);
    return rc;
}

/* ---- the walk ---- */

static int requeue(tracker_t *t, const delivery_key_t *keys, size_t count, plumb_err_t *err)
{
    size_t moved = 0;
    if (count == 0)
        return 0;
    int rc = store_requeue_given_up(&t->store, keys, count, &moved, err);
    if (rc < 0)
        return rc;
    plumb_metric_add(PLUMB_M_REQUEUED, "given_up", (int64_t)moved);
    plumb_log_event(LOG_NOTICE, "given_up", "deliveries=%zu broker=%s", moved, t->lost.broker);
    feeder_wake(&t->feeder);
    return 0;
}

/* Sort a page's rows by what was said of them. */
static int take_page(tracker_t *t, const PGresult *r, plumb_err_t *err)
{
    struct {
        delivery_key_t lost[PAGE], given_up[PAGE];
    } *keys = calloc(1, sizeof *keys);
    size_t lost_count = 0, given_up_count = 0;
    if (keys == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "a page of queued rows");
    for (int row = 0; row < PQntuples(r); row++) {
        delivery_key_t key = {
            plumb_get_uuid(r, row, QUEUED_ACCOUNT),
            {plumb_get_uuid(r, row, QUEUED_ID), (uint32_t)plumb_get_int4(r, row, QUEUED_ATTEMPT)}};
        uint32_t *said = tickets_find(&t->lost.tickets, &key.ticket);
        if (said == NULL)
            continue;
        *said |= FOUND;
        if ((uint64_t)plumb_get_int8(r, row, QUEUED_EPOCH) != t->lost.epochs[*said >> PLACE_SHIFT])
            continue;
        if (*said & SAID_LOST)
            keys->lost[lost_count++] = key;
        else if (*said & SAID_GIVEN_UP)
            keys->given_up[given_up_count++] = key;
        *said |= *said & (SAID_LOST | SAID_GIVEN_UP) ? TAKEN : OPEN;
    }
    int rc = lost_record(t, keys->lost, lost_count, t->lost.broker, err);
    if (rc == 0)
        rc = requeue(t, keys->given_up, given_up_count, err);
    free(keys);
    return rc;
}

/* What a walk that broke off had seen is old by now. */
static void forget_seen(tickets_t *tickets)
{
    for (size_t i = 0; i < tickets->capacity; i++)
        tickets->slots[i].value &= ~(uint32_t)(FOUND | OPEN);
}

static int walk(tracker_t *t, plumb_err_t *err)
{
    forget_seen(&t->lost.tickets);
    queued_cursor_t cursor = {0};
    bool end = false;
    int rc = 0;
    while (rc == 0 && !end) {
        PGresult *r = NULL;
        rc = store_queued(&t->store, &cursor, 0, PAGE, &end, &r, err);
        if (rc == 0)
            rc = take_page(t, r, err);
        PQclear(r);
    }
    return rc;
}

/* To the broker that asked, not to workers: one that was given up and lives has a result that is
 * still to be recorded. */
static void tell(tracker_t *t, size_t place, plumb_msg_type_t type, const plumb_held_t *held,
                 size_t count)
{
    plumb_note_t note = {.type = type, .epoch = t->lost.epochs[place]};
    if (type == PLUMB_MSG_UNACKED)
        note.instance = t->lost.questions[place];
    links_send_list(&t->links, t->links.acks, note, held, count);
}

/* All but what still waits for its result, which its worker repeats. */
static bool is_settled(uint32_t said)
{
    return (said & (FOUND | SAID_UNACKED | TAKEN)) != (FOUND | SAID_UNACKED);
}

static bool is_open(uint32_t said)
{
    return (said & OPEN) != 0;
}

static void tell_all(tracker_t *t, size_t place, plumb_msg_type_t type, bool (*wanted)(uint32_t))
{
    const tickets_t *tickets = &t->lost.tickets;
    plumb_held_t held[512];
    size_t count = 0;
    for (size_t i = 0; i < tickets->capacity; i++) {
        const tickets_slot_t *slot = &tickets->slots[i];
        if (slot->ticket.attempt == 0 || slot->value >> PLACE_SHIFT != place ||
            !wanted(slot->value))
            continue;
        held[count++] = (plumb_held_t){.ticket = slot->ticket};
        if (count == PLUMB_COUNT(held)) {
            tell(t, place, type, held, count);
            count = 0;
        }
    }
    tell(t, place, type, held, count);
}

/* The rows were read after every question that is answered here, so the newest one's number tells
 * how old this knowledge is at most. */
static void answer(tracker_t *t)
{
    for (size_t place = 0; place < t->lost.epoch_count; place++) {
        tell_all(t, place, PLUMB_MSG_ACKS, is_settled);
        if (t->lost.questions[place] != 0)
            tell_all(t, place, PLUMB_MSG_UNACKED, is_open);
    }
}

int lost_work(tracker_t *t, plumb_err_t *err)
{
    lost_t *l = &t->lost;
    if (t->now_ms < l->at_ms || t->results.count > 0)
        return 0;
    int rc = walk(t, err);
    if (rc < 0)
        return rc;
    answer(t);
    tickets_fini(&l->tickets);
    l->epoch_count = 0;
    l->at_ms = INT64_MAX;
    return 0;
}
