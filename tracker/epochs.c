/* Life and death of brokers' starts, and of the rows queued under them. */
#include "epochs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void epochs_init(epochs_t *e, const epochs_times_t *times, int64_t now_ms)
{
    *e = (epochs_t){
        .times = *times, .began_ms = now_ms, .ticked_ms = now_ms, .census_at_ms = INT64_MIN / 2};
}

void epochs_fini(epochs_t *e)
{
    free(e->reports);
    tickets_fini(&e->index);
    *e = (epochs_t){0};
}

/* ---- our own loop ---- */

bool epochs_tick(epochs_t *e, int64_t now_ms)
{
    bool stalled = now_ms - e->ticked_ms > STALL_MS;
    e->ticked_ms = now_ms;
    return stalled;
}

void epochs_restart(epochs_t *e, int64_t now_ms)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->epochs[i].state != EPOCH_DEAD)
            e->epochs[i].seen_ms = e->epochs[i].noted_ms = now_ms;
        else
            e->epochs[i].died_ms = now_ms; /* nobody could be heard meanwhile: ask again */
    for (size_t i = 0; i < e->report_count; i++)
        e->reports[i].at_ms = now_ms;
    e->census_began_ms = now_ms;
    e->census_until_ms = now_ms + CENSUS_MORE_MS;
    e->ticked_ms = now_ms;
}

/* ---- epochs ---- */

epoch_t *epochs_find(epochs_t *e, uint64_t id)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->epochs[i].id == id)
            return &e->epochs[i];
    return NULL;
}

/* A place for another epoch: a new one, or that of the one dead for longest, or the most silent. */
static epoch_t *make_place(epochs_t *e)
{
    if (e->count < EPOCHS_MAX)
        return &e->epochs[e->count++];
    epoch_t *oldest = &e->epochs[0];
    for (size_t i = 1; i < e->count; i++) {
        epoch_t *other = &e->epochs[i];
        bool dead = other->state == EPOCH_DEAD, was_dead = oldest->state == EPOCH_DEAD;
        if (dead != was_dead
                ? dead
                : (dead ? other->died_ms < oldest->died_ms : other->seen_ms < oldest->seen_ms))
            oldest = other;
    }
    return oldest;
}

static epoch_t *enter(epochs_t *e, uint64_t id, const char *broker, epoch_state_t state,
                      int64_t now_ms)
{
    epoch_t *epoch = make_place(e);
    *epoch = (epoch_t){.id = id,
                       .state = state,
                       .seen_ms = now_ms,
                       .noted_ms = INT64_MIN / 2,
                       .told_ms = INT64_MIN / 2};
    snprintf(epoch->broker, sizeof epoch->broker, "%s", broker);
    return epoch;
}

void epochs_load(epochs_t *e, uint64_t id, const char *broker, int64_t now_ms)
{
    if (epochs_find(e, id) != NULL)
        return;
    epoch_t *epoch = enter(e, id, broker, EPOCH_ALIVE, now_ms);
    epoch->registered = true;
    epoch->noted_ms = now_ms; /* that we read it is no sign of life to write down */
}

epoch_t *epochs_beacon(epochs_t *e, const char *broker, uint64_t id, int64_t now_ms)
{
    epoch_t *epoch = epochs_find(e, id);
    if (epoch == NULL)
        epoch = enter(e, id, broker, EPOCH_ALIVE, now_ms);
    if (epoch->state != EPOCH_DEAD && !epoch->superseded) {
        epoch->state = EPOCH_ALIVE;
        epoch->seen_ms = now_ms;
    }
    return epoch;
}

void epochs_registered(epochs_t *e, epoch_t *epoch)
{
    epoch->registered = true;
    for (size_t i = 0; i < e->count; i++)
        if (&e->epochs[i] != epoch && e->epochs[i].state != EPOCH_DEAD &&
            strcmp(e->epochs[i].broker, epoch->broker) == 0)
            e->epochs[i].superseded = true;
}

epoch_t *epochs_suspect(epochs_t *e, int64_t now_ms)
{
    for (size_t i = 0; i < e->count; i++) {
        epoch_t *epoch = &e->epochs[i];
        bool silent = now_ms - epoch->seen_ms > e->times.dead_ms;
        if (epoch->state != EPOCH_DEAD && (epoch->superseded || silent)) {
            epoch->state = EPOCH_SUSPECT;
            return epoch;
        }
    }
    return NULL;
}

static void ask_workers(epochs_t *e, int64_t now_ms)
{
    if (!epochs_census_runs(e, now_ms)) {
        e->census_began_ms = now_ms;
        e->census_at_ms = INT64_MIN / 2; /* at once */
    }
    e->census_until_ms = now_ms + CENSUS_MORE_MS;
}

void epochs_died(epochs_t *e, epoch_t *epoch, int64_t now_ms)
{
    if (epoch->state == EPOCH_DEAD)
        return;
    epoch->state = EPOCH_DEAD;
    epoch->registered = true;
    epoch->died_ms = now_ms;
    ask_workers(e, now_ms);
}

void epochs_revived(epoch_t *epoch, int64_t now_ms)
{
    epoch->state = EPOCH_ALIVE;
    epoch->seen_ms = now_ms;
}

size_t epochs_standing(const epochs_t *e, uint64_t out[EPOCHS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < e->count; i++)
        if (e->epochs[i].state != EPOCH_DEAD)
            out[count++] = e->epochs[i].id;
    return count;
}

/* ---- workers and what they hold ---- */

static uint32_t worker_of(epochs_t *e, const char *slot, int64_t now_ms)
{
    size_t silent = 0;
    for (size_t i = 0; i < e->worker_count; i++) {
        if (strcmp(e->workers[i].slot, slot) == 0)
            return (uint32_t)i;
        if (e->workers[i].heard_ms < e->workers[silent].heard_ms)
            silent = i;
    }
    if (e->worker_count < WORKERS_MAX)
        silent = e->worker_count++;
    else
        e->blind = true; /* its reports would be taken for the new one's */
    e->workers[silent] = (epochs_worker_t){.heard_ms = now_ms, .answered_ms = INT64_MIN / 2};
    snprintf(e->workers[silent].slot, sizeof e->workers[silent].slot, "%s", slot);
    return (uint32_t)silent;
}

void epochs_heard(epochs_t *e, const char *slot, int64_t now_ms)
{
    e->workers[worker_of(e, slot, now_ms)].heard_ms = now_ms;
}

static bool reserve_report(epochs_t *e)
{
    if (e->report_count < e->report_capacity)
        return true;
    size_t capacity = e->report_capacity > 0 ? 2 * e->report_capacity : 256;
    epochs_report_t *reports =
        capacity > REPORTS_MAX ? NULL : realloc(e->reports, capacity * sizeof *reports);
    if (reports == NULL)
        return false;
    e->reports = reports;
    e->report_capacity = capacity;
    return true;
}

static epochs_report_t *report_of(epochs_t *e, const plumb_ticket_t *ticket)
{
    const uint32_t *at = tickets_find(&e->index, ticket);
    return at == NULL ? NULL : &e->reports[*at];
}

static epochs_report_t *enter_report(epochs_t *e, const plumb_ticket_t *ticket)
{
    epochs_report_t *report = report_of(e, ticket);
    if (report != NULL || ticket->attempt == 0)
        return report;
    if (!reserve_report(e) ||
        tickets_enter(&e->index, ticket, (uint32_t)e->report_count, NULL) == NULL) {
        e->blind = true;
        return NULL;
    }
    report = &e->reports[e->report_count++];
    *report = (epochs_report_t){.ticket = *ticket};
    return report;
}

static void forget_reports(epochs_t *e)
{
    tickets_fini(&e->index);
    free(e->reports);
    e->reports = NULL;
    e->report_count = e->report_capacity = 0;
    e->blind = false;
}

size_t epochs_inventory(epochs_t *e, const char *slot, uint64_t lease, const plumb_held_t *held,
                        size_t count, plumb_held_t *again, int64_t now_ms)
{
    size_t repeated = 0;
    uint32_t worker = worker_of(e, slot, now_ms);
    e->workers[worker].heard_ms = now_ms;
    e->workers[worker].answered_ms = now_ms;
    e->workers[worker].lease = lease;
    for (size_t i = 0; i < count; i++) {
        epochs_report_t *report =
            held[i].phase < PLUMB_PHASE_PLUGIN ? NULL : enter_report(e, &held[i].ticket);
        if (report == NULL)
            continue;
        report->worker = worker;
        report->lease = lease;
        report->at_ms = now_ms;
        if (report->adopted != 0 && report->adopted == lease)
            again[repeated++] = held[i];
    }
    return repeated;
}

/* ---- the census ---- */

bool epochs_census_runs(const epochs_t *e, int64_t now_ms)
{
    return now_ms < e->census_until_ms;
}

bool epochs_census_due(epochs_t *e, int64_t now_ms)
{
    if (!epochs_census_runs(e, now_ms)) {
        if (e->report_count > 0 || e->blind)
            forget_reports(e);
        return false;
    }
    if (now_ms - e->census_at_ms < CENSUS_EVERY_MS)
        return false;
    e->census_at_ms = now_ms;
    return true;
}

/* Who of the workers we know of has said, since `dead` died, that it lives under another epoch or
 * none?  When all have, none can still begin what it was given under `dead`. */
typedef struct answers {
    size_t known, let_go;
} answers_t;

static answers_t count_answers(const epochs_t *e, const epoch_t *dead, int64_t now_ms)
{
    answers_t answers = {0};
    for (size_t i = 0; i < e->worker_count; i++) {
        const epochs_worker_t *w = &e->workers[i];
        if (now_ms - w->heard_ms > WORKER_KNOWN_MS)
            continue;
        answers.known++;
        if (w->answered_ms >= dead->died_ms && now_ms - w->answered_ms <= REPORT_FRESH_MS &&
            w->lease != dead->id)
            answers.let_go++;
    }
    return answers;
}

/* Nobody reports it.  Without any worker it waits: nobody could do it anyway, and those who hold it
 * may not have found us yet.  A silent one among others is waited for until it counts as dead; so
 * is whoever died together with the tracker before us, since we cannot know of it. */
static epochs_fate_t fate_of_unreported(const epochs_t *e, const epoch_t *dead, int64_t now_ms)
{
    int64_t waited = now_ms - dead->died_ms;
    answers_t answers = count_answers(e, dead, now_ms);
    if (answers.let_go == 0 || waited < e->times.census_wait_ms)
        return FATE_WAIT;
    bool all_known = !e->blind && now_ms - e->began_ms >= e->times.worker_dead_ms;
    if ((all_known && answers.let_go == answers.known) || waited >= e->times.worker_dead_ms)
        return FATE_REQUEUE;
    return FATE_WAIT;
}

static epochs_fate_t fate_of_reported(epochs_t *e, const epoch_t *dead,
                                      const epochs_report_t *report, int64_t now_ms,
                                      uint64_t *under)
{
    const epochs_worker_t *worker = &e->workers[report->worker];
    if (worker->answered_ms > report->at_ms) /* it has let go of it */
        return fate_of_unreported(e, dead, now_ms);
    if (now_ms - report->at_ms >= e->times.worker_dead_ms &&
        now_ms - report->at_ms > REPORT_FRESH_MS)
        return FATE_LOST;
    const epoch_t *lease = epochs_find(e, report->lease);
    if (now_ms - report->at_ms > REPORT_FRESH_MS || lease == NULL || lease->state != EPOCH_ALIVE)
        return FATE_WAIT;
    *under = report->lease;
    return FATE_ADOPT;
}

epochs_fate_t epochs_fate(epochs_t *e, uint64_t id, const plumb_ticket_t *ticket, int64_t now_ms,
                          uint64_t *under)
{
    const epoch_t *epoch = epochs_find(e, id);
    if (epoch != NULL && epoch->state != EPOCH_DEAD)
        return epoch->state == EPOCH_ALIVE ? FATE_LEAVE : FATE_WAIT;
    ask_workers(e, now_ms);
    /* Of an epoch from before our time only the table knows.  It gets no entry: there may be more
     * of them than entries. */
    const epoch_t stranger = {.id = id, .state = EPOCH_DEAD, .died_ms = e->census_began_ms};
    if (epoch == NULL)
        epoch = &stranger;
    epochs_report_t *report = report_of(e, ticket);
    return report == NULL ? fate_of_unreported(e, epoch, now_ms)
                          : fate_of_reported(e, epoch, report, now_ms, under);
}

void epochs_adopted(epochs_t *e, const plumb_ticket_t *ticket, uint64_t under)
{
    epochs_report_t *report = report_of(e, ticket);
    if (report != NULL)
        report->adopted = under;
}
