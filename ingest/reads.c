/* GET /api/v1/leads/{id}, with its deliveries and their attempts. */
#include "checks.h"
#include "clock.h"
#include "count.h"
#include "datakey.h"
#include "handlers.h"
#include "log.h"
#include "negotiate.h"
#include "resource.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* One answer under way. */
typedef struct reading {
    request_t *request;
    reader_t *reader;
    bool deliveries, attempts; /* to be included */
    PGresult *lead_row, *delivery_rows, *attempt_rows;
    plumb_lead_t *lead;
    plumb_key_t key; /* the lead's; id 0: erased */
    plumb_key_t attempt_key;
} reading_t;

/* ---- what is asked for ---- */

static bool take_include(reading_t *r, const char *value)
{
    const char *item;
    size_t length;
    while (list_next(&value, &item, &length)) {
        bool attempts = length == 19 && memcmp(item, "deliveries.attempts", length) == 0;
        if (!attempts && (length != 10 || memcmp(item, "deliveries", length) != 0))
            return false;
        r->deliveries = true; /* full linkage: attempts come with what they belong to */
        r->attempts = r->attempts || attempts;
    }
    return true;
}

static bool read_query(reading_t *r)
{
    query_parameter_t parameter;
    const char *query = r->request->door.query;
    for (;;) {
        int rc = query_next(&query, &parameter);
        if (rc == 0)
            return true;
        if (rc > 0 && strcmp(parameter.name, "include") == 0 && take_include(r, parameter.value))
            continue;
        answer_problem(r->request, PLUMB_E_BAD_PARAMETER, SOURCE_PARAMETER, parameter.name,
                       strcmp(parameter.name, "include") == 0
                           ? "want deliveries or deliveries.attempts"
                           : "there is no such parameter here");
        return false;
    }
}

/* ---- members ---- */

/* Begin a member whose name is known to be plain. */
static void member(plumb_buf_t *out, const char *name)
{
    char last = out->length > 0 ? out->data[out->length - 1] : '{';
    if (last != '{')
        plumb_buf_put(out, ",", 1);
    plumb_buf_put(out, "\"", 1);
    plumb_buf_text(out, name);
    plumb_buf_put(out, "\":", 2);
}

typedef enum column_type {
    COLUMN_ID,
    COLUMN_TEXT,
    COLUMN_BOOL,
    COLUMN_INT2,
    COLUMN_INT4,
    COLUMN_INT8,
    COLUMN_TIME
} column_type_t;

typedef struct column {
    int number;
    column_type_t type;
    const char *name;
} column_t;

static void put_value(plumb_buf_t *out, const PGresult *r, int row, const column_t *c)
{
    char text[PLUMB_UUID_TEXT];
    plumb_uuid_t id;
    if (plumb_get_null(r, row, c->number)) {
        plumb_buf_text(out, "null");
        return;
    }
    switch (c->type) {
    case COLUMN_ID:
        id = plumb_get_uuid(r, row, c->number);
        plumb_buf_json_text(out, plumb_uuid_text(&id, text));
        break;
    case COLUMN_TEXT:
        plumb_buf_json(out, plumb_get_text(r, row, c->number), plumb_get_length(r, row, c->number));
        break;
    case COLUMN_BOOL:
        plumb_buf_text(out, plumb_get_bool(r, row, c->number) ? "true" : "false");
        break;
    case COLUMN_INT2:
        plumb_buf_printf(out, "%d", (int)plumb_get_int2(r, row, c->number));
        break;
    case COLUMN_INT4:
        plumb_buf_printf(out, "%d", (int)plumb_get_int4(r, row, c->number));
        break;
    case COLUMN_INT8:
        plumb_buf_printf(out, "%" PRId64, plumb_get_int8(r, row, c->number));
        break;
    case COLUMN_TIME:
        plumb_buf_json_text(out, plumb_time_text(plumb_get_time(r, row, c->number), text));
        break;
    }
}

static void put_columns(plumb_buf_t *out, const PGresult *r, int row, const column_t *columns,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        member(out, columns[i].name);
        put_value(out, r, row, &columns[i]);
    }
}

/* ---- attempts ---- */

static const column_t attempt_columns[] = {
    {ATTEMPT_NUMBER, COLUMN_INT4, "attempt"},
    {ATTEMPT_OUTCOME, COLUMN_TEXT, "outcome"},
    {ATTEMPT_COUNTED, COLUMN_BOOL, "counted"},
    {ATTEMPT_REPEATS, COLUMN_INT4, "repeats"},
    {ATTEMPT_STATUS, COLUMN_INT2, "status"},
    {ATTEMPT_WORKER, COLUMN_TEXT, "worker"},
    {ATTEMPT_REQUESTS, COLUMN_INT2, "requests"},
    {ATTEMPT_RETRY_AFTER_MS, COLUMN_INT8, "retryAfterMs"},
    {ATTEMPT_DETAIL, COLUMN_TEXT, "detail"},
    {ATTEMPT_EXTERNAL_ID, COLUMN_TEXT, "externalId"},
    {ATTEMPT_STARTED_AT, COLUMN_TIME, "startedAt"},
    {ATTEMPT_RECORDED_AT, COLUMN_TIME, "recordedAt"},
};

static const column_t timing_columns[] = {
    {ATTEMPT_DNS_US, COLUMN_INT4, "dnsUs"},     {ATTEMPT_CONNECT_US, COLUMN_INT4, "connectUs"},
    {ATTEMPT_TLS_US, COLUMN_INT4, "tlsUs"},     {ATTEMPT_FIRST_BYTE_US, COLUMN_INT4, "firstByteUs"},
    {ATTEMPT_TOTAL_US, COLUMN_INT4, "totalUs"},
};

/* The excerpt of request and answer, or null: none was kept, or it cannot be opened any more. */
static void put_exchange(reading_t *r, plumb_buf_t *out, int row)
{
    const PGresult *rows = r->attempt_rows;
    plumb_buf_t *plain = &r->request->work->plain;
    plumb_uuid_t delivery = plumb_get_uuid(rows, row, ATTEMPT_DELIVERY);
    plumb_seal_place_t place = plumb_lead_place_exchange(&r->lead->account, &delivery);
    plumb_err_t err = {0};
    plumb_buf_clear(plain);
    member(out, "exchange");
    int rc = r->key.id == 0 || plumb_get_null(rows, row, ATTEMPT_EXCHANGE)
                 ? -1
                 : plumb_seal_open(plain, &r->attempt_key, &place,
                                   plumb_get_text(rows, row, ATTEMPT_EXCHANGE),
                                   plumb_get_length(rows, row, ATTEMPT_EXCHANGE), &err);
    /* A worker wrote it; what is no JSON would spoil the whole answer. */
    if (rc == 0)
        rc = plumb_json_read_stored(&r->request->work->json, plain->data, plain->length, &err);
    if (rc == 0)
        plumb_buf_put(out, plain->data, plain->length);
    else
        plumb_buf_text(out, "null");
}

/* "<delivery>-<attempt>-<outcome>": what makes the row unique. */
static void put_attempt_name(plumb_buf_t *out, const PGresult *rows, int row)
{
    char text[PLUMB_UUID_TEXT];
    plumb_uuid_t delivery = plumb_get_uuid(rows, row, ATTEMPT_DELIVERY);
    plumb_buf_printf(out, "{\"type\":\"attempts\",\"id\":\"%s-%d-%s\"",
                     plumb_uuid_text(&delivery, text), plumb_get_int4(rows, row, ATTEMPT_NUMBER),
                     plumb_get_text(rows, row, ATTEMPT_OUTCOME));
}

static void put_attempt(reading_t *r, plumb_buf_t *out, int row)
{
    const PGresult *rows = r->attempt_rows;
    put_attempt_name(out, rows, row);
    plumb_buf_text(out, ",\"attributes\":{");
    put_columns(out, rows, row, attempt_columns, PLUMB_COUNT(attempt_columns));
    member(out, "timings");
    plumb_buf_put(out, "{", 1);
    put_columns(out, rows, row, timing_columns, PLUMB_COUNT(timing_columns));
    plumb_buf_put(out, "}", 1);
    put_exchange(r, out, row);
    plumb_buf_text(out, "}}");
}

static bool is_of(const reading_t *r, int attempt, int delivery)
{
    plumb_uuid_t a = plumb_get_uuid(r->attempt_rows, attempt, ATTEMPT_DELIVERY);
    plumb_uuid_t b = plumb_get_uuid(r->delivery_rows, delivery, DELIVERY_ID);
    return plumb_uuid_compare(&a, &b) == 0;
}

/* ---- deliveries ---- */

static const column_t delivery_columns[] = {
    {DELIVERY_CREDENTIAL, COLUMN_ID, "credentialId"},
    {DELIVERY_CHANNEL, COLUMN_TEXT, "channel"},
    {DELIVERY_VERB, COLUMN_TEXT, "verb"},
    {DELIVERY_STATE, COLUMN_TEXT, "state"},
    {DELIVERY_ATTEMPT, COLUMN_INT4, "attempt"},
    {DELIVERY_TRIES, COLUMN_INT4, "tries"},
    {DELIVERY_OUTCOME, COLUMN_TEXT, "outcome"},
    {DELIVERY_REASON, COLUMN_TEXT, "reason"},
    {DELIVERY_EXTERNAL_ID, COLUMN_TEXT, "externalId"},
    {DELIVERY_LATE_SUCCESS, COLUMN_BOOL, "lateSuccess"},
    {DELIVERY_DUE_AT, COLUMN_TIME, "dueAt"},
    {DELIVERY_DEADLINE_AT, COLUMN_TIME, "deadlineAt"},
    {DELIVERY_QUEUED_AT, COLUMN_TIME, "queuedAt"},
    {DELIVERY_CREATED_AT, COLUMN_TIME, "createdAt"},
    {DELIVERY_SETTLED_AT, COLUMN_TIME, "settledAt"},
};

static void put_delivery_name(plumb_buf_t *out, const PGresult *rows, int row)
{
    char text[PLUMB_UUID_TEXT];
    plumb_uuid_t id = plumb_get_uuid(rows, row, DELIVERY_ID);
    plumb_buf_printf(out, "{\"type\":\"deliveries\",\"id\":\"%s\"", plumb_uuid_text(&id, text));
}

static void put_delivery(const reading_t *r, plumb_buf_t *out, int row)
{
    const PGresult *rows = r->delivery_rows;
    put_delivery_name(out, rows, row);
    plumb_buf_text(out, ",\"attributes\":{");
    put_columns(out, rows, row, delivery_columns, PLUMB_COUNT(delivery_columns));
    plumb_buf_put(out, "}", 1);
    if (r->attempts) {
        const char *comma = "";
        plumb_buf_text(out, ",\"relationships\":{\"attempts\":{\"data\":[");
        for (int i = 0; i < PQntuples(r->attempt_rows); i++) {
            if (!is_of(r, i, row))
                continue;
            plumb_buf_text(out, comma);
            put_attempt_name(out, r->attempt_rows, i);
            plumb_buf_put(out, "}", 1);
            comma = ",";
        }
        plumb_buf_text(out, "]}}");
    }
    plumb_buf_put(out, "}", 1);
}

static void put_included(reading_t *r, plumb_buf_t *out)
{
    plumb_buf_text(out, ",\"included\":[");
    for (int i = 0; i < PQntuples(r->delivery_rows); i++) {
        plumb_buf_text(out, i > 0 ? "," : "");
        put_delivery(r, out, i);
    }
    for (int i = 0; r->attempts && i < PQntuples(r->attempt_rows); i++) {
        plumb_buf_put(out, ",", 1);
        put_attempt(r, out, i);
    }
    plumb_buf_put(out, "]", 1);
}

/* ---- the lead ---- */

/* Remote ids by channel: {"webhooks":"42"}. */
static void put_remote_ids(const reading_t *r, plumb_buf_t *out)
{
    plumb_buf_put(out, "{", 1);
    for (int i = 0; i < PQntuples(r->delivery_rows); i++) {
        if (plumb_get_null(r->delivery_rows, i, DELIVERY_EXTERNAL_ID))
            continue;
        bool again = false; /* the newest of a channel stands for it */
        for (int k = i + 1; k < PQntuples(r->delivery_rows); k++)
            again = again || (!plumb_get_null(r->delivery_rows, k, DELIVERY_EXTERNAL_ID) &&
                              strcmp(plumb_get_text(r->delivery_rows, i, DELIVERY_CHANNEL),
                                     plumb_get_text(r->delivery_rows, k, DELIVERY_CHANNEL)) == 0);
        if (again)
            continue;
        member(out, plumb_get_text(r->delivery_rows, i, DELIVERY_CHANNEL));
        plumb_buf_json_text(out, plumb_get_text(r->delivery_rows, i, DELIVERY_EXTERNAL_ID));
    }
    plumb_buf_put(out, "}", 1);
}

static void put_delivery_names(const reading_t *r, plumb_buf_t *out)
{
    plumb_buf_text(out, ",\"deliveries\":{\"data\":[");
    for (int i = 0; i < PQntuples(r->delivery_rows); i++) {
        plumb_buf_text(out, i > 0 ? "," : "");
        put_delivery_name(out, r->delivery_rows, i);
        plumb_buf_put(out, "}", 1);
    }
    plumb_buf_text(out, "]}");
}

static void put_document(reading_t *r)
{
    plumb_buf_t *out = &r->request->answer.body, *remote = &r->request->work->message;
    integration_t integration = {0};
    for (int i = 0; i < PQntuples(r->delivery_rows); i++)
        integration_count(&integration, plumb_get_text(r->delivery_rows, i, DELIVERY_STATE));
    plumb_buf_clear(remote);
    put_remote_ids(r, remote);
    plumb_slice_t data = {remote->data, remote->length};
    plumb_buf_text(out, DOCUMENT_HEAD);
    resource_open(out, r->lead, integration_status(&integration), &data);
    if (r->deliveries)
        put_delivery_names(r, out);
    resource_close(out, r->lead);
    if (r->deliveries)
        put_included(r, out);
    plumb_buf_text(out, ",\"links\":{\"self\":");
    plumb_buf_clear(remote);
    plumb_buf_text(remote, r->request->door.path);
    if (r->request->door.query != NULL)
        plumb_buf_printf(remote, "?%s", r->request->door.query);
    plumb_buf_json(out, remote->data, remote->length);
    plumb_buf_text(out, "}}");
}

static int open_lead(reading_t *r, const plumb_slice_t *wrapped, const plumb_slice_t *sealed,
                     plumb_err_t *err)
{
    request_t *request = r->request;
    plumb_buf_t *personal = &request->texts; /* the lead points into it until the answer is out */
    plumb_seal_place_t place = plumb_lead_place_personal(&r->lead->account, &r->lead->id);
    if (wrapped->data == NULL)
        return 0; /* erased */
    int rc = data_key_open(&r->key, request->ingest->vault, r->reader->db, &r->lead->account,
                           &r->lead->id, wrapped, &request->work->plain, err);
    if (rc < 0)
        return rc;
    plumb_key_attempt(&r->attempt_key, &r->key);
    plumb_buf_clear(personal);
    if (sealed->data == NULL)
        return 0;
    rc = plumb_seal_open(personal, &r->key, &place, sealed->data, sealed->length, err);
    return rc < 0 ? rc : plumb_lead_personal_unpack(r->lead, personal->data, personal->length, err);
}

static int fetch(reading_t *r, plumb_err_t *err)
{
    request_t *request = r->request;
    const identity_t *who = &request->identity;
    plumb_slice_t wrapped, sealed;
    int rc = store_lead(&request->ingest->store, r->reader, &who->account, &request->id,
                        &who->project, &r->lead_row, err);
    if (rc == 0 && PQntuples(r->lead_row) == 0)
        rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, "there is no such lead");
    if (rc < 0)
        return rc;
    plumb_lead_from_row(r->lead, r->lead_row, 0, 0, &wrapped, &sealed);
    rc = open_lead(r, &wrapped, &sealed, err);
    if (rc == 0)
        rc = store_deliveries(r->reader, &who->account, &request->id, &r->delivery_rows, err);
    if (rc == 0 && r->attempts)
        rc = store_attempts(r->reader, &who->account, r->delivery_rows, &r->attempt_rows, err);
    return rc;
}

static void release(reading_t *r)
{
    PQclear(r->lead_row);
    PQclear(r->delivery_rows);
    PQclear(r->attempt_rows);
    sodium_memzero(&r->key, sizeof r->key);
    sodium_memzero(&r->attempt_key, sizeof r->attempt_key);
    readers_give(r->request->ingest->readers, r->reader);
}

void lead_get(request_t *request)
{
    reading_t r = {.request = request, .lead = &request->lead};
    plumb_err_t err = {0};
    if (!read_query(&r) || !checks_charge(request))
        return;
    int rc = readers_take(request->ingest->readers, &r.reader, &err);
    if (rc == 0)
        rc = fetch(&r, &err);
    if (rc == 0) {
        put_document(&r);
        request->answer.status = 200;
    } else {
        answer_failure(request, &err);
    }
    release(&r);
}
