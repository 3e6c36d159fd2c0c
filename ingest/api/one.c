/* GET of a single resource, and of what it is related to. */
#include "../handlers.h"
#include "../route.h"
#include "lead.h"
#include "list.h"

#include <stdio.h>
#include <string.h>

static const char missing[] = "there is no such resource";

/* The version, which a change must name (If-Match). */
static void put_etag(reading_t *r)
{
    char tag[24];
    if ((r->type->flags & API_VERSIONED) == 0)
        return;
    snprintf(tag, sizeof tag, "\"%d\"", plumb_get_int4(r->rows, 0, 2));
    answer_header(r->request, "ETag", tag);
}

static int put_document(reading_t *r, plumb_err_t *err)
{
    plumb_buf_t *out = &r->request->answer.body;
    plumb_buf_text(out, DOCUMENT_HEAD);
    int rc = reading_put(r, out, 0, NULL, err);
    if (rc == 0)
        rc = reading_put_included(r, out, err);
    plumb_buf_text(out, ",\"links\":{");
    reading_put_self(r, out);
    plumb_buf_text(out, "}}");
    return rc;
}

static int fetch(reading_t *r, const plumb_uuid_t *id, plumb_err_t *err)
{
    int rc = store_one(&r->request->ingest->store, r->reader, r->type, &r->request->identity, id,
                       &r->rows, err);
    if (rc == 0 && PQntuples(r->rows) == 0)
        return plumb_err_set(err, PLUMB_E_NOT_FOUND, missing);
    r->count = 1;
    return rc == 0 ? reading_fetch_outcomes(r, err) : rc;
}

static void finish(reading_t *r, int rc, const plumb_err_t *err)
{
    r->request->answer.status = 200;
    if (rc < 0)
        answer_failure(r->request, err);
}

void api_get(request_t *request)
{
    reading_t r;
    plumb_err_t err = {0};
    if (reading_begin(&r, request, reading_type(request), 0)) {
        int rc = fetch(&r, &request->id, &err);
        if (rc == 0)
            rc = put_document(&r, &err);
        if (rc == 0)
            put_etag(&r);
        finish(&r, rc, &err);
    }
    reading_end(&r);
}

/* ---- related resources ---- */

/* The relation that the path's last part names. */
static const api_relation_t *relation_of(const request_t *request, const api_type_t *type)
{
    const char *name = strrchr(request->route->path, '/') + 1;
    return &type->relations[api_relation_find(type, name, strlen(name))];
}

/* The resource that is related to others, of type `type`. */
static int fetch_owner(reading_t *r, const api_type_t *type, PGresult **owner, plumb_err_t *err)
{
    int rc = store_one(&r->request->ingest->store, r->reader, type, &r->request->identity,
                       &r->request->id, owner, err);
    if (rc == 0 && PQntuples(*owner) == 0)
        rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, missing);
    return rc;
}

static int put_nothing(const reading_t *r)
{
    plumb_buf_t *out = &r->request->answer.body;
    plumb_buf_text(out, DOCUMENT_HEAD "null,\"links\":{");
    reading_put_self(r, out);
    plumb_buf_text(out, "}}");
    return 0;
}

/* To one: that resource, or null when there is none, or none that may be seen. */
static int answer_one(reading_t *r, const api_type_t *type, const api_relation_t *relation,
                      plumb_err_t *err)
{
    PGresult *owner = NULL;
    api_row_t row;
    plumb_uuid_t id;
    int rc = fetch_owner(r, type, &owner, err);
    if (rc == 0) {
        api_row_read(&row, type, owner, 0);
        const plumb_slice_t *value =
            &row.value[api_attr_find(type, relation->attr, strlen(relation->attr))];
        bool is_there = value->data != NULL && plumb_uuid_parse(&id, value->data, value->length);
        rc = is_there ? fetch(r, &id, err) : -PLUMB_E_NOT_FOUND;
        if (rc == 0)
            rc = put_document(r, err);
        else if (rc == -PLUMB_E_NOT_FOUND)
            rc = put_nothing(r);
    }
    PQclear(owner);
    return rc;
}

void api_related_one(request_t *request)
{
    const api_type_t *type = reading_type(request);
    const api_relation_t *relation = relation_of(request, type);
    reading_t r;
    plumb_err_t err = {0};
    if (reading_begin(&r, request, &api_types[relation->kind], 0))
        finish(&r, answer_one(&r, type, relation, &err), &err);
    reading_end(&r);
}

/* To many: their collection, of which only those that name this one. */
void api_related_many(request_t *request)
{
    const api_type_t *type = reading_type(request);
    const api_relation_t *relation = relation_of(request, type);
    const api_type_t *others = &api_types[relation->kind];
    reading_t r;
    plumb_err_t err = {0};
    char id[PLUMB_UUID_TEXT];
    if (reading_begin(&r, request, others, API_MAY_LIST)) {
        PGresult *owner = NULL;
        int rc = fetch_owner(&r, type, &owner, &err);
        PQclear(owner);
        if (rc < 0)
            answer_failure(request, &err);
        else if (!api_query_require(
                     &r.query, api_attr_find(others, relation->theirs, strlen(relation->theirs)),
                     plumb_uuid_text(&request->id, id)))
            answer_error(request, PLUMB_E_BAD_PARAMETER, "the address says that already");
        else
            list_answer(&r);
    }
    reading_end(&r);
}

static void put_deliveries(reading_t *r)
{
    request_t *request = r->request;
    plumb_buf_t *out = &request->answer.body;
    plumb_key_t no_key = {0};
    outcome_opener_t opener = {&request->identity.account, &no_key, &request->work->plain,
                               &r->linkage, &request->work->json};
    outcome_range_t all = {0, PQntuples(r->outcomes.deliveries)};
    outcomes_put(&r->included, &r->outcomes, all, &opener, r->query.fields);
    plumb_buf_text(out, DOCUMENT_HEAD "[");
    if (all.count > 0) /* without the first comma */
        plumb_buf_put(out, r->included.data + 1, r->included.length - 1);
    plumb_buf_text(out, "],\"links\":{");
    reading_put_self(r, out);
    plumb_buf_text(out, "}}");
}

/* A lead's deliveries, which come without pages: there are as many as it has credentials. */
void api_lead_deliveries(request_t *request)
{
    reading_t r;
    plumb_err_t err = {0};
    if (reading_begin(&r, request, &api_types[API_DELIVERIES], 0)) {
        PGresult *owner = NULL;
        int rc = fetch_owner(&r, &api_types[API_LEADS], &owner, &err);
        if (rc == 0)
            rc = outcomes_fetch(&r.outcomes, r.reader, &request->identity.account, owner, false,
                                &err);
        if (rc == 0)
            put_deliveries(&r);
        PQclear(owner);
        finish(&r, rc, &err);
    }
    reading_end(&r);
}
