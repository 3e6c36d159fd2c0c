/* Events are read in the order of the transactions that wrote them, below the oldest one that is
 * still under way: so whatever commits late is behind every reader's place. */
#include "store_events.h"

#include "clock.h"

#include <string.h>

#define STATEMENT_MS 5000

enum {
    COLUMN_XMIN,
    COLUMN_NOW,
    COLUMN_CURSOR,
    COLUMN_XID,
    COLUMN_ID,
    COLUMN_N,
    COLUMN_KIND,
    COLUMN_LEAD,
    COLUMN_DELIVERY,
    COLUMN_CREDENTIAL,
    COLUMN_DATA,
    COLUMN_CREATED,
    COLUMN_PROJECT
};

static const plumb_stmt_t select_events = {
    .name = "ingest_events",
    .params = 5,
    .sql = "WITH seen AS MATERIALIZED (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin) "
           "SELECT s.xmin::text::int8, clock_timestamp(), a.n::int4, e.xid::text::int8, e.id, "
           "u.n::int4, e.kind, u.lead, e.delivery_id, e.credential_id, "
           "CASE jsonb_typeof(e.data) WHEN 'object' "
           "THEN (e.data - '{id,deliveryId,credentialId,at}'::text[])::text END, "
           "e.created_at, l.project_id "
           "FROM seen s CROSS JOIN unnest($1::uuid[], $2::int8[], $3::uuid[], $4::bool[]) "
           "WITH ORDINALITY AS a (account, xid, id, projects, n) "
           "LEFT JOIN LATERAL (SELECT * FROM events o WHERE o.account_id = a.account "
           "AND (o.xid, o.id) >= (a.xid::text::xid8, a.id) AND o.xid < (SELECT xmin FROM seen) "
           "ORDER BY o.xid, o.id LIMIT $5) e ON true "
           "LEFT JOIN LATERAL unnest(coalesce(e.lead_ids, ARRAY[e.lead_id])) "
           "WITH ORDINALITY AS u (lead, n) ON true "
           "LEFT JOIN leads l ON a.projects AND l.account_id = a.account AND l.id = u.lead "
           "ORDER BY a.n, e.xid, e.id, u.n"};

static void bind_cursors(plumb_params_t *p, const event_cursor_t *list, size_t count)
{
    plumb_params_clear(p);
    plumb_array_begin(p, PLUMB_ARRAY_UUID);
    for (size_t i = 0; i < count; i++)
        plumb_item_uuid(p, &list[i].account);
    plumb_array_end(p);
    plumb_array_begin(p, PLUMB_ARRAY_INT8);
    for (size_t i = 0; i < count; i++)
        plumb_item_int8(p, list[i].place.xid);
    plumb_array_end(p);
    plumb_array_begin(p, PLUMB_ARRAY_UUID);
    for (size_t i = 0; i < count; i++)
        plumb_item_uuid(p, &list[i].place.id);
    plumb_array_end(p);
    plumb_array_begin(p, PLUMB_ARRAY_BOOL);
    for (size_t i = 0; i < count; i++)
        plumb_item_bool(p, list[i].projects);
    plumb_array_end(p);
}

int store_events(reader_t *reader, const event_cursor_t *list, size_t count, int limit,
                 PGresult **r, plumb_err_t *err)
{
    bind_cursors(reader->params, list, count);
    plumb_param_int8(reader->params, limit);
    return plumb_db_exec(reader->db, &select_events, reader->params, STATEMENT_MS, r, err);
}

bool store_event(const PGresult *r, int row, event_t *event)
{
    if (plumb_get_null(r, row, COLUMN_ID))
        return false;
    event->place = (event_place_t){.xid = plumb_get_int8(r, row, COLUMN_XID),
                                   .id = plumb_get_uuid(r, row, COLUMN_ID),
                                   .n = plumb_get_int4(r, row, COLUMN_N)};
    event->place.at_ms = plumb_uuid_unix_ms(&event->place.id);
    event->kind = plumb_get_text(r, row, COLUMN_KIND);
    event->lead = plumb_get_uuid(r, row, COLUMN_LEAD);
    event->project = plumb_get_uuid(r, row, COLUMN_PROJECT);
    return true;
}

size_t store_event_cursor(const PGresult *r, int row)
{
    return (size_t)plumb_get_int4(r, row, COLUMN_CURSOR) - 1;
}

event_place_t store_event_horizon(const PGresult *r)
{
    return (event_place_t){.xid = plumb_get_int8(r, 0, COLUMN_XMIN),
                           .at_ms = plumb_get_time(r, 0, COLUMN_NOW)};
}

/* ---- telling ---- */

static void put_id(plumb_buf_t *out, const char *name, const PGresult *r, int row, int column)
{
    char text[PLUMB_UUID_TEXT];
    plumb_uuid_t id = plumb_get_uuid(r, row, column);
    if (plumb_get_null(r, row, column))
        return;
    plumb_buf_printf(out, ",\"%s\":\"%s\"", name, plumb_uuid_text(&id, text));
}

/* The members of the row's own object, behind ours.  jsonb's text has no line breaks. */
static void put_data(plumb_buf_t *out, const PGresult *r, int row)
{
    size_t length = plumb_get_length(r, row, COLUMN_DATA);
    if (plumb_get_null(r, row, COLUMN_DATA) || length <= strlen("{}"))
        return;
    plumb_buf_put(out, ",", 1);
    plumb_buf_put(out, plumb_get_text(r, row, COLUMN_DATA) + 1, length - 2);
}

void store_event_write(plumb_buf_t *out, const PGresult *r, int row)
{
    char place[EVENT_PLACE_TEXT], at[PLUMB_TIME_TEXT];
    event_t event;
    if (!store_event(r, row, &event))
        return;
    plumb_buf_printf(out, "id: %s\nevent: %s\ndata: {\"at\":\"%s\"",
                     event_place_text(&event.place, place), event.kind,
                     plumb_time_text(plumb_get_time(r, row, COLUMN_CREATED), at));
    put_id(out, "id", r, row, COLUMN_LEAD);
    put_id(out, "deliveryId", r, row, COLUMN_DELIVERY);
    put_id(out, "credentialId", r, row, COLUMN_CREDENTIAL);
    put_data(out, r, row);
    plumb_buf_text(out, "}\n\n");
}

/* ---- beginning ---- */

static const plumb_stmt_t select_start = {
    .name = "ingest_event_start",
    .params = 4,
    .sql = "WITH seen AS MATERIALIZED (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin) "
           "SELECT xmin::text::int8, clock_timestamp(), $2::int8 > 0 AND EXISTS ("
           "SELECT FROM events o WHERE o.account_id = $1 "
           "AND (o.xid, o.id) > ($2::int8::text::xid8, $3) OFFSET $4 LIMIT 1) FROM seen"};

int store_event_start(reader_t *reader, const plumb_uuid_t *account, const event_place_t *place,
                      int far, event_start_t *start, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    plumb_param_int8(reader->params, place->xid);
    plumb_param_uuid(reader->params, &place->id);
    plumb_param_int8(reader->params, far);
    int rc = plumb_db_exec(reader->db, &select_start, reader->params, STATEMENT_MS, &r, err);
    if (rc == 0) {
        start->now = store_event_horizon(r);
        start->is_far = plumb_get_bool(r, 0, 2);
    }
    PQclear(r);
    return rc;
}
