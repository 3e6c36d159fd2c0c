/* Passes over queued rows. */
#include "audit.h"

#include "audit_push.h"
#include "log.h"
#include "metrics.h"
#include "tracker.h"

#include <string.h>

#define SILENT_MS 3000        /* an ingest says HERE every second */
#define AFTER_SILENCE_MS 2000 /* so that what it committed last is old enough to ask for */
#define FAST_AGE_MS 3000
#define YOUNG_MS 300000
#define ANSWER_MS 2000
#define TRIES_MAX 3

void audit_init(audit_t *a, int64_t now_ms, int64_t every_ms)
{
    *a =
        (audit_t){.fast_ms = INT64_MAX, .young_ms = now_ms + every_ms, .old_ms = now_ms + YOUNG_MS};
    a->number = (uint64_t)now_ms; /* an answer to a tracker before us names no page of ours */
}

void audit_fini(audit_t *a)
{
    tickets_fini(&a->index);
}

/* ---- ingests ---- */

static audit_ingest_t *ingest_of(audit_t *a, const char *name)
{
    audit_ingest_t *oldest = &a->ingests[0];
    for (size_t i = 0; i < a->ingest_count; i++) {
        if (strcmp(a->ingests[i].name, name) == 0)
            return &a->ingests[i];
        if (a->ingests[i].seen_ms < oldest->seen_ms)
            oldest = &a->ingests[i];
    }
    if (a->ingest_count < INGESTS_MAX)
        oldest = &a->ingests[a->ingest_count++];
    *oldest = (audit_ingest_t){0};
    snprintf(oldest->name, sizeof oldest->name, "%s", name);
    return oldest;
}

/* A fast pass at that moment.  One that comes earlier does not do: rows of then may be too young
 * for it. */
static void soon(audit_t *a, int64_t at_ms)
{
    if (at_ms < a->fast_ms)
        a->fast_ms = at_ms;
    if (at_ms > a->fast_last_ms)
        a->fast_last_ms = at_ms;
}

void audit_here(tracker_t *t, const plumb_note_t *here)
{
    char name[NAME_SIZE];
    slice_text(name, sizeof name, &here->name);
    audit_ingest_t *ingest = ingest_of(&t->audit, name);
    if (ingest->instance != 0 && ingest->instance != here->instance) {
        plumb_log_event(LOG_NOTICE, "ingest_restarted", "ingest=%s", name);
        soon(&t->audit, t->now_ms + FAST_AGE_MS);
    }
    ingest->instance = here->instance;
    ingest->seen_ms = t->now_ms;
    ingest->silent = false;
}

static void look_for_silence(tracker_t *t)
{
    audit_t *a = &t->audit;
    for (size_t i = 0; i < a->ingest_count; i++) {
        audit_ingest_t *ingest = &a->ingests[i];
        if (ingest->silent || t->now_ms - ingest->seen_ms < SILENT_MS)
            continue;
        ingest->silent = true;
        plumb_log_event(LOG_NOTICE, "ingest_silent", "ingest=%s", ingest->name);
        soon(a, t->now_ms + AFTER_SILENCE_MS);
    }
}

void audit_restart(tracker_t *t)
{
    for (size_t i = 0; i < t->audit.ingest_count; i++)
        if (!t->audit.ingests[i].silent)
            t->audit.ingests[i].seen_ms = t->now_ms;
}

/* ---- a pass ---- */

static int begin(tracker_t *t, audit_pass_t pass, plumb_err_t *err)
{
    audit_t *a = &t->audit;
    bool got = false;
    int rc = store_try_lock(&t->store, LOCK_AUDIT, &got, err);
    if (rc < 0 || !got) /* another tracker is at it */
        return rc;
    a->cursor = (queued_cursor_t){0};
    if (pass == AUDIT_YOUNG)
        rc = store_queued_start(&t->store, &a->cursor, YOUNG_MS, err);
    if (rc == 0)
        a->pass = pass;
    a->end = false;
    a->page_count = 0;
    return rc;
}

static int finish(tracker_t *t, plumb_err_t *err)
{
    t->audit.pass = AUDIT_NONE;
    t->audit.page_count = 0;
    return store_unlock(&t->store, LOCK_AUDIT, err);
}

static int64_t age_of(const tracker_t *t)
{
    switch (t->audit.pass) {
    case AUDIT_FAST:
        return FAST_AGE_MS < t->conf->audit_after ? FAST_AGE_MS : t->conf->audit_after;
    case AUDIT_OLD:
        return YOUNG_MS;
    default:
        return t->conf->audit_after;
    }
}

static int begin_due(tracker_t *t, plumb_err_t *err)
{
    audit_t *a = &t->audit;
    if (t->now_ms >= a->fast_ms) {
        a->fast_ms = a->fast_last_ms > t->now_ms ? a->fast_last_ms : INT64_MAX;
        int rc = begin(t, AUDIT_FAST, err);
        if (rc < 0)
            soon(a, t->now_ms); /* whoever fell silent is told of only once */
        return rc;
    }
    if (t->now_ms >= a->old_ms) {
        a->old_ms = t->now_ms + YOUNG_MS;
        return begin(t, AUDIT_OLD, err);
    }
    if (t->now_ms >= a->young_ms) {
        a->young_ms = t->now_ms + t->conf->audit_every;
        return begin(t, AUDIT_YOUNG, err);
    }
    return 0;
}

/* ---- a page ---- */

static void ask(tracker_t *t)
{
    audit_t *a = &t->audit;
    plumb_held_t held[AUDIT_PAGE];
    for (size_t i = 0; i < a->page_count; i++)
        held[i] = (plumb_held_t){.ticket = a->page[i].ticket};
    plumb_note_t note = {.type = PLUMB_MSG_AUDIT,
                         .instance = a->number,
                         .epoch = a->epoch,
                         .held = held,
                         .held_count = a->page_count};
    links_send(&t->links, t->links.control, &note);
    a->asked_ms = t->now_ms;
    a->tries++;
}

/* Rows of other epochs are the sweep's. */
static bool index_page(audit_t *a, const PGresult *r)
{
    tickets_clear(&a->index);
    a->page_count = 0;
    for (int row = 0; row < PQntuples(r); row++) {
        delivery_key_t key = {
            plumb_get_uuid(r, row, QUEUED_ACCOUNT),
            {plumb_get_uuid(r, row, QUEUED_ID), (uint32_t)plumb_get_int4(r, row, QUEUED_ATTEMPT)}};
        if ((uint64_t)plumb_get_int8(r, row, QUEUED_EPOCH) != a->epoch)
            continue;
        if (tickets_enter(&a->index, &key.ticket, (uint32_t)a->page_count, NULL) == NULL)
            return false;
        a->page[a->page_count++] = key;
    }
    return true;
}

static int next_page(tracker_t *t, plumb_err_t *err)
{
    audit_t *a = &t->audit;
    PGresult *r = NULL;
    uint64_t epoch = brokers_epoch(t);
    if (a->end || epoch == 0) /* nobody to ask: if it is dead, its rows are the sweep's */
        return finish(t, err);
    int rc = store_queued(&t->store, &a->cursor, age_of(t), AUDIT_PAGE, &a->end, &r, err);
    if (rc < 0)
        return rc;
    a->epoch = epoch;
    a->number++;
    a->missing_count = 0;
    a->answered = false;
    a->tries = 0;
    if (!index_page(a, r))
        rc = plumb_err_set(err, PLUMB_E_MEMORY, "a page of the audit");
    PQclear(r);
    if (rc == 0 && a->page_count > 0)
        ask(t);
    return rc;
}

void audit_missing(tracker_t *t, const plumb_note_t *missing)
{
    audit_t *a = &t->audit;
    if (a->page_count == 0 || a->answered || missing->instance != a->number ||
        missing->epoch != a->epoch)
        return;
    a->answered = true;
    a->missing_count = 0;
    for (size_t i = 0; i < missing->held_count && a->missing_count < AUDIT_PAGE; i++) {
        const uint32_t *place = tickets_find(&a->index, &missing->held[i].ticket);
        if (place != NULL)
            a->missing[a->missing_count++] = a->page[*place];
    }
}

static int take_answer(tracker_t *t, plumb_err_t *err)
{
    audit_t *a = &t->audit;
    size_t pushed = 0;
    int rc = audit_push(t, a->missing, a->missing_count, a->epoch, &pushed, err);
    if (rc < 0)
        return rc;
    a->page_count = 0;
    if (pushed > 0) {
        plumb_metric_add(PLUMB_M_REQUEUED, "missing", (int64_t)pushed);
        plumb_log_event(LOG_NOTICE, "audit_missing", "asked=%zu pushed=%zu", a->missing_count,
                        pushed);
    }
    return 0;
}

int audit_work(tracker_t *t, plumb_err_t *err)
{
    audit_t *a = &t->audit;
    look_for_silence(t);
    if (t->stopping)
        return 0;
    if (a->pass == AUDIT_NONE)
        return begin_due(t, err);
    if (a->page_count == 0)
        return next_page(t, err);
    if (a->answered)
        return take_answer(t, err);
    if (t->now_ms - a->asked_ms < ANSWER_MS)
        return 0;
    if (a->tries < TRIES_MAX) {
        ask(t);
        return 0;
    }
    plumb_log_event(LOG_WARNING, "audit_unanswered", "page=%zu", a->page_count);
    return finish(t, err);
}

int64_t audit_next_ms(const audit_t *a)
{
    if (a->pass != AUDIT_NONE)
        return a->page_count == 0 || a->answered ? 0 : a->asked_ms + ANSWER_MS;
    int64_t next = a->fast_ms < a->young_ms ? a->fast_ms : a->young_ms;
    return next < a->old_ms ? next : a->old_ms;
}
