/* A record is its length, the number of its columns, then for each its type, its length (-1: NULL),
 * its bytes.
 */
#include "pack.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <string.h>

#define EPOCH_2000_MS INT64_C(946684800000)

/* Types of PostgreSQL, by their ids. */
enum {
    TYPE_BOOL = 16,
    TYPE_BYTES = 17,
    TYPE_INT8 = 20,
    TYPE_INT4 = 23,
    TYPE_TEXT = 25, /* also of enumerations: no type of ours has a fixed id */
    TYPE_JSON = 114,
    TYPE_INET = 869,
    TYPE_INT8S = 1016,
    TYPE_TIME = 1184,
    TYPE_UUID = 2950
};

#define ARRAY_HEAD 20

#define INET_FAMILY_4 2 /* PostgreSQL's numbers, not the system's */
#define INET_FAMILY_6 3

/* A record under way.  Room for all of it was made, so that bytes are just laid down. */
typedef struct record {
    plumb_buf_t *out;
    char *start; /* of the length in front of it; NULL: out of memory */
    char *at;
    uint32_t columns;
} record_t;

#define COLUMN_HEAD 8
#define COLUMN_MAX (COLUMN_HEAD + 24) /* of what is no text or bytes */

static void put32(char *at, uint32_t value)
{
    uint32_t wire = htobe32(value);
    memcpy(at, &wire, sizeof wire);
}

/* Begin a record of at most `columns`, which hold `bytes` of text and bytes. */
static record_t record_begin(plumb_buf_t *out, size_t columns, size_t bytes)
{
    plumb_buf_reserve(out, 8 + columns * COLUMN_MAX + bytes);
    record_t r = {.out = out};
    if (!out->failed) {
        r.start = out->data + out->length;
        r.at = r.start + 8;
    }
    return r;
}

static void record_end(record_t *r)
{
    if (r->start == NULL)
        return;
    put32(r->start, (uint32_t)(r->at - r->start - 4));
    put32(r->start + 4, r->columns);
    r->out->length += (size_t)(r->at - r->start);
    assert(r->out->length < r->out->capacity);
    r->out->data[r->out->length] = '\0';
}

static void column(record_t *r, uint32_t type, size_t length)
{
    if (r->start == NULL)
        return;
    put32(r->at, type);
    put32(r->at + 4, (uint32_t)length);
    r->at += COLUMN_HEAD;
    r->columns++;
}

static void lay(record_t *r, const void *data, size_t length)
{
    if (r->start == NULL || length == 0)
        return;
    memcpy(r->at, data, length);
    r->at += length;
}

static void put_null(record_t *r, uint32_t type)
{
    column(r, type, UINT32_MAX);
}

static void put_bytes(record_t *r, uint32_t type, const void *data, size_t length)
{
    column(r, type, length);
    lay(r, data, length);
}

static void put_slice(record_t *r, uint32_t type, const plumb_slice_t *slice)
{
    if (slice->data == NULL)
        put_null(r, type);
    else
        put_bytes(r, type, slice->data, slice->length);
}

static void put_id(record_t *r, const plumb_uuid_t *id)
{
    put_bytes(r, TYPE_UUID, id->b, sizeof id->b);
}

static void put_int8(record_t *r, uint32_t type, int64_t value)
{
    uint64_t wire = htobe64((uint64_t)value);
    put_bytes(r, type, &wire, sizeof wire);
}

static void put_int4(record_t *r, int32_t value)
{
    uint32_t wire = htobe32((uint32_t)value);
    put_bytes(r, TYPE_INT4, &wire, sizeof wire);
}

static void put_time(record_t *r, int64_t unix_ms)
{
    put_int8(r, TYPE_TIME, (unix_ms - EPOCH_2000_MS) * 1000);
}

/* Text that was checked: an IPv4 or IPv6 address. */
static void put_address(record_t *r, const plumb_slice_t *text)
{
    char copy[INET6_ADDRSTRLEN] = "";
    struct {
        uint8_t family, bits, is_cidr, bytes;
        uint8_t address[16];
    } inet = {INET_FAMILY_4, 32, 0, 4, {0}};
    if (text->data != NULL && text->length < sizeof copy)
        memcpy(copy, text->data, text->length);
    if (inet_pton(AF_INET, copy, inet.address) != 1) {
        if (inet_pton(AF_INET6, copy, inet.address) != 1) {
            put_null(r, TYPE_INET);
            return;
        }
        inet.family = INET_FAMILY_6;
        inet.bits = 128;
        inet.bytes = 16;
    }
    put_bytes(r, TYPE_INET, &inet, 4 + (size_t)inet.bytes);
}

static void put_uuid_text(record_t *r, const plumb_slice_t *text)
{
    plumb_uuid_t id;
    if (text->data != NULL && plumb_uuid_parse(&id, text->data, text->length))
        put_id(r, &id);
    else
        put_null(r, TYPE_UUID);
}

static void put_flag(record_t *r, bool flag)
{
    char value = flag;
    put_bytes(r, TYPE_BOOL, &value, 1);
}

static void put_bool(record_t *r, const plumb_slice_t *text)
{
    put_flag(r, text->data != NULL && text->data[0] == 't');
}

static void put_attribute(record_t *r, plumb_attr_type_t type, const plumb_slice_t *value)
{
    switch (type) {
    case PLUMB_ATTR_UUID:
        put_uuid_text(r, value);
        break;
    case PLUMB_ATTR_IP:
        put_address(r, value);
        break;
    case PLUMB_ATTR_BOOL:
        put_bool(r, value);
        break;
    case PLUMB_ATTR_JSON:
        put_slice(r, TYPE_JSON, value);
        break;
    default:
        put_slice(r, TYPE_TEXT, value);
    }
}

static void put_term(record_t *r, bool is_there, int64_t term)
{
    if (is_there)
        put_int8(r, TYPE_INT8, term);
    else
        put_null(r, TYPE_INT8);
}

/* bigint[]: its head (dimensions, no NULLs, type, elements, lower bound), then each behind its
 * length. */
static void put_terms(record_t *r, const int64_t *terms, size_t count)
{
    char array[ARRAY_HEAD + PLUMB_BLIND_TERMS * 12];
    size_t at = ARRAY_HEAD;
    put32(array, 1);
    put32(array + 4, 0);
    put32(array + 8, TYPE_INT8);
    put32(array + 12, (uint32_t)count);
    put32(array + 16, 1);
    for (size_t i = 0; i < count; i++, at += 12) {
        uint64_t wire = htobe64((uint64_t)terms[i]);
        put32(array + at, sizeof wire);
        memcpy(array + at + 4, &wire, sizeof wire);
    }
    put_bytes(r, TYPE_INT8S, array, at);
}

static void put_blind(record_t *r, const plumb_blind_t *blind)
{
    static const plumb_blind_t none = {.count = 0};
    if (blind == NULL)
        blind = &none;
    put_term(r, blind->has_phone, blind->phone);
    put_term(r, blind->has_email, blind->email);
    if (blind->count > 0)
        put_terms(r, blind->terms, blind->count);
    else
        put_null(r, TYPE_INT8S);
}

static size_t lengths_of(const lead_record_t *record)
{
    size_t sum = record->sealed_key.length + record->sealed.length + record->trace.length +
                 record->traceparent.length + record->route.length + record->key.length +
                 record->request_hash.length + record->integration_status.length + ARRAY_HEAD +
                 (size_t)PLUMB_BLIND_TERMS * 12;
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++)
        sum += record->lead->value[i].length;
    return sum;
}

#define LEAD_COLUMNS_FIXED 17
#define LEAD_COLUMNS_MAX (LEAD_COLUMNS_FIXED + PLUMB_LEAD_ATTRS)

void pack_lead(plumb_buf_t *out, const lead_record_t *record)
{
    record_t r = record_begin(out, LEAD_COLUMNS_MAX, lengths_of(record));
    put_id(&r, &record->lead->account);
    put_id(&r, &record->lead->id);
    put_time(&r, record->created_ms);
    put_slice(&r, TYPE_BYTES, &record->sealed_key);
    put_slice(&r, TYPE_BYTES, &record->sealed);
    put_slice(&r, TYPE_JSON, &record->trace);
    put_slice(&r, TYPE_TEXT, &record->traceparent);
    put_slice(&r, TYPE_TEXT, &record->route);
    put_slice(&r, TYPE_TEXT, &record->key);
    put_slice(&r, TYPE_BYTES, &record->request_hash);
    put_slice(&r, TYPE_TEXT, &record->integration_status);
    put_blind(&r, record->blind);
    put_term(&r, record->body != 0, record->body);
    put_flag(&r, record->blocked);
    if (plumb_uuid_is_nil(&record->verification))
        put_null(&r, TYPE_UUID);
    else
        put_id(&r, &record->verification);
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        const plumb_attr_t *attr = &plumb_lead_attrs[i];
        if ((attr->flags & PLUMB_ATTR_CREATE) != 0 && (attr->flags & PLUMB_ATTR_SEALED) == 0)
            put_attribute(&r, attr->type, &record->lead->value[i]);
    }
    record_end(&r);
}

#define DELIVERY_COLUMNS 12

void pack_delivery(plumb_buf_t *out, const delivery_record_t *record)
{
    record_t r =
        record_begin(out, DELIVERY_COLUMNS,
                     record->channel.length + record->state.length + record->reason.length);
    put_id(&r, record->lead);
    put_id(&r, record->account);
    put_id(&r, &record->id);
    put_id(&r, &record->credential);
    put_slice(&r, TYPE_TEXT, &record->channel);
    put_slice(&r, TYPE_TEXT, &record->state);
    put_int4(&r, record->attempt);
    put_time(&r, record->due_ms);
    put_time(&r, record->deadline_ms);
    if (record->epoch != 0)
        put_int8(&r, TYPE_INT8, (int64_t)record->epoch);
    else
        put_null(&r, TYPE_INT8);
    put_slice(&r, TYPE_TEXT, &record->reason);
    put_time(&r, record->created_ms);
    record_end(&r);
}
