/* The table of epochs. */
#include "tracker_tables.h"

#include "tracker_result.h"

#include <stdio.h>
#include <stdlib.h>

int store_epochs_alive(store_t *s, PGresult **r, plumb_err_t *err)
{
    (void)s;
    int rc = db_away(err);
    if (rc < 0)
        return rc;
    *r = result_new(2);
    for (size_t i = 0; i < db.epoch_count; i++) {
        if (db.epochs[i].dead)
            continue;
        result_row(*r);
        result_int(*r, EPOCH_ID, (int64_t)db.epochs[i].id);
        result_text(*r, EPOCH_BROKER, db.epochs[i].broker);
    }
    return 0;
}

static sim_epoch_t *enter_epoch(uint64_t id, const char *broker)
{
    sim_epoch_t *epoch = db_epoch(id);
    if (epoch != NULL)
        return epoch;
    if (db.epoch_count == DB_EPOCHS)
        abort();
    epoch = &db.epochs[db.epoch_count++];
    *epoch = (sim_epoch_t){.id = id, .seen_ms = db_ms()};
    snprintf(epoch->broker, sizeof epoch->broker, "%s", broker);
    return epoch;
}

int store_epoch_seen(store_t *s, uint64_t epoch, const char *broker, bool *alive, plumb_err_t *err)
{
    (void)s;
    int rc = db_away(err);
    if (rc < 0)
        return rc;
    sim_epoch_t *entry = enter_epoch(epoch, broker);
    *alive = !entry->dead;
    if (*alive)
        entry->seen_ms = db_ms();
    return 0;
}

int store_epoch_dead(store_t *s, uint64_t epoch, const char *broker, int64_t dead_ms, bool *dead,
                     plumb_err_t *err)
{
    (void)s;
    int rc = db_away(err);
    if (rc < 0)
        return rc;
    bool fresh = db_epoch(epoch) == NULL;
    sim_epoch_t *entry = enter_epoch(epoch, broker);
    if (fresh || dead_ms == 0 || entry->seen_ms < db_ms() - dead_ms)
        entry->dead = true;
    *dead = entry->dead;
    return 0;
}

int store_epoch_stands(store_t *s, uint64_t epoch, bool *stands, plumb_err_t *err)
{
    (void)s;
    int rc = db_away(err);
    if (rc < 0)
        return rc;
    *stands = db_epoch_is_alive(epoch);
    if (*stands)
        db_epoch(epoch)->seen_ms = db_ms();
    return 0;
}
