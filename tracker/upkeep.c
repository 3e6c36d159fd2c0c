/* Partitions, retention (semantics 4), gauges, counters. */
#include "upkeep.h"

#include "clock.h"
#include "count.h"
#include "log.h"
#include "metrics.h"
#include "tracker.h"

#define DAY_MS INT64_C(86400000)
#define PRUNE_EVERY_MS 600000
#define PRUNE_PAGE_MS 1000 /* between two pages while there are more */
#define PRUNE_PAGE 500
#define ERASE_PAGE 100
#define AGAIN_MS 600000 /* what could not be done is tried again */
#define GAUGES_EVERY_MS 60000
#define GAUGES_SHARE 100 /* counting takes at most one part in so many of the time */

/* A busy intake leaves a thousand rows a second; results wait while a statement adds some up. */
#define FOLD_ROWS 2000
#define FOLD_EVERY_MS 500
#define FOLD_AGAIN_MS 20

#define EXCHANGES_LIVE_MS (30 * DAY_MS)

/* Tables that are dropped a month at a time.  What a live delivery belongs to stays. */
static const struct {
    const char *table;
    int64_t life_ms;
    bool live_rows; /* live deliveries of its month keep it */
} months[] = {
    {"attempts", 180 * DAY_MS, true},
    {"deliveries", 90 * DAY_MS, true},
    {"events", 30 * DAY_MS, false},
};

void upkeep_init(upkeep_t *u, int64_t now_ms)
{
    *u = (upkeep_t){.partitions_ms = now_ms,
                    .prune_ms = now_ms + PRUNE_EVERY_MS / 10,
                    .gauges_ms = now_ms + 1000,
                    .counters_ms = now_ms};
}

static int drop_month(tracker_t *t, size_t i, plumb_err_t *err)
{
    char name[64];
    bool live = false;
    int rc =
        store_old_partition(&t->store, months[i].table, months[i].life_ms, name, sizeof name, err);
    if (rc == 0 && *name != '\0' && months[i].live_rows)
        rc = store_month_is_live(&t->store, name, &live, err);
    if (rc < 0 || *name == '\0' || live)
        return rc;
    rc = store_drop_partition(&t->store, name, err);
    if (rc == 0)
        plumb_log_event(LOG_NOTICE, "partition_dropped", "table=%s", name);
    return rc;
}

/* Not being allowed to, or a lock that did not come, is no reason to stop working. */
static int tolerate(const char *what, int rc, const plumb_err_t *err)
{
    if (rc != -PLUMB_E_DATABASE && rc != -PLUMB_E_DB_CONFLICT && rc != -PLUMB_E_DB_VALUE)
        return rc;
    plumb_log_event(LOG_WARNING, "upkeep_failed", "what=%s reason=\"%s\"", what, err->text);
    return 0;
}

static int make_partitions(tracker_t *t, plumb_err_t *err)
{
    int rc = store_make_partitions(&t->store, err);
    if (rc < 0)
        t->upkeep.partitions_ms = t->now_ms + AGAIN_MS;
    rc = tolerate("make_partitions", rc, err);
    for (size_t i = 0; rc == 0 && i < PLUMB_COUNT(months); i++)
        rc = tolerate("drop_partition", drop_month(t, i, err), err);
    if (rc == 0)
        rc = tolerate("prune_epochs", store_prune_epochs(&t->store, err), err);
    t->upkeep.walking = rc == 0;
    return rc;
}

static int erase_deleted(tracker_t *t, bool *more, plumb_err_t *err)
{
    int64_t erased = 0;
    int rc = store_erase_deleted(&t->store, t->conf->retention_deleted, ERASE_PAGE, &erased, err);
    *more = *more || erased == ERASE_PAGE;
    if (erased > 0)
        plumb_log_event(LOG_NOTICE, "leads_erased", "count=%lld", (long long)erased);
    return tolerate("erase_deleted", rc, err);
}

static int prune(tracker_t *t, plumb_err_t *err)
{
    upkeep_t *u = &t->upkeep;
    bool more = false, end = true;
    int rc = tolerate(
        "prune_idempotency",
        store_prune_idempotency(&t->store, t->conf->idempotency_life, PRUNE_PAGE, &more, err), err);
    if (rc == 0 && u->walking) {
        rc = tolerate("prune_exchanges",
                      store_prune_exchanges(&t->store, &u->attempts, EXCHANGES_LIVE_MS, PRUNE_PAGE,
                                            &end, err),
                      err);
        u->walking = !end;
    }
    if (rc == 0)
        rc = erase_deleted(t, &more, err);
    u->prune_ms = t->now_ms + (more || u->walking ? PRUNE_PAGE_MS : PRUNE_EVERY_MS);
    return rc;
}

static int count_dead_letters(tracker_t *t, plumb_err_t *err)
{
    PGresult *r = NULL;
    int64_t began_ms = plumb_mono_ms();
    int rc = store_dead_letters(&t->store, &r, err);
    for (int row = 0; rc == 0 && row < PQntuples(r); row++)
        plumb_metric_set(PLUMB_M_DEAD_LETTERS, plumb_get_text(r, row, DEAD_CHANNEL),
                         plumb_get_int8(r, row, DEAD_COUNT));
    PQclear(r);
    int64_t rest_ms = (plumb_mono_ms() - began_ms) * GAUGES_SHARE;
    t->upkeep.gauges_ms = t->now_ms + (rest_ms > GAUGES_EVERY_MS ? rest_ms : GAUGES_EVERY_MS);
    return tolerate("dead_letters", rc, err);
}

static int fold_counters(tracker_t *t, plumb_err_t *err)
{
    size_t folded = 0;
    int rc = store_fold_counters(&t->store, FOLD_ROWS, &folded, err);
    if (folded > 0)
        plumb_metric_add(PLUMB_M_COUNTERS_FOLDED, "", (int64_t)folded);
    t->upkeep.counters_ms = t->now_ms + (folded == FOLD_ROWS ? FOLD_AGAIN_MS : FOLD_EVERY_MS);
    return tolerate("fold_counters", rc, err);
}

/* Run `work` if no other tracker is at it. */
static int alone(tracker_t *t, int (*work)(tracker_t *, plumb_err_t *), plumb_err_t *err)
{
    bool got = false;
    int rc = store_try_lock(&t->store, LOCK_UPKEEP, &got, err);
    if (rc < 0 || !got)
        return rc;
    rc = work(t, err);
    plumb_err_t ignored;
    store_unlock(&t->store, LOCK_UPKEEP, &ignored); /* a lost connection has let go of it */
    return rc;
}

int upkeep_work(tracker_t *t, plumb_err_t *err)
{
    upkeep_t *u = &t->upkeep;
    int rc = 0;
    if (t->now_ms >= u->partitions_ms) {
        u->partitions_ms = t->now_ms + DAY_MS;
        rc = alone(t, make_partitions, err);
    }
    if (rc == 0 && t->now_ms >= u->prune_ms) {
        u->prune_ms = t->now_ms + PRUNE_EVERY_MS;
        rc = alone(t, prune, err);
    }
    if (rc == 0 && t->now_ms >= u->gauges_ms)
        rc = count_dead_letters(t, err);
    if (rc == 0 && t->now_ms >= u->counters_ms)
        rc = fold_counters(t, err);
    return rc;
}
