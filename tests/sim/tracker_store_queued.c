/* Queued rows: walks over them, and what takes them out of that state or under another epoch. */
#include "tracker_tables.h"

#include "tracker_result.h"

/* ---- walks over queued rows ---- */

static bool is_behind(const sim_row_t *row, size_t i, const queued_cursor_t *cursor)
{
    return row->queued_us > cursor->queued_us ||
           (row->queued_us == cursor->queued_us &&
            plumb_uuid_compare(&sim.deliveries[i].id, &cursor->id) > 0);
}

typedef bool (*wanted_fn)(const sim_row_t *row, const void *arg);

/* All fit in one page, oldest first. */
static int walk(queued_cursor_t *cursor, wanted_fn wanted, const void *arg, bool *end, PGresult **r,
                plumb_err_t *err)
{
    int rc = db_away(err);
    if (rc < 0)
        return rc;
    *r = result_new(QUEUED_US + 1);
    for (;;) {
        size_t next = SIM_DELIVERIES;
        for (size_t i = 0; i < sim.delivery_count; i++) {
            const sim_row_t *row = &db.rows[i];
            if (row->in && row->row.state == STATE_QUEUED && is_behind(row, i, cursor) &&
                wanted(row, arg) &&
                (next == SIM_DELIVERIES || row->queued_us < db.rows[next].queued_us))
                next = i;
        }
        if (next == SIM_DELIVERIES)
            break;
        const sim_row_t *row = &db.rows[next];
        *cursor = (queued_cursor_t){row->queued_us, sim.deliveries[next].id};
        result_row(*r);
        result_uuid(*r, QUEUED_ACCOUNT, SIM_ACCOUNT);
        result_uuid(*r, QUEUED_ID, sim.deliveries[next].id);
        result_int(*r, QUEUED_ATTEMPT, row->row.attempt);
        result_int(*r, QUEUED_EPOCH, (int64_t)row->epoch);
        result_int(*r, QUEUED_US, row->queued_us);
    }
    *end = true;
    return 0;
}

int store_queued_start(store_t *s, queued_cursor_t *cursor, int64_t younger_ms, plumb_err_t *err)
{
    (void)s;
    *cursor = (queued_cursor_t){.queued_us = 1000 * (db_ms() - younger_ms)};
    return db_away(err);
}

static bool is_older(const sim_row_t *row, const void *arg)
{
    return row->queued_us <= 1000 * (db_ms() - *(const int64_t *)arg);
}

int store_queued(store_t *s, queued_cursor_t *cursor, int64_t older_ms, int limit, bool *end,
                 PGresult **r, plumb_err_t *err)
{
    (void)s, (void)limit;
    return walk(cursor, is_older, &older_ms, end, r, err);
}

typedef struct standing {
    const uint64_t *epochs;
    size_t count;
    int64_t unknown_ms;
} standing_t;

static bool is_orphan(const sim_row_t *row, const void *arg)
{
    const standing_t *standing = arg;
    for (size_t i = 0; i < standing->count; i++)
        if (standing->epochs[i] == row->epoch)
            return false;
    const sim_epoch_t *epoch = db_epoch(row->epoch);
    return epoch != NULL ? epoch->dead : is_older(row, &standing->unknown_ms);
}

int store_orphans(store_t *s, queued_cursor_t *cursor, const uint64_t *standing, size_t count,
                  int64_t unknown_ms, int limit, bool *end, PGresult **r, plumb_err_t *err)
{
    (void)s, (void)limit;
    const standing_t arg = {standing, count, unknown_ms};
    return walk(cursor, is_orphan, &arg, end, r, err);
}

/* ---- taking back ---- */

static int take_back(store_t *s, const delivery_key_t *keys, size_t count, bool orphans,
                     size_t *moved, plumb_err_t *err)
{
    int rc = db_join(s, err);
    if (rc < 0)
        return rc;
    *moved = 0;
    for (size_t i = 0; i < count; i++) {
        sim_row_t *row = db_queued_row(&keys[i].ticket);
        if (row == NULL || (orphans && db_epoch_is_alive(row->epoch)))
            continue;
        row->row.state = STATE_PENDING;
        row->row.due_ms = db_ms();
        ++*moved;
        if (orphans)
            sim_orphaned(&keys[i].ticket);
        sim_trace("tracker: %zu taken back%s", db_index(&keys[i].ticket.delivery),
                  orphans ? ", an orphan" : "");
    }
    return store_commit(s, err);
}

int store_requeue_orphans(store_t *s, const delivery_key_t *keys, size_t count, size_t *moved,
                          plumb_err_t *err)
{
    return take_back(s, keys, count, true, moved, err);
}

int store_requeue_given_up(store_t *s, const delivery_key_t *keys, size_t count, size_t *moved,
                           plumb_err_t *err)
{
    return take_back(s, keys, count, false, moved, err);
}

int store_adopt(store_t *s, const delivery_key_t *keys, size_t count, uint64_t epoch, PGresult **r,
                plumb_err_t *err)
{
    int rc = db_join(s, err);
    if (rc < 0)
        return rc;
    PGresult *adopted = result_new(2);
    for (size_t i = 0; db_epoch_is_alive(epoch) && i < count; i++) {
        sim_row_t *row = db_queued_row(&keys[i].ticket);
        if (row == NULL || db_epoch_is_alive(row->epoch))
            continue;
        row->epoch = epoch;
        result_row(adopted);
        result_uuid(adopted, ADOPTED_ID, keys[i].ticket.delivery);
        result_int(adopted, ADOPTED_ATTEMPT, keys[i].ticket.attempt);
        sim_trace("tracker: %zu adopted", db_index(&keys[i].ticket.delivery));
    }
    rc = store_commit(s, err);
    if (rc < 0)
        sim_clear(adopted);
    else
        *r = adopted;
    return rc;
}
