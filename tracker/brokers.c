/* Beacons, deaths and questions. */
#include "brokers.h"

#include "log.h"
#include "metrics.h"
#include "tracker.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TOLD_EVERY_MS 1000
#define OPENED_MS                                                                                  \
    100 /* until what ingest commits meanwhile, for want of room, is there to be fed */

void brokers_fini(brokers_t *b)
{
    gate_fini(&b->gate);
}

static void answer(tracker_t *t, uint64_t epoch, bool stands)
{
    plumb_note_t note = {.type = PLUMB_MSG_STANDS, .epoch = epoch, .stands = stands};
    links_send(&t->links, t->links.control, &note);
}

/* A broker that does not know that it was declared dead is told without having asked. */
static void tell_dead(tracker_t *t, epoch_t *epoch)
{
    if (t->now_ms - epoch->told_ms < TOLD_EVERY_MS)
        return;
    epoch->told_ms = t->now_ms;
    answer(t, epoch->id, false);
}

void brokers_beacon(tracker_t *t, const plumb_note_t *beacon)
{
    char name[NAME_SIZE];
    if (beacon->epoch == 0)
        return;
    slice_text(name, sizeof name, &beacon->name);
    epoch_t *epoch = epochs_beacon(&t->epochs, name, beacon->epoch, t->now_ms);
    if (epoch->state == EPOCH_DEAD)
        tell_dead(t, epoch);
    if (epoch->state != EPOCH_ALIVE || epoch->superseded)
        return;
    bool opens = gate_opens(&t->brokers.gate, beacon);
    if (!gate_beacon(&t->brokers.gate, beacon, t->now_ms))
        plumb_log_event(LOG_WARNING, "beacon_dropped", "broker=%s reason=\"out of memory\"", name);
    feeder_beacon(&t->feeder);
    if (opens)
        feeder_due(&t->feeder, t->now_ms + OPENED_MS);
}

void brokers_ask(tracker_t *t, const plumb_note_t *stands)
{
    brokers_t *b = &t->brokers;
    for (size_t i = 0; i < b->question_count; i++)
        if (b->questions[i].epoch == stands->epoch)
            return;
    if (b->question_count == BROKERS_QUESTIONS || stands->epoch == 0)
        return; /* it asks again */
    brokers_question_t *q = &b->questions[b->question_count++];
    q->epoch = stands->epoch;
    slice_text(q->broker, sizeof q->broker, &stands->name);
}

void brokers_inventory(tracker_t *t, const plumb_note_t *inventory)
{
    char slot[NAME_SIZE];
    slice_text(slot, sizeof slot, &inventory->name);
    plumb_held_t *again = calloc(inventory->held_count + 1, sizeof *again);
    if (again == NULL)
        return; /* the next round of the census brings it again */
    size_t count = epochs_inventory(&t->epochs, slot, inventory->epoch, inventory->held,
                                    inventory->held_count, again, t->now_ms);
    plumb_note_t adopt = {.type = PLUMB_MSG_ADOPT, .epoch = inventory->epoch};
    links_send_list(&t->links, t->links.acks, adopt, again, count);
    free(again);
}

uint64_t brokers_epoch(tracker_t *t)
{
    const gate_t *gate = &t->brokers.gate;
    const epoch_t *epoch = epochs_find(&t->epochs, gate->epoch);
    bool speaks = gate_is_fresh(gate, t->now_ms) && epoch != NULL && epoch->state == EPOCH_ALIVE &&
                  epoch->registered && !epoch->superseded;
    return speaks ? gate->epoch : 0;
}

uint64_t brokers_open_epoch(tracker_t *t)
{
    return t->brokers.gate.room > 0 ? brokers_epoch(t) : 0;
}

/* ---- with the database ---- */

static int load(tracker_t *t, plumb_err_t *err)
{
    PGresult *r = NULL;
    int rc = store_epochs_alive(&t->store, &r, err);
    for (int row = 0; rc == 0 && row < PQntuples(r); row++)
        epochs_load(&t->epochs, (uint64_t)plumb_get_int8(r, row, EPOCH_ID),
                    plumb_get_text(r, row, EPOCH_BROKER), t->now_ms);
    PQclear(r);
    t->brokers.loaded = rc == 0;
    return rc;
}

static void declare(tracker_t *t, epoch_t *epoch, const char *why)
{
    epochs_died(&t->epochs, epoch, t->now_ms);
    plumb_metric_add(PLUMB_M_EPOCHS_DEAD, "", 1);
    plumb_log_event(LOG_NOTICE, "epoch_dead", "broker=%s epoch=%" PRIu64 " reason=%s",
                    epoch->broker, epoch->id, why);
}

static int note_seen(tracker_t *t, epoch_t *epoch, plumb_err_t *err)
{
    bool alive = false;
    int rc = store_epoch_seen(&t->store, epoch->id, epoch->broker, &alive, err);
    if (rc < 0)
        return rc;
    epoch->noted_ms = t->now_ms;
    if (!alive) {
        declare(t, epoch, "another_tracker");
    } else if (!epoch->registered) {
        epochs_registered(&t->epochs, epoch);
        feeder_wake(&t->feeder);
        plumb_log_event(LOG_NOTICE, "epoch_began", "broker=%s epoch=%" PRIu64, epoch->broker,
                        epoch->id);
    }
    return 0;
}

static int note_all(tracker_t *t, plumb_err_t *err)
{
    epochs_t *e = &t->epochs;
    int64_t every_ms = e->times.dead_ms / 5 < 1000 ? e->times.dead_ms / 5 : 1000;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < e->count; i++) {
        epoch_t *epoch = &e->epochs[i];
        if (epoch->state == EPOCH_ALIVE && !epoch->superseded && epoch->seen_ms > epoch->noted_ms &&
            (!epoch->registered || t->now_ms - epoch->noted_ms >= every_ms))
            rc = note_seen(t, epoch, err);
    }
    return rc;
}

static int bury(tracker_t *t, plumb_err_t *err)
{
    epoch_t *epoch;
    while ((epoch = epochs_suspect(&t->epochs, t->now_ms)) != NULL) {
        bool dead = false;
        int rc = store_epoch_dead(&t->store, epoch->id, epoch->broker,
                                  epoch->superseded ? 0 : t->epochs.times.dead_ms, &dead, err);
        if (rc < 0)
            return rc;
        if (dead)
            declare(t, epoch, epoch->superseded ? "superseded" : "silent");
        else
            epochs_revived(epoch, t->now_ms);
    }
    return 0;
}

static int answer_all(tracker_t *t, plumb_err_t *err)
{
    brokers_t *b = &t->brokers;
    while (b->question_count > 0) {
        const brokers_question_t *q = &b->questions[b->question_count - 1];
        bool stands = false;
        int rc = store_epoch_stands(&t->store, q->epoch, &stands, err);
        if (rc < 0)
            return rc;
        if (stands)
            stands =
                epochs_beacon(&t->epochs, q->broker, q->epoch, t->now_ms)->state == EPOCH_ALIVE;
        answer(t, q->epoch, stands);
        plumb_log_event(LOG_NOTICE, "epoch_asked", "broker=%s epoch=%" PRIu64 " stands=%d",
                        q->broker, q->epoch, stands);
        b->question_count--;
    }
    return 0;
}

int brokers_work(tracker_t *t, plumb_err_t *err)
{
    int rc = t->brokers.loaded ? 0 : load(t, err);
    if (rc == 0)
        rc = note_all(t, err);
    if (rc == 0)
        rc = bury(t, err);
    if (rc == 0)
        rc = answer_all(t, err);
    if (epochs_census_due(&t->epochs, t->now_ms)) {
        plumb_note_t census = {.type = PLUMB_MSG_CENSUS};
        links_send(&t->links, t->links.acks, &census);
    }
    return rc;
}
