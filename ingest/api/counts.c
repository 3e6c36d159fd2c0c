/* Counting by facets: no I/O. */
#include "counts.h"

#include "lead.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int attr;
} facets[FACETS] = {
    [FACET_STATUS] = {"status", PLUMB_LEAD_STATUS},
    [FACET_PROJECT] = {"projectId", PLUMB_LEAD_PROJECT_ID},
    [FACET_QUIZ] = {"quizId", PLUMB_LEAD_QUIZ_ID},
    [FACET_USER] = {"userId", PLUMB_LEAD_USER_ID},
    [FACET_VIEWED] = {"viewed", PLUMB_LEAD_VIEWED},
    [FACET_PAID] = {"paid", PLUMB_LEAD_PAID},
    [FACET_BLOCKED] = {"blocked", PLUMB_LEAD_BLOCKED},
    [FACET_TEST] = {"isTest", PLUMB_LEAD_IS_TEST},
    [FACET_DUPLICATE] = {"duplicate", PLUMB_LEAD_DUPLICATE_OF},
};

static const char *const *status_words(void)
{
    return plumb_lead_attrs[PLUMB_LEAD_STATUS].words;
}

int counts_status(const char *status)
{
    int i = 0;
    while (status_words()[i] != NULL && strcmp(status_words()[i], status) != 0)
        i++;
    return i;
}

/* ---- filters ---- */

/* The facet whose filter it is; FACETS: none.  Of duplicates the counters know only whether. */
static facet_t facet_of(const api_condition_t *c)
{
    facet_t f = FACETS;
    if (c->op != API_ANY || (c->attr == PLUMB_LEAD_DUPLICATE_OF && c->count > 0))
        return f;
    for (f = 0; f < FACETS && facets[f].attr != c->attr;)
        f++;
    return f;
}

static int compare_ids(const void *a, const void *b)
{
    return plumb_uuid_compare(a, b);
}

static void want_value(struct count_wanted *w, facet_t facet, const char *text, size_t length)
{
    if (facet == FACET_STATUS)
        w->words |= 1U << counts_status(text);
    else if (facet >= FACET_VIEWED)
        w->words |= *text == 't' ? 2 : 1;
    else if (plumb_uuid_parse(&w->ids[w->id_count], text, length))
        w->id_count++;
}

static void want(counts_t *counts, const api_query_t *q, unsigned condition, facet_t facet)
{
    const api_condition_t *c = &q->conditions[condition];
    struct count_wanted *w = &counts->wanted[facet];
    w->is_filtered = true;
    if (facet == FACET_DUPLICATE) /* "null": is none */
        w->words = 1;
    w->ids = calloc(c->count + 1, sizeof *w->ids);
    if (w->ids == NULL) {
        counts->failed = true;
        return;
    }
    for (unsigned i = 0; i < q->value_count; i++)
        if (q->values[i].condition == condition)
            want_value(w, facet, q->texts.data + q->values[i].at, q->values[i].length);
    qsort(w->ids, w->id_count, sizeof *w->ids, compare_ids);
}

void counts_begin(counts_t *counts, const api_query_t *q)
{
    for (unsigned i = 0; i < q->condition_count; i++) {
        facet_t facet = facet_of(&q->conditions[i]);
        if (facet < FACETS)
            want(counts, q, i, facet);
    }
}

void counts_fini(counts_t *counts)
{
    for (int i = 0; i < FACETS; i++)
        free(counts->wanted[i].ids);
    for (int i = 0; i < FACET_IDS; i++)
        free(counts->ids[i].items);
    *counts = (counts_t){.total = 0};
}

/* Narrow the range by a bound, as ingest/api/conditions.c reads it: times are milliseconds. */
static void narrow(counts_range_t *range, api_op_t op, int64_t ms)
{
    int64_t low = op == API_GTE ? ms : op == API_GT ? ms + 1 : INT64_MIN;
    int64_t high = op == API_LT ? ms : op == API_LTE ? ms + 1 : INT64_MAX;
    if (low > range->from_ms)
        range->from_ms = low;
    if (high < range->to_ms)
        range->to_ms = high;
}

/* The value of a condition that has one. */
static int64_t time_of(const api_query_t *q, unsigned condition)
{
    for (unsigned i = 0; i < q->value_count; i++)
        if (q->values[i].condition == condition)
            return strtoll(q->texts.data + q->values[i].at, NULL, 10);
    return 0;
}

static void keep(api_query_t *rest, const api_query_t *q, unsigned condition)
{
    unsigned number = rest->condition_count++;
    rest->conditions[number] = q->conditions[condition];
    for (unsigned i = 0; i < q->value_count; i++)
        if (q->values[i].condition == condition)
            rest->values[rest->value_count++] =
                (api_value_t){number, q->values[i].at, q->values[i].length};
}

/* What is put away is not counted, unless the query speaks of it. */
static bool asks_for_living(const api_condition_t *c)
{
    return c->attr == PLUMB_LEAD_DELETED_AT && c->op == API_ANY && c->count == 0;
}

bool counts_split(const api_query_t *q, counts_range_t *range, api_query_t *rest)
{
    bool others = false;
    *range = (counts_range_t){INT64_MIN, INT64_MAX};
    *rest = *q;
    rest->condition_count = rest->value_count = 0;
    for (unsigned i = 0; i < q->condition_count; i++) {
        const api_condition_t *c = &q->conditions[i];
        if (facet_of(c) < FACETS)
            continue;
        keep(rest, q, i);
        if (c->attr == PLUMB_LEAD_CREATED_AT && c->op != API_ANY)
            narrow(range, c->op, time_of(q, i));
        else
            others = others || !asks_for_living(c);
    }
    return others;
}

void counts_without(const api_query_t *q, int attr, api_query_t *copy)
{
    *copy = *q;
    copy->condition_count = copy->value_count = 0;
    for (unsigned i = 0; i < q->condition_count; i++)
        if (q->conditions[i].attr != attr || q->conditions[i].op != API_ANY)
            keep(copy, q, i);
}

/* ---- counting ---- */

static bool fits(const struct count_wanted *w, const count_row_t *row, facet_t facet)
{
    if (!w->is_filtered)
        return true;
    if (facet == FACET_STATUS)
        return (w->words >> counts_status(row->status) & 1) != 0;
    if (facet >= FACET_VIEWED)
        return (w->words >> (row->flags >> (facet - FACET_VIEWED) & 1) & 1) != 0;
    return bsearch(&row->ids[facet - FACET_PROJECT], w->ids, w->id_count, sizeof *w->ids,
                   compare_ids) != NULL;
}

static void add_id(counts_t *counts, int which, const plumb_uuid_t *id, int64_t leads)
{
    struct count_list *list = &counts->ids[which];
    if (list->count > 0 && plumb_uuid_compare(&list->items[list->count - 1].id, id) == 0) {
        list->items[list->count - 1].leads += leads;
        return;
    }
    if (list->count == list->room) {
        size_t room = list->room * 2 + 64;
        count_id_t *items = realloc(list->items, room * sizeof *items);
        if (items == NULL) {
            counts->failed = true;
            return;
        }
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = (count_id_t){*id, leads};
}

static void add_to(counts_t *counts, const count_row_t *row, facet_t facet)
{
    if (facet == FACET_STATUS)
        counts->statuses[counts_status(row->status)] += row->leads;
    else if (facet >= FACET_VIEWED)
        counts->flags[facet - FACET_VIEWED][row->flags >> (facet - FACET_VIEWED) & 1] += row->leads;
    else
        add_id(counts, facet - FACET_PROJECT, &row->ids[facet - FACET_PROJECT], row->leads);
}

void counts_add(counts_t *counts, const count_row_t *row)
{
    unsigned misses = 0;
    for (facet_t f = 0; f < FACETS; f++)
        if (!fits(&counts->wanted[f], row, f))
            misses |= 1U << f;
    if (misses == 0)
        counts->total += row->leads;
    for (facet_t f = 0; f < FACETS; f++)
        if ((misses & ~(1U << f)) == 0)
            add_to(counts, row, f);
}

/* ---- telling ---- */

static void put_number(plumb_buf_t *out, const char *comma, const char *name, int64_t number)
{
    plumb_buf_printf(out, "%s\"%s\":%" PRId64, comma, name, number);
}

static int compare_items(const void *a, const void *b)
{
    return plumb_uuid_compare(&((const count_id_t *)a)->id, &((const count_id_t *)b)->id);
}

static void put_ids(plumb_buf_t *out, struct count_list *list)
{
    char text[PLUMB_UUID_TEXT];
    const char *comma = "";
    if (list->count > 0)
        qsort(list->items, list->count, sizeof *list->items, compare_items);
    for (size_t i = 0, k; i < list->count; i = k) {
        int64_t leads = 0;
        for (k = i; k < list->count && compare_items(&list->items[k], &list->items[i]) == 0; k++)
            leads += list->items[k].leads;
        if (leads == 0)
            continue;
        put_number(out, comma, plumb_uuid_text(&list->items[i].id, text), leads);
        comma = ",";
    }
}

static void put_facet(counts_t *counts, plumb_buf_t *out, facet_t facet)
{
    const char *const *word = status_words();
    if (facet == FACET_STATUS) {
        for (int i = 0; word[i] != NULL; i++)
            put_number(out, i > 0 ? "," : "", word[i], counts->statuses[i]);
    } else if (facet >= FACET_VIEWED) {
        put_number(out, "", "true", counts->flags[facet - FACET_VIEWED][1]);
        put_number(out, ",", "false", counts->flags[facet - FACET_VIEWED][0]);
    } else {
        put_ids(out, &counts->ids[facet - FACET_PROJECT]);
    }
}

int counts_put(counts_t *counts, plumb_buf_t *out, plumb_err_t *err)
{
    plumb_buf_put(out, "{", 1);
    for (facet_t f = 0; f < FACETS; f++) {
        plumb_buf_printf(out, "%s\"%s\":{", f > 0 ? "," : "", facets[f].name);
        put_facet(counts, out, f);
        plumb_buf_put(out, "}", 1);
    }
    plumb_buf_put(out, "}", 1);
    return counts->failed ? plumb_err_set(err, PLUMB_E_MEMORY, "counting") : 0;
}
