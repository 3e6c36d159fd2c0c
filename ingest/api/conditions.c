/* Conditions. */
#include "conditions.h"

#include "../email.h"
#include "../phone.h"
#include "lead.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void api_put_place(api_sql_t *b, const char *type)
{
    plumb_buf_printf(b->sql, "$%d::%s", ++b->count, type);
}

const char *api_sql_type(const plumb_attr_t *attr)
{
    switch (attr->type) {
    case PLUMB_ATTR_UUID:
        return "uuid";
    case PLUMB_ATTR_BOOL:
        return "boolean";
    case PLUMB_ATTR_INT:
        return "bigint";
    case PLUMB_ATTR_TIME:
        return "timestamptz";
    case PLUMB_ATTR_IP:
        return "inet";
    case PLUMB_ATTR_WORD: /* the columns that are enumerations */
        return strcmp(attr->column, "kind") == 0 ? "blocked_kind" : "lead_status";
    default:
        return "text";
    }
}

void api_put_key(plumb_buf_t *out, const api_type_t *type, int attr)
{
    const plumb_attr_t *a = &type->attrs[attr];
    bool nullable = a->type == PLUMB_ATTR_TIME && (a->flags & PLUMB_ATTR_CREATE) != 0;
    plumb_buf_printf(out, nullable ? "coalesce(t.%s, 'infinity')" : "t.%s", a->column);
}

/* ---- values ---- */

static const api_value_t *next_value(const api_query_t *q, const api_condition_t *c, unsigned *at)
{
    while (*at < q->value_count) {
        const api_value_t *v = &q->values[(*at)++];
        if (v->condition == (unsigned)(c - q->conditions))
            return v;
    }
    return NULL;
}

static plumb_slice_t text_of(const api_query_t *q, const api_value_t *v)
{
    return (plumb_slice_t){q->texts.data + v->at, v->length};
}

static void put_items(api_sql_t *b, const api_query_t *q, const api_condition_t *c)
{
    const api_value_t *v;
    for (unsigned at = 0; (v = next_value(q, c, &at)) != NULL;)
        plumb_item_textn(b->params, text_of(q, v).data, v->length);
}

void api_put_items(api_sql_t *b, const api_query_t *q, int attr)
{
    put_items(b, q, api_query_condition(q, attr, API_ANY));
}

/* " = $2::type", or " = ANY ($2::type[])". */
static void put_values(api_sql_t *b, const api_query_t *q, const api_condition_t *c,
                       const char *type)
{
    unsigned at = 0;
    if (c->count == 1) {
        plumb_slice_t text = text_of(q, next_value(q, c, &at));
        plumb_param_textn(b->params, text.data, text.length);
        plumb_buf_text(b->sql, " = ");
        api_put_place(b, type);
        return;
    }
    plumb_array_begin(b->params, PLUMB_ARRAY_TEXT);
    put_items(b, q, c);
    plumb_array_end(b->params);
    plumb_buf_printf(b->sql, " = ANY ($%d::%s[])", ++b->count, type);
}

/* ---- times: what the API shows of them are milliseconds, so those are compared ---- */

static const struct {
    const char *sign;
    int64_t more_ms;
} bounds[] = {
    [API_GTE] = {">=", 0}, [API_GT] = {">=", 1}, [API_LTE] = {"<", 1}, [API_LT] = {"<", 0}};

static void put_bound_time(api_sql_t *b, const api_type_t *type, const plumb_attr_t *attr,
                           api_op_t op, int64_t ms)
{
    bool by_id = (type->flags & API_TIMED_IDS) != 0 && strcmp(attr->name, "createdAt") == 0;
    ms += bounds[op].more_ms;
    plumb_param_time(b->params,
                     by_id && ms < 0 ? 0 : ms); /* no id is older than its clock's zero */
    plumb_buf_printf(
        b->sql, by_id ? "t.%s %s plumb_id_floor($%d::timestamptz)" : "t.%s %s $%d::timestamptz",
        by_id ? type->id : attr->column, bounds[op].sign, ++b->count);
}

static void put_times(api_sql_t *b, const api_query_t *q, const plumb_attr_t *attr,
                      const api_condition_t *c)
{
    unsigned at = 0;
    const api_value_t *v = next_value(q, c, &at);
    int64_t ms = strtoll(text_of(q, v).data, NULL, 10);
    if (c->op != API_ANY) {
        put_bound_time(b, q->type, attr, c->op, ms);
    } else if (c->count == 1) {
        put_bound_time(b, q->type, attr, API_GTE, ms);
        plumb_buf_text(b->sql, " AND ");
        put_bound_time(b, q->type, attr, API_LTE, ms);
    } else {
        plumb_array_begin(b->params, PLUMB_ARRAY_TIME);
        for (; v != NULL; v = next_value(q, c, &at))
            plumb_item_time(b->params, strtoll(text_of(q, v).data, NULL, 10));
        plumb_array_end(b->params);
        plumb_buf_printf(b->sql, "date_trunc('milliseconds', t.%s) = ANY ($%d::timestamptz[])",
                         attr->column, ++b->count);
    }
}

/* ---- what is found by blind indexes ---- */

static bool term_of(int64_t *term, const api_selection_t *s, int attr, const plumb_slice_t *text)
{
    char phone[PHONE_MAX], email[EMAIL_MAX];
    plumb_err_t err;
    if (attr == PLUMB_LEAD_PHONE && phone_normalise(phone, text->data, text->length, "", &err) == 0)
        return plumb_blind_phone(term, s->index_key, phone, strlen(phone));
    if (attr == PLUMB_LEAD_PHONE)
        return plumb_blind_phone(term, s->index_key, text->data, text->length);
    if (email_normalise(email, text->data, text->length, &err) == 0)
        return plumb_blind_email(term, s->index_key, email, strlen(email));
    return plumb_blind_email(term, s->index_key, text->data, text->length);
}

static void put_terms(api_sql_t *b, const api_selection_t *s, const api_condition_t *c)
{
    const api_value_t *v;
    plumb_array_begin(b->params, PLUMB_ARRAY_INT8);
    for (unsigned at = 0; (v = next_value(s->query, c, &at)) != NULL;) {
        plumb_slice_t text = text_of(s->query, v);
        int64_t term;
        if (term_of(&term, s, c->attr, &text))
            plumb_item_int8(b->params, term);
    }
    plumb_array_end(b->params);
    plumb_buf_printf(b->sql, "t.%s = ANY ($%d::int8[])",
                     c->attr == PLUMB_LEAD_PHONE ? "phone_term" : "email_term", ++b->count);
}

static void put_group(api_sql_t *b, const plumb_blind_t *group)
{
    plumb_buf_text(b->sql, "(true");
    if (group->has_phone) {
        plumb_param_int8(b->params, group->phone);
        plumb_buf_text(b->sql, " AND t.phone_term = ");
        api_put_place(b, "int8");
    }
    if (group->has_email) {
        plumb_param_int8(b->params, group->email);
        plumb_buf_text(b->sql, " AND t.email_term = ");
        api_put_place(b, "int8");
    }
    if (group->count > 0) {
        plumb_array_begin(b->params, PLUMB_ARRAY_INT8);
        for (size_t i = 0; i < group->count; i++)
            plumb_item_int8(b->params, group->terms[i]);
        plumb_array_end(b->params);
        plumb_buf_text(b->sql, " AND t.terms @> ");
        api_put_place(b, "int8[]");
    }
    plumb_buf_text(b->sql, ")");
}

/* Leads by their terms, others by a part of their name. */
static void put_search(api_sql_t *b, const api_selection_t *s, const api_condition_t *c)
{
    unsigned at = 0;
    if (s->query->type->kind != API_LEADS) {
        plumb_slice_t text = text_of(s->query, next_value(s->query, c, &at));
        plumb_param_textn(b->params, text.data, text.length);
        plumb_buf_text(b->sql, "strpos(lower(t.name), lower(");
        api_put_place(b, "text");
        plumb_buf_text(b->sql, ")) > 0");
        return;
    }
    if (s->found == NULL || s->found->count == 0)
        plumb_buf_text(b->sql, "false");
    for (size_t i = 0; s->found != NULL && i < s->found->count; i++) {
        plumb_buf_text(b->sql, i > 0 ? " OR " : "");
        put_group(b, &s->found->groups[i]);
    }
}

/* ---- one condition ---- */

/* A partial index is proven to serve only by the word itself. */
static void put_bools(api_sql_t *b, const api_query_t *q, const plumb_attr_t *attr,
                      const api_condition_t *c)
{
    unsigned at = 0;
    if (c->count != 1) {
        plumb_buf_printf(b->sql, "t.%s", attr->column);
        put_values(b, q, c, "boolean");
        return;
    }
    bool is = *text_of(q, next_value(q, c, &at)).data == 't';
    plumb_buf_printf(b->sql, is ? "t.%s" : "NOT t.%s", attr->column);
}

static void put_range(api_sql_t *b, const api_query_t *q, const char *column, const char *type,
                      const api_condition_t *c)
{
    static const char *const signs[] = {
        [API_GTE] = ">=", [API_GT] = ">", [API_LTE] = "<=", [API_LT] = "<"};
    unsigned at = 0;
    plumb_slice_t text = text_of(q, next_value(q, c, &at));
    plumb_param_textn(b->params, text.data, text.length);
    plumb_buf_printf(b->sql, "t.%s %s ", column, signs[c->op]);
    api_put_place(b, type);
}

static void put_condition(api_sql_t *b, const api_selection_t *s, const api_condition_t *c)
{
    const api_query_t *q = s->query;
    const plumb_attr_t *attr = c->attr >= 0 ? &q->type->attrs[c->attr] : NULL;
    const char *column = attr == NULL ? q->type->id : attr->column;
    const char *type = attr == NULL ? "uuid" : api_sql_type(attr);
    if (c->attr == API_SEARCH) {
        put_search(b, s, c);
    } else if (attr != NULL && attr->type == PLUMB_ATTR_TIME) {
        put_times(b, q, attr, c);
    } else if (c->op != API_ANY) {
        put_range(b, q, column, type, c);
    } else if (attr != NULL && (attr->flags & PLUMB_ATTR_SEALED) != 0) {
        put_terms(b, s, c);
    } else if (attr != NULL && attr->type == PLUMB_ATTR_BOOL) {
        put_bools(b, q, attr, c);
    } else {
        plumb_buf_printf(b->sql, "t.%s", column);
        put_values(b, q, c, type);
    }
}

/* The column that tells whether there is a value at all. */
static const char *null_column(const api_query_t *q, const api_condition_t *c)
{
    if (c->attr < 0)
        return q->type->id;
    const plumb_attr_t *attr = &q->type->attrs[c->attr];
    if ((attr->flags & PLUMB_ATTR_SEALED) == 0)
        return attr->column;
    return c->attr == PLUMB_LEAD_PHONE ? "phone_term" : "email_term";
}

static void put_and(api_sql_t *b, const api_selection_t *s, const api_condition_t *c)
{
    plumb_buf_text(b->sql, " AND (");
    if (c->count > 0)
        put_condition(b, s, c);
    if (c->or_null)
        plumb_buf_printf(b->sql, c->count > 0 ? " OR t.%s IS NULL" : "t.%s IS NULL",
                         null_column(s->query, c));
    plumb_buf_text(b->sql, ")");
}

/* ---- all of them ---- */

void api_put_bound(plumb_buf_t *out, const api_type_t *type, const char *place)
{
    const char *bound = type->bound;
    if (bound == NULL) {
        plumb_buf_printf(out, "t.%s = %s", type->project, place);
        return;
    }
    for (; *bound != '\0'; bound++)
        if (*bound == '@')
            plumb_buf_text(out, place);
        else
            plumb_buf_put(out, bound, 1);
}

static bool names_deletion(const api_query_t *q)
{
    for (unsigned i = 0; i < q->condition_count; i++)
        if (q->conditions[i].attr >= 0 &&
            strcmp(q->type->attrs[q->conditions[i].attr].column, q->type->deleted) == 0)
            return true;
    return false;
}

void api_put_conditions(api_sql_t *b, const api_selection_t *s, bool on_board)
{
    const api_query_t *q = s->query;
    char place[32];
    for (unsigned i = 0; i < q->condition_count; i++) {
        const api_condition_t *c = &q->conditions[i];
        bool looped = on_board && c->op == API_ANY && !c->or_null &&
                      (c->attr == PLUMB_LEAD_PROJECT_ID || c->attr == PLUMB_LEAD_STATUS);
        if (!looped)
            put_and(b, s, c);
    }
    if (q->type->deleted != NULL && !names_deletion(q))
        plumb_buf_printf(b->sql, " AND t.%s IS NULL", q->type->deleted);
    if (!on_board && !plumb_uuid_is_nil(&s->who->project)) {
        plumb_param_uuid(b->params, &s->who->project);
        snprintf(place, sizeof place, "$%d", ++b->count);
        plumb_buf_text(b->sql, " AND ");
        api_put_bound(b->sql, q->type, place);
    }
    if (q->type->kind == API_LEADS && q->key_count > 0 && q->keys[0].attr == PLUMB_LEAD_UPDATED_AT)
        plumb_buf_text(b->sql, " AND t.updated_at > '2000-01-01 00:00:00+00'");
}

void api_put_owners(api_sql_t *b, const api_selection_t *s)
{
    const api_condition_t *c = api_query_condition(s->query, PLUMB_LEAD_PROJECT_ID, API_ANY);
    if (c != NULL && !c->or_null) {
        plumb_buf_text(b->sql, " AND p.id");
        put_values(b, s->query, c, "uuid");
    }
    if (!plumb_uuid_is_nil(&s->who->project)) {
        plumb_param_uuid(b->params, &s->who->project);
        plumb_buf_text(b->sql, " AND p.id = ");
        api_put_place(b, "uuid");
    }
}
