/* Writing messages by their table. */
#include "count.h"
#include "json.h"
#include "msg_check.h"
#include "msg_fields.h"

#include <inttypes.h>
#include <msgpack.h>
#include <string.h>

typedef struct writer {
    msgpack_packer pack;
    const char *record;
    plumb_err_t *err;
} writer_t;

static int append(void *out, const char *data, size_t length)
{
    plumb_buf_put(out, data, length);
    return 0; /* memory errors stick to the buffer */
}

static const void *member(const writer_t *w, const plumb_msg_field_t *f)
{
    return w->record + f->offset;
}

static size_t count_of(const writer_t *w, size_t offset)
{
    return *(const size_t *)(const void *)(w->record + offset);
}

static void store_big_endian(uint8_t *at, uint64_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
}

static int check_max(const writer_t *w, const plumb_msg_field_t *f, uint64_t value)
{
    if (f->max > 0 && value > f->max)
        return plumb_err_set(w->err, PLUMB_E_MESSAGE, "%" PRIu64 ", want at most %" PRIu64, value,
                             f->max);
    return 0;
}

/* ---- numbers and fixed bytes ---- */

static int put_u16(writer_t *w, const plumb_msg_field_t *f)
{
    msgpack_pack_uint16(&w->pack, *(const uint16_t *)member(w, f));
    return 0;
}

static int put_u32(writer_t *w, const plumb_msg_field_t *f)
{
    uint32_t value = *(const uint32_t *)member(w, f);
    msgpack_pack_uint32(&w->pack, value);
    return check_max(w, f, value);
}

static int put_u64(writer_t *w, const plumb_msg_field_t *f)
{
    uint64_t value = *(const uint64_t *)member(w, f);
    msgpack_pack_uint64(&w->pack, value);
    return check_max(w, f, value);
}

static int put_i64(writer_t *w, const plumb_msg_field_t *f)
{
    msgpack_pack_int64(&w->pack, *(const int64_t *)member(w, f));
    return 0;
}

static int put_stamp32(writer_t *w, const plumb_msg_field_t *f)
{
    uint32_t value = *(const uint32_t *)member(w, f);
    msgpack_pack_fix_uint32(&w->pack, value);
    return check_max(w, f, value);
}

static int put_stamp64(writer_t *w, const plumb_msg_field_t *f)
{
    uint64_t value = *(const uint64_t *)member(w, f);
    msgpack_pack_fix_uint64(&w->pack, value);
    return check_max(w, f, value);
}

static int put_bool(writer_t *w, const plumb_msg_field_t *f)
{
    if (*(const bool *)member(w, f))
        msgpack_pack_true(&w->pack);
    else
        msgpack_pack_false(&w->pack);
    return 0;
}

static int put_enum(writer_t *w, const plumb_msg_field_t *f)
{
    unsigned value;
    memcpy(&value, member(w, f), sizeof value);
    if (value > f->max)
        return check_max(w, f, value);
    msgpack_pack_str_with_body(&w->pack, f->names[value], strlen(f->names[value]));
    return 0;
}

static int put_uuid(writer_t *w, const plumb_msg_field_t *f)
{
    msgpack_pack_bin_with_body(&w->pack, member(w, f), sizeof(plumb_uuid_t));
    return 0;
}

static int put_key(writer_t *w, const plumb_msg_field_t *f)
{
    msgpack_pack_bin_with_body(&w->pack, member(w, f), 32);
    return 0;
}

static int put_timings(writer_t *w, const plumb_msg_field_t *f)
{
    const plumb_timings_t *t = member(w, f);
    const uint32_t times[] = {t->dns_us, t->connect_us, t->tls_us, t->first_byte_us, t->total_us};
    msgpack_pack_array(&w->pack, PLUMB_COUNT(times));
    for (size_t i = 0; i < PLUMB_COUNT(times); i++)
        msgpack_pack_uint32(&w->pack, times[i]);
    return 0;
}

/* ---- slices ---- */

static int put_slice(writer_t *w, const plumb_msg_field_t *f, const plumb_slice_t *text)
{
    int rc = check_max(w, f, text->length);
    if (rc == 0 && !plumb_utf8_valid(text->data, text->length))
        rc = plumb_err_set(w->err, PLUMB_E_MESSAGE, "not UTF-8 without NUL");
    if (rc == 0)
        msgpack_pack_str_with_body(&w->pack, text->data, text->length);
    return rc;
}

static int put_text(writer_t *w, const plumb_msg_field_t *f)
{
    const plumb_slice_t *text = member(w, f);
    if (text->data == NULL)
        return plumb_err_set(w->err, PLUMB_E_MESSAGE, "missing");
    return put_slice(w, f, text);
}

static int put_bin(writer_t *w, const plumb_msg_field_t *f)
{
    const plumb_slice_t *bytes = member(w, f);
    msgpack_pack_bin_with_body(&w->pack, bytes->data, bytes->length);
    return check_max(w, f, bytes->length);
}

static int put_packed(writer_t *w, const plumb_msg_field_t *f)
{
    const plumb_slice_t *map = member(w, f);
    bool is_sure = f->second > 0 && *(const bool *)(w->record + f->second);
    int rc = is_sure
                 ? 0
                 : plumb_msg_walk_map(map->data, map->length, PLUMB_MSG_PACKED_DEPTH_MAX, w->err);
    if (rc == 0)
        msgpack_pack_bin_with_body(&w->pack, map->data, map->length);
    return rc;
}

/* ---- lists ---- */

static int put_throttles(writer_t *w, const plumb_msg_field_t *f)
{
    static const plumb_msg_field_t key = {.max = PLUMB_MSG_THROTTLE_KEY_MAX};
    const plumb_throttle_t *throttle = member(w, f);
    unsigned count;
    memcpy(&count, w->record + f->second, sizeof count);
    int rc = check_max(w, f, count);
    if (rc == 0)
        msgpack_pack_array(&w->pack, count);
    for (unsigned i = 0; rc == 0 && i < count; i++, throttle++) {
        msgpack_pack_array(&w->pack, 3);
        rc = put_slice(w, &key, &throttle->key);
        msgpack_pack_uint32(&w->pack, throttle->per_kilosecond);
        msgpack_pack_uint32(&w->pack, throttle->burst);
    }
    return rc;
}

static int put_texts(writer_t *w, const plumb_msg_field_t *f)
{
    static const plumb_msg_field_t item = {.max = PLUMB_MSG_NAME_MAX};
    const plumb_slice_t *texts = *(const plumb_slice_t *const *)member(w, f);
    size_t count = count_of(w, f->second);
    int rc = check_max(w, f, count);
    if (rc == 0)
        msgpack_pack_array(&w->pack, count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = put_slice(w, &item, &texts[i]);
    return rc;
}

static int put_held(writer_t *w, const plumb_msg_field_t *f)
{
    const plumb_held_t *held = *(const plumb_held_t *const *)member(w, f);
    size_t count = count_of(w, f->second);
    int rc = check_max(w, f, count);
    if (rc < 0)
        return rc;
    msgpack_pack_bin(&w->pack, count * PLUMB_MSG_HELD_BYTES);
    for (size_t i = 0; i < count; i++) {
        uint8_t item[PLUMB_MSG_HELD_BYTES];
        if (held[i].ticket.attempt > PLUMB_MSG_ATTEMPT_MAX)
            return plumb_err_set(w->err, PLUMB_E_MESSAGE, "attempt %" PRIu32 ", want at most %d",
                                 held[i].ticket.attempt, PLUMB_MSG_ATTEMPT_MAX);
        memcpy(item, held[i].ticket.delivery.b, 16);
        store_big_endian(item + 16, held[i].ticket.attempt, 4);
        item[20] = (uint8_t)((unsigned)held[i].phase | (held[i].done ? 0x80u : 0));
        msgpack_pack_bin_body(&w->pack, item, sizeof item);
    }
    return 0;
}

static int put_lanes(writer_t *w, const plumb_msg_field_t *f)
{
    const plumb_uuid_t *lanes = *(const plumb_uuid_t *const *)member(w, f);
    const int64_t *waits = *(const int64_t *const *)(const void *)(w->record + f->second);
    size_t count = count_of(w, f->third);
    int rc = check_max(w, f, count);
    if (rc < 0)
        return rc;
    msgpack_pack_bin(&w->pack, count * PLUMB_MSG_LANE_BYTES);
    for (size_t i = 0; i < count; i++) {
        uint8_t item[PLUMB_MSG_LANE_BYTES];
        memcpy(item, lanes[i].b, 16);
        store_big_endian(item + 16, (uint64_t)waits[i], 8);
        msgpack_pack_bin_body(&w->pack, item, sizeof item);
    }
    return 0;
}

/* ---- the message ---- */

/* How a kind is written, and where its member says that there is nothing to write: the first
 * `zero` bytes at the member (or at the count) are zero. */
static const struct {
    int (*put)(writer_t *w, const plumb_msg_field_t *f);
    size_t zero;
    enum { AT_MEMBER, AT_SECOND, AT_THIRD } where;
} kinds[] = {
    [PLUMB_MSG_U16] = {put_u16, sizeof(uint16_t), AT_MEMBER},
    [PLUMB_MSG_U32] = {put_u32, sizeof(uint32_t), AT_MEMBER},
    [PLUMB_MSG_U64] = {put_u64, sizeof(uint64_t), AT_MEMBER},
    [PLUMB_MSG_I64] = {put_i64, sizeof(int64_t), AT_MEMBER},
    [PLUMB_MSG_STAMP32] = {put_stamp32, sizeof(uint32_t), AT_MEMBER},
    [PLUMB_MSG_STAMP64] = {put_stamp64, sizeof(uint64_t), AT_MEMBER},
    [PLUMB_MSG_BOOL] = {put_bool, sizeof(bool), AT_MEMBER},
    [PLUMB_MSG_ENUM] = {put_enum, sizeof(unsigned), AT_MEMBER},
    [PLUMB_MSG_UUID] = {put_uuid, sizeof(plumb_uuid_t), AT_MEMBER},
    [PLUMB_MSG_KEY] = {put_key, 32, AT_MEMBER},
    [PLUMB_MSG_TEXT] = {put_text, sizeof(char *), AT_MEMBER},
    [PLUMB_MSG_BIN] = {put_bin, sizeof(char *), AT_MEMBER},
    [PLUMB_MSG_PACKED] = {put_packed, sizeof(char *), AT_MEMBER},
    [PLUMB_MSG_TIMINGS] = {put_timings, sizeof(plumb_timings_t), AT_MEMBER},
    [PLUMB_MSG_THROTTLES] = {put_throttles, sizeof(unsigned), AT_SECOND},
    [PLUMB_MSG_TEXTS] = {put_texts, sizeof(size_t), AT_SECOND},
    [PLUMB_MSG_HELD] = {put_held, sizeof(size_t), AT_SECOND},
    [PLUMB_MSG_LANES] = {put_lanes, sizeof(size_t), AT_THIRD},
};

static bool is_zero(const writer_t *w, const plumb_msg_field_t *f)
{
    static const char zeroes[sizeof(plumb_timings_t) + 32];
    size_t at = f->offset;
    if (kinds[f->kind].where != AT_MEMBER)
        at = kinds[f->kind].where == AT_SECOND ? f->second : f->third;
    return memcmp(w->record + at, zeroes, kinds[f->kind].zero) == 0;
}

static int put_field(writer_t *w, const plumb_msg_field_t *f)
{
    msgpack_pack_str_with_body(&w->pack, f->key, strlen(f->key));
    int rc = kinds[f->kind].put(w, f);
    return rc < 0 ? plumb_err_add(w->err, "'%s'", f->key) : 0;
}

/* The map's head has a fixed width, so that what follows it stands at a fixed place and the number
 * of keys can be set in the end. */
static void put_head(writer_t *w, plumb_buf_t *out, const char *type)
{
    static const uint8_t map[] = {0xde, 0, 0};
    plumb_buf_put(out, map, sizeof map);
    msgpack_pack_str_with_body(&w->pack, "v", 1);
    msgpack_pack_uint8(&w->pack, PLUMB_MSG_VERSION);
    msgpack_pack_str_with_body(&w->pack, "t", 1);
    msgpack_pack_str_with_body(&w->pack, type, strlen(type));
}

int plumb_msg_write(plumb_buf_t *out, plumb_msg_type_t type, const plumb_msg_field_t *fields,
                    const void *record, plumb_err_t *err)
{
    writer_t w = {.record = record, .err = err};
    const char *name = plumb_msg_name(type);
    unsigned keys = 2;
    int rc = 0;
    plumb_buf_clear(out);
    msgpack_packer_init(&w.pack, out, append);
    put_head(&w, out, name);
    for (const plumb_msg_field_t *f = fields; rc == 0 && f->key != NULL; f++) {
        if (!f->required && is_zero(&w, f))
            continue;
        rc = put_field(&w, f);
        keys++;
    }
    if (rc == 0 && out->failed)
        rc = plumb_err_set(err, PLUMB_E_MEMORY, "no memory");
    if (rc == 0 && out->length > PLUMB_MSG_MAX)
        rc = plumb_err_set(err, PLUMB_E_MESSAGE, "%zu bytes, want at most %zu", out->length,
                           PLUMB_MSG_MAX);
    if (rc < 0)
        return plumb_err_add(err, "encode '%s'", name);
    store_big_endian((uint8_t *)out->data + 1, keys, 2);
    return 0;
}
