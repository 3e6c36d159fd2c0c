/* Parameters in PostgreSQL's binary format, written straight into one growing block. */
#include "db_priv.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024
#define BLOCK_MAX ((size_t)1 << 30) /* PostgreSQL takes no larger message */
#define EPOCH_2000_MS INT64_C(946684800000)

/* An array's head: dimensions, has-nulls flag, element type, elements, lower bound. */
enum {
    HEAD_FLAGS = 4,
    HEAD_TYPE = 8,
    HEAD_EMPTY = 12,
    HEAD_ITEMS = 12,
    HEAD_LOWER = 16,
    HEAD = 20
};

#define NO_TYPE ((Oid)0)
#define TEXT_TYPE ((Oid)PLUMB_ARRAY_TEXT)
#define BYTES_TYPE ((Oid)PLUMB_ARRAY_BYTES)

plumb_params_t *plumb_params_new(void)
{
    return calloc(1, sizeof(plumb_params_t));
}

void plumb_params_destroy(plumb_params_t **params)
{
    if (params == NULL || *params == NULL)
        return;
    free((*params)->data);
    free(*params);
    *params = NULL;
}

void plumb_params_clear(plumb_params_t *params)
{
    params->length = 0;
    params->count = 0;
    params->items_of = NO_TYPE;
    params->in_record = false;
    params->failed = false;
}

/* ---- the block ---- */

static bool enlarge(plumb_params_t *p, size_t more)
{
    size_t capacity = p->capacity > 0 ? p->capacity : FIRST_CAPACITY;
    while (capacity < BLOCK_MAX && capacity - p->length < more)
        capacity *= 2;
    char *data = capacity - p->length < more ? NULL : realloc(p->data, capacity);
    if (data == NULL) {
        p->failed = true;
        return false;
    }
    p->data = data;
    p->capacity = capacity;
    return true;
}

/* Room for `size` bytes at the end, counted in already; NULL: out of memory, now or before. */
static inline char *extend(plumb_params_t *p, size_t size)
{
    if (p->failed || (p->capacity - p->length < size && !enlarge(p, size)))
        return NULL;
    char *at = p->data + p->length;
    p->length += size;
    return at;
}

/* ---- values; `at` NULL: the builder has failed, nothing is written ---- */

static inline void store32(char *at, uint32_t value)
{
    uint32_t wire = htobe32(value);
    if (at != NULL)
        memcpy(at, &wire, sizeof wire);
}

static inline void store64(char *at, uint64_t value)
{
    uint64_t wire = htobe64(value);
    if (at != NULL)
        memcpy(at, &wire, sizeof wire);
}

static inline void store_time(char *at, int64_t unix_ms)
{
    store64(at, (uint64_t)(unix_ms - EPOCH_2000_MS) * 1000); /* microseconds since 2000 */
}

static inline void store_bytes(char *at, const void *data, size_t length)
{
    if (at != NULL && length > 0)
        memcpy(at, data, length);
}

static inline void store_bool(char *at, bool value)
{
    if (at != NULL)
        *at = (char)value;
}

/* ---- parameters ---- */

/* Begin a parameter of `size` bytes. */
static char *param(plumb_params_t *p, Oid type, size_t size)
{
    assert(p->count < PLUMB_PARAMS_MAX && p->items_of == NO_TYPE);
    char *at = extend(p, size);
    int i = p->count++;
    p->types[i] = type;
    p->offsets[i] = p->length - size;
    p->lengths[i] = (int)size;
    return at;
}

static void param_absent(plumb_params_t *p, Oid type)
{
    param(p, type, 0);
    p->lengths[p->count - 1] = -1;
}

void plumb_param_null(plumb_params_t *p)
{
    param_absent(p, NO_TYPE);
}

void plumb_param_bool(plumb_params_t *p, bool value)
{
    store_bool(param(p, PLUMB_ARRAY_BOOL, 1), value);
}

void plumb_param_int4(plumb_params_t *p, int32_t value)
{
    store32(param(p, PLUMB_ARRAY_INT4, 4), (uint32_t)value);
}

void plumb_param_int8(plumb_params_t *p, int64_t value)
{
    store64(param(p, PLUMB_ARRAY_INT8, 8), (uint64_t)value);
}

void plumb_param_time(plumb_params_t *p, int64_t unix_ms)
{
    store_time(param(p, PLUMB_ARRAY_TIME, 8), unix_ms);
}

static void param_bytes(plumb_params_t *p, Oid type, const void *data, size_t length)
{
    if (data == NULL)
        param_absent(p, type);
    else
        store_bytes(param(p, type, length), data, length);
}

void plumb_param_uuid(plumb_params_t *p, const plumb_uuid_t *value)
{
    param_bytes(p, PLUMB_ARRAY_UUID, value, sizeof *value);
}

void plumb_param_text(plumb_params_t *p, const char *text)
{
    param_bytes(p, TEXT_TYPE, text, text == NULL ? 0 : strlen(text));
}

void plumb_param_textn(plumb_params_t *p, const char *text, size_t length)
{
    param_bytes(p, TEXT_TYPE, text, length);
}

void plumb_param_bytes(plumb_params_t *p, const void *data, size_t length)
{
    param_bytes(p, BYTES_TYPE, data, length);
}

/* ---- arrays ---- */

static Oid array_of(plumb_array_type_t type)
{
    switch (type) {
    case PLUMB_ARRAY_BOOL:
        return 1000;
    case PLUMB_ARRAY_BYTES:
        return 1001;
    case PLUMB_ARRAY_INT4:
        return 1007;
    case PLUMB_ARRAY_TEXT:
        return 1009;
    case PLUMB_ARRAY_INT8:
        return 1016;
    case PLUMB_ARRAY_TIME:
        return 1185;
    case PLUMB_ARRAY_UUID:
        return 2951;
    }
    return NO_TYPE;
}

void plumb_array_begin_of(plumb_params_t *p, uint32_t array, uint32_t element)
{
    char *head = param(p, array, HEAD);
    p->items_of = element;
    p->items = 0;
    if (head == NULL)
        return;
    store32(head, 1);
    store32(head + HEAD_FLAGS, 0);
    store32(head + HEAD_TYPE, element);
    store32(head + HEAD_LOWER, 1);
}

void plumb_array_begin(plumb_params_t *p, plumb_array_type_t type)
{
    plumb_array_begin_of(p, array_of(type), type);
}

void plumb_array_end(plumb_params_t *p)
{
    assert(p->items_of != NO_TYPE && !p->in_record);
    p->items_of = NO_TYPE;
    if (p->failed)
        return;
    int i = p->count - 1;
    char *head = p->data + p->offsets[i];
    if (p->items > 0) {
        store32(head + HEAD_ITEMS, p->items);
    } else { /* an empty array has no dimension */
        store32(head, 0);
        p->length = p->offsets[i] + HEAD_EMPTY;
    }
    p->lengths[i] = (int)(p->length - p->offsets[i]);
}

static inline void count_item(plumb_params_t *p)
{
    if (p->in_record)
        p->columns++;
    else
        p->items++;
}

/* Begin an element, or a record's column, of `size` bytes. */
static inline char *item(plumb_params_t *p, plumb_array_type_t type, size_t size)
{
    assert(p->items_of == (Oid)type);
    char *at = extend(p, size + 4);
    count_item(p);
    store32(at, (uint32_t)size);
    return at == NULL ? NULL : at + 4;
}

void plumb_items_encoded(plumb_params_t *p, const void *data, size_t length, uint32_t count)
{
    assert(p->items_of != NO_TYPE);
    store_bytes(extend(p, length), data, length);
    p->items += count;
}

void plumb_item_null(plumb_params_t *p)
{
    assert(p->items_of != NO_TYPE);
    char *at = extend(p, 4);
    count_item(p);
    store32(at, UINT32_MAX); /* length -1 */
    if (at != NULL && !p->in_record)
        store32(p->data + p->offsets[p->count - 1] + HEAD_FLAGS, 1);
}

void plumb_item_bool(plumb_params_t *p, bool value)
{
    store_bool(item(p, PLUMB_ARRAY_BOOL, 1), value);
}

void plumb_item_int4(plumb_params_t *p, int32_t value)
{
    store32(item(p, PLUMB_ARRAY_INT4, 4), (uint32_t)value);
}

void plumb_item_int8(plumb_params_t *p, int64_t value)
{
    store64(item(p, PLUMB_ARRAY_INT8, 8), (uint64_t)value);
}

void plumb_item_time(plumb_params_t *p, int64_t unix_ms)
{
    store_time(item(p, PLUMB_ARRAY_TIME, 8), unix_ms);
}

static inline void item_bytes(plumb_params_t *p, plumb_array_type_t type, const void *data,
                              size_t length)
{
    if (data == NULL)
        plumb_item_null(p);
    else
        store_bytes(item(p, type, length), data, length);
}

void plumb_item_uuid(plumb_params_t *p, const plumb_uuid_t *value)
{
    item_bytes(p, PLUMB_ARRAY_UUID, value, sizeof *value);
}

void plumb_item_textn(plumb_params_t *p, const char *text, size_t length)
{
    item_bytes(p, PLUMB_ARRAY_TEXT, text, length);
}

void plumb_item_bytes(plumb_params_t *p, const void *data, size_t length)
{
    item_bytes(p, PLUMB_ARRAY_BYTES, data, length);
}

/* ---- records: their length, the number of columns, then for each its type and an item ---- */

#define RECORD_HEAD 8

void plumb_record_begin(plumb_params_t *p)
{
    assert(p->items_of != NO_TYPE && !p->in_record);
    p->record_at = p->length;
    extend(p, RECORD_HEAD);
    p->items++;
    p->in_record = true;
    p->records_of = p->items_of;
    p->columns = 0;
}

void plumb_record_column(plumb_params_t *p, plumb_array_type_t type)
{
    assert(p->in_record);
    store32(extend(p, 4), type);
    p->items_of = type;
}

void plumb_record_end(plumb_params_t *p)
{
    assert(p->in_record);
    p->in_record = false;
    p->items_of = p->records_of;
    if (p->failed)
        return;
    char *head = p->data + p->record_at;
    store32(head, (uint32_t)(p->length - p->record_at - 4));
    store32(head + 4, p->columns);
}
