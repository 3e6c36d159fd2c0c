/* From rows to resource objects: opening what is sealed, masking what is not paid for. */
#include "reading.h"

#include "../checks.h"
#include "../datakey.h"
#include "../route.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

const api_type_t *reading_type(const request_t *request)
{
    const char *path = request->route->path;
    for (size_t i = 0; i < API_TYPES; i++) {
        size_t length = api_types[i].path == NULL ? 0 : strlen(api_types[i].path);
        if (length > 0 && strncmp(path, api_types[i].path, length) == 0 &&
            (path[length] == '/' || path[length] == '\0'))
            return &api_types[i];
    }
    return NULL;
}

bool reading_begin(reading_t *r, request_t *request, const api_type_t *type, unsigned may)
{
    plumb_err_t err = {0};
    *r = (reading_t){.request = request, .type = type};
    if (!api_query_read(&r->query, type, may, request->door.query, &request->problems)) {
        answer_problems(request);
        return false;
    }
    if (!checks_charge(request))
        return false;
    if (readers_take(request->ingest->readers, &r->reader, &err) < 0) {
        answer_failure(request, &err);
        return false;
    }
    return true;
}

void reading_end(reading_t *r)
{
    PQclear(r->rows);
    outcomes_fini(&r->outcomes);
    api_query_fini(&r->query);
    plumb_buf_wipe(&r->included);
    plumb_buf_fini(&r->derived);
    plumb_buf_fini(&r->linkage);
    plumb_buf_fini(&r->cursor);
    sodium_memzero(&r->account_key, sizeof r->account_key);
    readers_give(r->request->ingest->readers, r->reader);
}

/* ---- what became of leads ---- */

#define DERIVED_BITS (API_BIT(API_BIT_DERIVED) | API_BIT(API_BIT_DERIVED + 1))

static bool includes_deliveries(const reading_t *r)
{
    int at = r->type->kind == API_LEADS ? api_relation_find(r->type, "deliveries", 10) : -1;
    return at >= 0 && (r->query.include & API_BIT(API_BIT_RELATION + at)) != 0;
}

int reading_fetch_outcomes(reading_t *r, plumb_err_t *err)
{
    bool needed = includes_deliveries(r) || (r->query.fields[API_LEADS] & DERIVED_BITS) != 0;
    if (r->type->kind != API_LEADS || !needed || PQntuples(r->rows) == 0)
        return 0;
    return outcomes_fetch(&r->outcomes, r->reader, &r->request->identity.account, r->rows,
                          r->query.attempts, err);
}

/* ---- leads ---- */

/* What is not paid for shows that it is there, not what it is; nor do exchanges with services. */
static void mask(plumb_lead_t *lead, plumb_key_t *attempt_key)
{
    static const plumb_slice_t phone = {"+***********", 12}, email = {"***@***", 7};
    if (lead->value[PLUMB_LEAD_PAID].length != strlen("false"))
        return;
    attempt_key->id = 0;
    if (lead->value[PLUMB_LEAD_PHONE].data != NULL)
        lead->value[PLUMB_LEAD_PHONE] = phone;
    if (lead->value[PLUMB_LEAD_EMAIL].data != NULL)
        lead->value[PLUMB_LEAD_EMAIL] = email;
    lead->value[PLUMB_LEAD_CONTACTS] = (plumb_slice_t){NULL, 0};
}

/* Open the lead's frames; `attempt_key` stays of id 0 when the person was erased. */
static int open_lead(reading_t *r, plumb_lead_t *lead, const plumb_slice_t *wrapped,
                     const plumb_slice_t *sealed, plumb_key_t *attempt_key, plumb_err_t *err)
{
    request_t *request = r->request;
    plumb_buf_t *personal = &request->texts; /* the lead points into it until it is written */
    plumb_seal_place_t place = plumb_lead_place_personal(&lead->account, &lead->id);
    plumb_key_t key = {0};
    if (wrapped->data == NULL)
        return 0;
    int rc = data_key_open(&key, request->ingest->vault, r->reader->db, &lead->account, &lead->id,
                           wrapped, &request->work->plain, err);
    if (rc < 0)
        return rc;
    plumb_key_attempt(attempt_key, &key);
    plumb_buf_clear(personal);
    if (sealed->data != NULL)
        rc = plumb_seal_open(personal, &key, &place, sealed->data, sealed->length, err);
    if (rc == 0 && sealed->data != NULL)
        rc = plumb_lead_personal_unpack(lead, personal->data, personal->length, err);
    sodium_memzero(&key, sizeof key);
    return rc;
}

static plumb_slice_t slice_of(const plumb_buf_t *buf, size_t from)
{
    return (plumb_slice_t){buf->data + from, buf->length - from};
}

/* The lead's resource, and its deliveries among what is included. */
static void write_lead(reading_t *r, plumb_buf_t *out, const plumb_lead_t *lead,
                       const plumb_key_t *attempt_key, const plumb_buf_t *cursor)
{
    char id[PLUMB_UUID_TEXT];
    plumb_slice_t derived[2], linkage[API_RELATIONS_MAX] = {{NULL, 0}};
    outcome_range_t of = outcomes_of(&r->outcomes, &lead->id);
    plumb_buf_clear(&r->derived);
    plumb_buf_printf(&r->derived, "\"%s\"", integration_name(outcomes_status(&r->outcomes, of)));
    size_t first = r->derived.length;
    outcomes_put_remote_ids(&r->derived, &r->outcomes, of);
    derived[0] = (plumb_slice_t){r->derived.data, first};
    derived[1] = slice_of(&r->derived, first);
    plumb_buf_clear(&r->linkage);
    if (includes_deliveries(r)) {
        outcomes_put_names(&r->linkage, &r->outcomes, of);
        linkage[api_relation_find(r->type, "deliveries", 10)] = slice_of(&r->linkage, 0);
    }
    api_put_resource(out, &(api_resource_t){.type = r->type,
                                            .id = plumb_uuid_text(&lead->id, id),
                                            .lead = lead,
                                            .derived = derived,
                                            .linkage = linkage,
                                            .fields = r->query.fields[API_LEADS],
                                            .cursor = cursor});
    outcome_opener_t opener = {&lead->account, attempt_key, &r->request->work->plain, &r->linkage,
                               &r->request->work->json};
    if (includes_deliveries(r))
        outcomes_put(&r->included, &r->outcomes, of, &opener, r->query.fields);
}

static int put_lead(reading_t *r, plumb_buf_t *out, const PGresult *rows, int row,
                    const plumb_buf_t *cursor, plumb_err_t *err)
{
    plumb_lead_t *lead = &r->request->lead;
    plumb_key_t attempt_key = {0};
    plumb_slice_t wrapped, sealed;
    plumb_lead_from_row(lead, rows, row, 0, &wrapped, &sealed);
    int rc = open_lead(r, lead, &wrapped, &sealed, &attempt_key, err);
    mask(lead, &attempt_key);
    if (rc == 0)
        write_lead(r, out, lead, &attempt_key, cursor);
    sodium_memzero(&attempt_key, sizeof attempt_key);
    return rc;
}

/* ---- the others ---- */

/* The sealed attribute's value, from a frame under a key of the account. */
static int open_value(reading_t *r, const api_type_t *type, api_row_t *row, plumb_err_t *err)
{
    request_t *request = r->request;
    const plumb_uuid_t *account = &request->identity.account;
    plumb_seal_place_t place = api_sealed_place(type, account, &row->id);
    if (row->sealed.data == NULL)
        return 0;
    int rc = plumb_vault_key(request->ingest->vault, r->reader->db, account,
                             plumb_seal_key_id(row->sealed.data, row->sealed.length),
                             &r->account_key, err);
    plumb_buf_clear(&request->texts);
    if (rc == 0)
        rc = plumb_seal_open(&request->texts, &r->account_key, &place, row->sealed.data,
                             row->sealed.length, err);
    for (size_t i = 0; rc == 0 && i < type->attr_count; i++)
        if ((type->attrs[i].flags & PLUMB_ATTR_SEALED) != 0)
            row->value[i] = slice_of(&request->texts, 0);
    return rc;
}

static int put_plain(reading_t *r, plumb_buf_t *out, const api_type_t *type, const PGresult *rows,
                     int number, const plumb_buf_t *cursor, plumb_err_t *err)
{
    char id[PLUMB_UUID_TEXT];
    api_row_t row;
    api_row_read(&row, type, rows, number);
    int rc = open_value(r, type, &row, err);
    if (rc == 0)
        api_put_resource(out, &(api_resource_t){.type = type,
                                                .id = plumb_uuid_text(&row.id, id),
                                                .value = row.value,
                                                .fields = r->query.fields[type->kind],
                                                .cursor = cursor});
    return rc;
}

int reading_put(reading_t *r, plumb_buf_t *out, int row, const plumb_buf_t *cursor,
                plumb_err_t *err)
{
    return r->type->kind == API_LEADS ? put_lead(r, out, r->rows, row, cursor, err)
                                      : put_plain(r, out, r->type, r->rows, row, cursor, err);
}

/* ---- included owners ---- */

static int compare_ids(const void *a, const void *b)
{
    return plumb_uuid_compare(a, b);
}

/* The different ids that the rows' attribute has.  How many. */
static size_t gather_ids(const reading_t *r, int attr, plumb_uuid_t *ids)
{
    size_t count = 0, kept = 0;
    api_row_t row;
    for (int i = 0; i < r->count; i++) {
        api_row_read(&row, r->type, r->rows, i);
        if (plumb_uuid_parse(&ids[count], row.value[attr].data == NULL ? "" : row.value[attr].data,
                             row.value[attr].length))
            count++;
    }
    qsort(ids, count, sizeof *ids, compare_ids);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || plumb_uuid_compare(&ids[kept - 1], &ids[i]) != 0)
            ids[kept++] = ids[i];
    return kept;
}

/* Is it among the answer's own resources?  Nothing may come twice. */
static bool is_primary(const reading_t *r, const api_type_t *type, const plumb_uuid_t *id)
{
    for (int i = 0; type == r->type && i < r->count; i++) {
        plumb_uuid_t there = plumb_get_uuid(r->rows, i, 1);
        if (plumb_uuid_compare(&there, id) == 0)
            return true;
    }
    return false;
}

static int put_some(reading_t *r, const api_type_t *type, const PGresult *rows, plumb_err_t *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < PQntuples(rows); i++) {
        plumb_uuid_t id = plumb_get_uuid(rows, i, 1);
        if (is_primary(r, type, &id))
            continue;
        plumb_buf_put(&r->included, ",", 1);
        rc = type->kind == API_LEADS ? put_lead(r, &r->included, rows, i, NULL, err)
                                     : put_plain(r, &r->included, type, rows, i, NULL, err);
    }
    return rc;
}

/* Leads that belong to leads: with what became of them. */
static int put_leads(reading_t *r, const PGresult *rows, plumb_err_t *err)
{
    outcomes_t of_rows = r->outcomes;
    r->outcomes = (outcomes_t){NULL, NULL};
    int rc = outcomes_fetch(&r->outcomes, r->reader, &r->request->identity.account, rows,
                            r->query.attempts, err);
    if (rc == 0)
        rc = put_some(r, &api_types[API_LEADS], rows, err);
    outcomes_fini(&r->outcomes);
    r->outcomes = of_rows;
    return rc;
}

static int include_owners(reading_t *r, const api_relation_t *relation, plumb_err_t *err)
{
    const api_type_t *type = &api_types[relation->kind];
    int attr = api_attr_find(r->type, relation->attr, strlen(relation->attr));
    plumb_uuid_t ids[API_PAGE_MAX] = {{{0}}};
    PGresult *rows = NULL;
    size_t count = gather_ids(r, attr, ids);
    if (count == 0)
        return 0;
    int rc = store_some(&r->request->ingest->store, r->reader, type, &r->request->identity, ids,
                        count, &rows, err);
    if (rc == 0)
        rc = type->kind == API_LEADS ? put_leads(r, rows, err) : put_some(r, type, rows, err);
    PQclear(rows);
    return rc;
}

int reading_put_included(reading_t *r, plumb_buf_t *out, plumb_err_t *err)
{
    int rc = 0;
    if (r->query.include == 0)
        return 0;
    for (size_t i = 0; rc == 0 && i < r->type->relation_count; i++)
        if ((r->query.include & API_BIT(API_BIT_RELATION + i)) != 0 &&
            r->type->relations[i].attr != NULL)
            rc = include_owners(r, &r->type->relations[i], err);
    plumb_buf_text(out, ",\"included\":[");
    if (r->included.length > 0) /* without its first comma */
        plumb_buf_put(out, r->included.data + 1, r->included.length - 1);
    plumb_buf_put(out, "]", 1);
    return r->included.failed ? plumb_err_set(err, PLUMB_E_MEMORY, "what is included") : rc;
}

void reading_put_self(const reading_t *r, plumb_buf_t *out)
{
    plumb_buf_t link = {0};
    plumb_buf_text(&link, r->request->door.path);
    if (r->request->door.query != NULL)
        plumb_buf_printf(&link, "?%s", r->request->door.query);
    plumb_buf_text(out, "\"self\":");
    plumb_buf_json(out, link.data, link.length);
    plumb_buf_fini(&link);
}
