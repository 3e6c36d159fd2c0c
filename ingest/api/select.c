/* Statements of lists.
 *
 * Leads are many, so each of their lists has an index to walk: the key by (account, id); by
 * (project, status, id) once a project or a status is asked for, from each of which the page's
 * rows are taken and then put in order; by (account, updated_at, id), which has a condition that
 * always holds and is given only where it is wanted (sql/004). */
#include "select.h"

#include "conditions.h"
#include "lead.h"

#include <string.h>

/* ---- columns ---- */

static void put_column(plumb_buf_t *out, const plumb_attr_t *attr)
{
    switch (attr->type) {
    case PLUMB_ATTR_TIME:
        plumb_buf_printf(out,
                         ", to_char(t.%s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
                         attr->column);
        break;
    case PLUMB_ATTR_WORDS:
        plumb_buf_printf(out, ", to_json(t.%s)::text", attr->column);
        break;
    case PLUMB_ATTR_CIDRS:
        plumb_buf_printf(out, ", to_json(t.%s::text[])::text", attr->column);
        break;
    default:
        plumb_buf_printf(out, ", t.%s::text", attr->column);
    }
}

/* In the order in which api_row_read takes them; leads have the same in lib/lead.h. */
static void put_columns(plumb_buf_t *out, const api_type_t *type)
{
    if (type->kind == API_LEADS) {
        plumb_lead_select_list(out, "t");
        return;
    }
    plumb_buf_printf(out, "t.account_id, t.%s, %s, NULL::bytea, %s", type->id,
                     (type->flags & API_VERSIONED) != 0 ? "t.version" : "1",
                     (type->flags & API_SEALED) != 0 ? "t.sealed" : "NULL::bytea");
    for (size_t i = 0; i < type->attr_count; i++)
        if ((type->attrs[i].flags & PLUMB_ATTR_SECRET) == 0)
            put_column(out, &type->attrs[i]);
}

static bool has_column(const api_type_t *type, const plumb_attr_t *attr)
{
    return (attr->flags & PLUMB_ATTR_SECRET) == 0 &&
           (type->kind != API_LEADS || (attr->flags & PLUMB_ATTR_SEALED) == 0);
}

static plumb_slice_t slice_of(const PGresult *r, int row, int column)
{
    if (plumb_get_null(r, row, column))
        return (plumb_slice_t){NULL, 0};
    return (plumb_slice_t){plumb_get_text(r, row, column), plumb_get_length(r, row, column)};
}

void api_row_read(api_row_t *row, const api_type_t *type, const PGresult *r, int number)
{
    int column = PLUMB_LEAD_COLUMNS_FIXED;
    row->id = plumb_get_uuid(r, number, 1);
    row->version = plumb_get_int4(r, number, 2);
    row->sealed_key = slice_of(r, number, 3);
    row->sealed = slice_of(r, number, 4);
    for (size_t i = 0; i < type->attr_count; i++)
        row->value[i] = has_column(type, &type->attrs[i]) ? slice_of(r, number, column++)
                                                          : (plumb_slice_t){NULL, 0};
}

/* The keys' columns are the last ones. */
void api_position_read(api_position_t *position, const api_query_t *q, const PGresult *r,
                       int number)
{
    int first = PQnfields(r) - (int)q->key_count;
    position->id = plumb_get_uuid(r, number, 1);
    for (unsigned i = 0; i < q->key_count; i++)
        position->key[i] = slice_of(r, number, first + (int)i);
}

/* ---- order ---- */

static bool goes_down(const api_selection_t *s, bool descending)
{
    return descending != s->backwards;
}

static void put_order(plumb_buf_t *out, const api_selection_t *s)
{
    const api_query_t *q = s->query;
    plumb_buf_text(out, " ORDER BY ");
    for (unsigned i = 0; i < q->key_count; i++) {
        api_put_key(out, q->type, q->keys[i].attr);
        plumb_buf_text(out, goes_down(s, q->keys[i].descending) ? " DESC, " : ", ");
    }
    plumb_buf_printf(out, "t.%s%s", q->type->id, goes_down(s, q->id_descending) ? " DESC" : "");
}

static void put_key_value(api_sql_t *b, const api_selection_t *s, unsigned key)
{
    const api_position_t *p = s->from;
    plumb_param_textn(b->params, p->key[key].data, p->key[key].length);
    api_put_place(b, api_sql_type(&s->query->type->attrs[s->query->keys[key].attr]));
}

static void put_id_value(api_sql_t *b, const api_selection_t *s)
{
    plumb_param_uuid(b->params, &s->from->id);
    api_put_place(b, "uuid");
}

/* All keys go one way: one comparison of rows, which an index understands. */
static void put_behind_row(api_sql_t *b, const api_selection_t *s)
{
    const api_query_t *q = s->query;
    plumb_buf_text(b->sql, " AND (");
    for (unsigned i = 0; i < q->key_count; i++) {
        api_put_key(b->sql, q->type, q->keys[i].attr);
        plumb_buf_text(b->sql, ", ");
    }
    plumb_buf_printf(b->sql, "t.%s) %s (", q->type->id, goes_down(s, q->id_descending) ? "<" : ">");
    for (unsigned i = 0; i < q->key_count; i++) {
        put_key_value(b, s, i);
        plumb_buf_text(b->sql, ", ");
    }
    put_id_value(b, s);
    plumb_buf_text(b->sql, ")");
}

/* a > x OR (a = x AND (b < y OR (b = y AND id > z))) */
static void put_behind_mixed(api_sql_t *b, const api_selection_t *s)
{
    const api_query_t *q = s->query;
    plumb_buf_text(b->sql, " AND (");
    for (unsigned i = 0; i < q->key_count; i++) {
        api_put_key(b->sql, q->type, q->keys[i].attr);
        plumb_buf_text(b->sql, goes_down(s, q->keys[i].descending) ? " < " : " > ");
        put_key_value(b, s, i);
        plumb_buf_text(b->sql, " OR (");
        api_put_key(b->sql, q->type, q->keys[i].attr);
        plumb_buf_text(b->sql, " = ");
        put_key_value(b, s, i);
        plumb_buf_text(b->sql, " AND (");
    }
    plumb_buf_printf(b->sql, "t.%s %s ", q->type->id, goes_down(s, q->id_descending) ? "<" : ">");
    put_id_value(b, s);
    for (unsigned i = 0; i < q->key_count; i++)
        plumb_buf_text(b->sql, "))");
    plumb_buf_text(b->sql, ")");
}

static void put_behind(api_sql_t *b, const api_selection_t *s)
{
    bool mixed = false;
    if (s->from == NULL)
        return;
    for (unsigned i = 0; i < s->query->key_count; i++)
        mixed = mixed || s->query->keys[i].descending != s->query->id_descending;
    if (mixed)
        put_behind_mixed(b, s);
    else
        put_behind_row(b, s);
}

static void put_page(api_sql_t *b, int64_t limit, int64_t offset)
{
    plumb_buf_text(b->sql, " LIMIT ");
    plumb_param_int8(b->params, limit);
    api_put_place(b, "int8");
    if (offset == 0)
        return;
    plumb_buf_text(b->sql, " OFFSET ");
    plumb_param_int8(b->params, offset);
    api_put_place(b, "int8");
}

static void put_keys(plumb_buf_t *out, const api_query_t *q)
{
    for (unsigned i = 0; i < q->key_count; i++) {
        plumb_buf_text(out, ", (");
        api_put_key(out, q->type, q->keys[i].attr);
        plumb_buf_text(out, ")::text");
    }
}

/* ---- leads by project and status ---- */

/* Is there a status or project to walk by, and nothing rarer? */
static bool by_board(const api_selection_t *s)
{
    static const int rare[] = {PLUMB_LEAD_EXTERNAL_ID,  PLUMB_LEAD_PHONE, PLUMB_LEAD_EMAIL,
                               PLUMB_LEAD_DUPLICATE_OF, API_SEARCH,       API_ID};
    const api_query_t *q = s->query;
    if (q->type->kind != API_LEADS || q->key_count > 1 ||
        (q->key_count == 1 && q->keys[0].attr != PLUMB_LEAD_STATUS))
        return false;
    for (size_t i = 0; i < sizeof rare / sizeof *rare; i++)
        if (api_query_condition(q, rare[i], API_ANY) != NULL)
            return false;
    return q->key_count == 1 || !plumb_uuid_is_nil(&s->who->project) ||
           api_query_condition(q, PLUMB_LEAD_PROJECT_ID, API_ANY) != NULL ||
           api_query_condition(q, PLUMB_LEAD_STATUS, API_ANY) != NULL;
}

static void put_statuses(api_sql_t *b, const api_query_t *q)
{
    plumb_array_begin(b->params, PLUMB_ARRAY_TEXT);
    const char *const *word = plumb_lead_attrs[PLUMB_LEAD_STATUS].words;
    if (api_query_condition(q, PLUMB_LEAD_STATUS, API_ANY) != NULL)
        api_put_items(b, q, PLUMB_LEAD_STATUS);
    else
        for (; *word != NULL; word++)
            plumb_item_textn(b->params, *word, strlen(*word));
    plumb_array_end(b->params);
    api_put_place(b, "lead_status[]");
}

/* Where the page goes on in each status: the id counts in that of `from` only. */
static void put_behind_on_board(api_sql_t *b, const api_selection_t *s)
{
    if (s->from == NULL || s->query->key_count == 0) {
        put_behind(b, s);
        return;
    }
    plumb_buf_printf(b->sql, " AND s.status %s ",
                     goes_down(s, s->query->keys[0].descending) ? "<=" : ">=");
    put_key_value(b, s, 0);
    bool down = goes_down(s, s->query->id_descending);
    plumb_buf_printf(b->sql, " AND t.id %s CASE WHEN s.status = ", down ? "<" : ">");
    put_key_value(b, s, 0);
    plumb_buf_text(b->sql, " THEN ");
    put_id_value(b, s);
    plumb_buf_printf(b->sql, " ELSE '%s'::uuid END",
                     down ? "ffffffff-ffff-ffff-ffff-ffffffffffff"
                          : "00000000-0000-0000-0000-000000000000");
}

static void put_board(api_sql_t *b, const api_selection_t *s)
{
    const api_query_t *q = s->query;
    plumb_buf_text(b->sql, " FROM (SELECT p.id FROM projects p WHERE p.account_id = $1");
    api_put_owners(b, s);
    plumb_buf_text(b->sql, ") p CROSS JOIN unnest(");
    put_statuses(b, q);
    plumb_buf_text(b->sql, ") s (status) CROSS JOIN LATERAL (SELECT * FROM leads t WHERE "
                           "t.account_id = $1 AND t.project_id = p.id AND t.status = s.status");
    api_put_conditions(b, s, true);
    put_behind_on_board(b, s);
    plumb_buf_printf(b->sql, " ORDER BY t.id%s", goes_down(s, q->id_descending) ? " DESC" : "");
    put_page(b, s->offset + s->limit, 0);
    plumb_buf_text(b->sql, ") t");
}

/* ---- whole statements ---- */

static api_sql_t begin(plumb_buf_t *sql, plumb_params_t *params, const api_selection_t *s)
{
    plumb_buf_clear(sql);
    plumb_params_clear(params);
    plumb_buf_text(sql, "SELECT ");
    plumb_param_uuid(params, &s->who->account);
    return (api_sql_t){sql, params, 1};
}

void api_select_page(plumb_buf_t *sql, plumb_params_t *params, const api_selection_t *s)
{
    api_sql_t b = begin(sql, params, s);
    put_columns(sql, s->query->type);
    put_keys(sql, s->query);
    if (by_board(s)) {
        put_board(&b, s);
    } else {
        plumb_buf_printf(sql, " FROM %s t WHERE t.account_id = $1", s->query->type->table);
        api_put_conditions(&b, s, false);
        put_behind(&b, s);
    }
    put_order(sql, s);
    put_page(&b, s->limit, s->offset);
}

void api_select_count(plumb_buf_t *sql, plumb_params_t *params, const api_selection_t *s)
{
    api_sql_t b = begin(sql, params, s);
    plumb_buf_printf(sql, "count(*) FROM %s t WHERE t.account_id = $1", s->query->type->table);
    api_put_conditions(&b, s, false);
}

/* Not put away, and of the project in $3 unless that is NULL. */
static void put_visible(plumb_buf_t *sql, const api_type_t *type)
{
    if (type->deleted != NULL)
        plumb_buf_printf(sql, " AND t.%s IS NULL", type->deleted);
    plumb_buf_text(sql, " AND ($3::uuid IS NULL OR ");
    api_put_bound(sql, type, "$3");
    plumb_buf_text(sql, ")");
}

void api_select_one(plumb_buf_t *sql, const api_type_t *type)
{
    plumb_buf_text(sql, "SELECT ");
    put_columns(sql, type);
    plumb_buf_printf(sql, " FROM %s t WHERE t.account_id = $1 AND t.%s = $2", type->table,
                     type->id);
    put_visible(sql, type);
}

void api_select_some(plumb_buf_t *sql, const api_type_t *type)
{
    plumb_buf_text(sql, "SELECT ");
    put_columns(sql, type);
    plumb_buf_printf(sql, " FROM %s t WHERE t.account_id = $1 AND t.%s = ANY ($2::uuid[])",
                     type->table, type->id);
    put_visible(sql, type);
}
