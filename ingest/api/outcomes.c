/* Deliveries and attempts, from rows to resource objects. */
#include "outcomes.h"

#include "clock.h"
#include "count.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int outcomes_fetch(outcomes_t *outcomes, reader_t *reader, const plumb_uuid_t *account,
                   const PGresult *leads, bool attempts, plumb_err_t *err)
{
    int rc = store_deliveries(reader, account, leads, &outcomes->deliveries, err);
    if (rc == 0 && attempts)
        rc = store_attempts(reader, account, outcomes->deliveries, &outcomes->attempts, err);
    return rc;
}

void outcomes_fini(outcomes_t *outcomes)
{
    PQclear(outcomes->deliveries);
    PQclear(outcomes->attempts);
    *outcomes = (outcomes_t){NULL, NULL};
}

/* Rows of `r` whose column `column` is `id`; they lie together. */
static outcome_range_t range_of(const PGresult *r, int column, const plumb_uuid_t *id)
{
    outcome_range_t range = {0, 0};
    int rows = r == NULL ? 0 : PQntuples(r);
    for (int i = 0; i < rows; i++) {
        plumb_uuid_t of = plumb_get_uuid(r, i, column);
        if (plumb_uuid_compare(&of, id) != 0)
            continue;
        if (range.count++ == 0)
            range.first = i;
    }
    return range;
}

outcome_range_t outcomes_of(const outcomes_t *outcomes, const plumb_uuid_t *lead)
{
    return range_of(outcomes->deliveries, DELIVERY_LEAD, lead);
}

integration_status_t outcomes_status(const outcomes_t *outcomes, outcome_range_t of)
{
    integration_t integration = {0};
    for (int i = of.first; i < of.first + of.count; i++)
        integration_count(&integration, plumb_get_text(outcomes->deliveries, i, DELIVERY_STATE));
    return integration_status(&integration);
}

/* Does a later delivery of the same channel have a remote id too?  The newest stands for it. */
static bool is_outdone(const PGresult *rows, int row, int end)
{
    for (int k = row + 1; k < end; k++)
        if (!plumb_get_null(rows, k, DELIVERY_EXTERNAL_ID) &&
            strcmp(plumb_get_text(rows, row, DELIVERY_CHANNEL),
                   plumb_get_text(rows, k, DELIVERY_CHANNEL)) == 0)
            return true;
    return false;
}

void outcomes_put_remote_ids(plumb_buf_t *out, const outcomes_t *outcomes, outcome_range_t of)
{
    const PGresult *rows = outcomes->deliveries;
    plumb_buf_put(out, "{", 1);
    for (int i = of.first; i < of.first + of.count; i++) {
        if (plumb_get_null(rows, i, DELIVERY_EXTERNAL_ID) ||
            is_outdone(rows, i, of.first + of.count))
            continue;
        api_put_member(out, plumb_get_text(rows, i, DELIVERY_CHANNEL));
        plumb_buf_json_text(out, plumb_get_text(rows, i, DELIVERY_EXTERNAL_ID));
    }
    plumb_buf_put(out, "}", 1);
}

static void delivery_name(const PGresult *rows, int row, char id[PLUMB_UUID_TEXT])
{
    plumb_uuid_t uuid = plumb_get_uuid(rows, row, DELIVERY_ID);
    plumb_uuid_text(&uuid, id);
}

void outcomes_put_names(plumb_buf_t *out, const outcomes_t *outcomes, outcome_range_t of)
{
    char id[PLUMB_UUID_TEXT];
    plumb_buf_put(out, "[", 1);
    for (int i = of.first; i < of.first + of.count; i++) {
        plumb_buf_text(out, i > of.first ? "," : "");
        delivery_name(outcomes->deliveries, i, id);
        api_put_name(out, &api_types[API_DELIVERIES], id);
        plumb_buf_put(out, "}", 1);
    }
    plumb_buf_put(out, "]", 1);
}

/* ---- values ---- */

#define TEXT_MAX 40 /* of what is no text in its column: an id, a time, a number */

static plumb_slice_t made(const char *text)
{
    return (plumb_slice_t){text, strlen(text)};
}

static int64_t get_number(const PGresult *r, int row, int column)
{
    switch (plumb_get_length(r, row, column)) {
    case 2:
        return plumb_get_int2(r, row, column);
    case 4:
        return plumb_get_int4(r, row, column);
    default:
        return plumb_get_int8(r, row, column);
    }
}

/* The value as lib/lead.h has them; what is not text as it is goes to `text`. */
static plumb_slice_t value_of(const plumb_attr_t *attr, const PGresult *r, int row, int column,
                              char text[TEXT_MAX])
{
    if (plumb_get_null(r, row, column))
        return (plumb_slice_t){NULL, 0};
    plumb_uuid_t id;
    switch (attr->type) {
    case PLUMB_ATTR_UUID:
        id = plumb_get_uuid(r, row, column);
        return made(plumb_uuid_text(&id, text));
    case PLUMB_ATTR_TIME:
        return made(plumb_time_text(plumb_get_time(r, row, column), text));
    case PLUMB_ATTR_BOOL:
        return made(plumb_get_bool(r, row, column) ? "true" : "false");
    case PLUMB_ATTR_INT:
        snprintf(text, TEXT_MAX, "%" PRId64, get_number(r, row, column));
        return made(text);
    default:
        return (plumb_slice_t){plumb_get_text(r, row, column), plumb_get_length(r, row, column)};
    }
}

/* The values of a row whose columns from `first` on are the type's attributes. */
static void take_values(plumb_slice_t *value, char text[][TEXT_MAX], const api_type_t *type,
                        const PGresult *r, int row, int first)
{
    for (size_t i = 0; i < type->attr_count; i++)
        value[i] = value_of(&type->attrs[i], r, row, first + (int)i, text[i]);
}

/* ---- attempts ---- */

#define ATTEMPT_NAME (PLUMB_UUID_TEXT + 48)

/* "<delivery>-<attempt>-<outcome>": what makes the row unique. */
static void attempt_name(const PGresult *rows, int row, char id[ATTEMPT_NAME])
{
    char text[PLUMB_UUID_TEXT];
    plumb_uuid_t delivery = plumb_get_uuid(rows, row, ATTEMPT_DELIVERY);
    snprintf(id, ATTEMPT_NAME, "%s-%d-%s", plumb_uuid_text(&delivery, text),
             plumb_get_int4(rows, row, ATTEMPT_NUMBER), plumb_get_text(rows, row, ATTEMPT_OUTCOME));
}

static void put_timings(plumb_buf_t *out, const PGresult *rows, int row)
{
    static const struct {
        int column;
        const char *name;
    } timings[] = {{ATTEMPT_DNS_US, "dnsUs"},
                   {ATTEMPT_CONNECT_US, "connectUs"},
                   {ATTEMPT_TLS_US, "tlsUs"},
                   {ATTEMPT_FIRST_BYTE_US, "firstByteUs"},
                   {ATTEMPT_TOTAL_US, "totalUs"}};
    plumb_buf_put(out, "{", 1);
    for (size_t i = 0; i < PLUMB_COUNT(timings); i++) {
        api_put_member(out, timings[i].name);
        if (plumb_get_null(rows, row, timings[i].column))
            plumb_buf_put(out, "null", 4);
        else
            plumb_buf_printf(out, "%d", plumb_get_int4(rows, row, timings[i].column));
    }
    plumb_buf_put(out, "}", 1);
}

/* The excerpt of request and answer, or null: none was kept, or it cannot be opened any more. */
static plumb_slice_t open_exchange(const PGresult *rows, int row, const outcome_opener_t *opener)
{
    plumb_uuid_t delivery = plumb_get_uuid(rows, row, ATTEMPT_DELIVERY);
    plumb_seal_place_t place = plumb_lead_place_exchange(opener->account, &delivery);
    plumb_err_t err = {0};
    plumb_buf_clear(opener->plain);
    int rc = opener->attempt_key->id == 0 || plumb_get_null(rows, row, ATTEMPT_EXCHANGE)
                 ? -1
                 : plumb_seal_open(opener->plain, opener->attempt_key, &place,
                                   plumb_get_text(rows, row, ATTEMPT_EXCHANGE),
                                   plumb_get_length(rows, row, ATTEMPT_EXCHANGE), &err);
    /* A worker wrote it; what is no JSON would spoil the whole answer. */
    if (rc == 0)
        rc = plumb_json_read_stored(opener->json, opener->plain->data, opener->plain->length, &err);
    return rc == 0 ? (plumb_slice_t){opener->plain->data, opener->plain->length} : made("null");
}

static void put_attempt(plumb_buf_t *out, const PGresult *rows, int row,
                        const outcome_opener_t *opener, uint64_t fields)
{
    const api_type_t *type = &api_types[API_ATTEMPTS];
    char id[ATTEMPT_NAME], text[API_ATTRS_MAX][TEXT_MAX];
    plumb_slice_t value[API_ATTRS_MAX], derived[API_DERIVED_MAX];
    attempt_name(rows, row, id);
    take_values(value, text, type, rows, row, ATTEMPT_NUMBER);
    plumb_buf_clear(opener->linkage);
    put_timings(opener->linkage, rows, row);
    derived[0] = (plumb_slice_t){opener->linkage->data, opener->linkage->length};
    derived[1] = open_exchange(rows, row, opener);
    api_put_resource(
        out, &(api_resource_t){
                 .type = type, .id = id, .value = value, .derived = derived, .fields = fields});
}

/* ---- deliveries ---- */

static void put_attempt_names(plumb_buf_t *out, const PGresult *rows, outcome_range_t of)
{
    char id[ATTEMPT_NAME];
    plumb_buf_put(out, "[", 1);
    for (int i = of.first; i < of.first + of.count; i++) {
        plumb_buf_text(out, i > of.first ? "," : "");
        attempt_name(rows, i, id);
        api_put_name(out, &api_types[API_ATTEMPTS], id);
        plumb_buf_put(out, "}", 1);
    }
    plumb_buf_put(out, "]", 1);
}

static outcome_range_t attempts_of(const outcomes_t *outcomes, int delivery)
{
    plumb_uuid_t id = plumb_get_uuid(outcomes->deliveries, delivery, DELIVERY_ID);
    return range_of(outcomes->attempts, ATTEMPT_DELIVERY, &id);
}

static void put_delivery(plumb_buf_t *out, const outcomes_t *outcomes, int row,
                         const outcome_opener_t *opener, uint64_t fields)
{
    const api_type_t *type = &api_types[API_DELIVERIES];
    char id[PLUMB_UUID_TEXT], text[API_ATTRS_MAX][TEXT_MAX];
    plumb_slice_t value[API_ATTRS_MAX], linkage[API_RELATIONS_MAX] = {{NULL, 0}};
    delivery_name(outcomes->deliveries, row, id);
    take_values(value, text, type, outcomes->deliveries, row, DELIVERY_CREDENTIAL);
    if (outcomes->attempts != NULL) {
        plumb_buf_clear(opener->linkage);
        put_attempt_names(opener->linkage, outcomes->attempts, attempts_of(outcomes, row));
        linkage[0] = (plumb_slice_t){opener->linkage->data, opener->linkage->length};
    }
    api_put_resource(
        out, &(api_resource_t){
                 .type = type, .id = id, .value = value, .linkage = linkage, .fields = fields});
}

void outcomes_put(plumb_buf_t *out, const outcomes_t *outcomes, outcome_range_t of,
                  const outcome_opener_t *opener, const uint64_t fields[API_TYPES])
{
    for (int i = of.first; i < of.first + of.count; i++) {
        plumb_buf_put(out, ",", 1);
        put_delivery(out, outcomes, i, opener, fields[API_DELIVERIES]);
    }
    for (int i = of.first; i < of.first + of.count; i++) {
        outcome_range_t attempts = attempts_of(outcomes, i);
        for (int k = attempts.first; k < attempts.first + attempts.count; k++) {
            plumb_buf_put(out, ",", 1);
            put_attempt(out, outcomes->attempts, k, opener, fields[API_ATTEMPTS]);
        }
    }
}
