/* Writing messages by their table. */
#include "count.h"
#include "json.h"
#include "msg_check.h"
#include "msg_fields.h"
#include "msg_pack.h"

#include <inttypes.h>
#include <string.h>

typedef struct writer {
    plumb_buf_t *out;
    uint8_t
        *at; /* where the next byte goes; the buffer has room for a head and a fixed body there */
    const char *record;
    plumb_err_t *err;
} writer_t;

#define FIXED_MAX 64 /* bytes of any value that is neither slice nor list, with its head */

/* Room for `more` bytes behind what is written, and a fixed value behind them. */
static int room(writer_t *w, size_t more)
{
    plumb_buf_t *out = w->out;
    if (w->at != NULL)
        out->length = (size_t)(w->at - (uint8_t *)out->data);
    plumb_buf_reserve(out, more + FIXED_MAX);
    if (out->failed)
        return plumb_err_set(w->err, PLUMB_E_MEMORY, "no memory");
    w->at = (uint8_t *)out->data + out->length;
    return 0;
}

static const void *member(const writer_t *w, const plumb_msg_field_t *f)
{
    return w->record + f->offset;
}

static size_t count_of(const writer_t *w, size_t offset)
{
    return *(const size_t *)(const void *)(w->record + offset);
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
    w->at = plumb_pack_uint(w->at, *(const uint16_t *)member(w, f));
    return 0;
}

static int put_u32(writer_t *w, const plumb_msg_field_t *f)
{
    uint32_t value = *(const uint32_t *)member(w, f);
    w->at = plumb_pack_uint(w->at, value);
    return check_max(w, f, value);
}

static int put_u64(writer_t *w, const plumb_msg_field_t *f)
{
    uint64_t value = *(const uint64_t *)member(w, f);
    w->at = plumb_pack_uint(w->at, value);
    return check_max(w, f, value);
}

static int put_i64(writer_t *w, const plumb_msg_field_t *f)
{
    w->at = plumb_pack_int(w->at, *(const int64_t *)member(w, f));
    return 0;
}

static int put_stamp32(writer_t *w, const plumb_msg_field_t *f)
{
    uint32_t value = *(const uint32_t *)member(w, f);
    w->at = plumb_pack_wide(w->at, 0xce, value, 4);
    return check_max(w, f, value);
}

static int put_stamp64(writer_t *w, const plumb_msg_field_t *f)
{
    uint64_t value = *(const uint64_t *)member(w, f);
    w->at = plumb_pack_wide(w->at, 0xcf, value, 8);
    return check_max(w, f, value);
}

static int put_bool(writer_t *w, const plumb_msg_field_t *f)
{
    *w->at++ = *(const bool *)member(w, f) ? 0xc3 : 0xc2;
    return 0;
}

static int put_enum(writer_t *w, const plumb_msg_field_t *f)
{
    unsigned value;
    memcpy(&value, member(w, f), sizeof value);
    if (value > f->max)
        return check_max(w, f, value);
    size_t length = strlen(f->names[value]);
    int rc = room(w, length);
    if (rc == 0)
        w->at = plumb_pack_str(w->at, f->names[value], length);
    return rc;
}

static int put_uuid(writer_t *w, const plumb_msg_field_t *f)
{
    w->at = plumb_pack_bin(w->at, member(w, f), sizeof(plumb_uuid_t));
    return 0;
}

static int put_key(writer_t *w, const plumb_msg_field_t *f)
{
    w->at = plumb_pack_bin(w->at, member(w, f), 32);
    return 0;
}

static int put_timings(writer_t *w, const plumb_msg_field_t *f)
{
    const plumb_timings_t *t = member(w, f);
    const uint32_t times[] = {t->dns_us, t->connect_us, t->tls_us, t->first_byte_us, t->total_us};
    w->at = plumb_pack_array(w->at, PLUMB_COUNT(times));
    for (size_t i = 0; i < PLUMB_COUNT(times); i++)
        w->at = plumb_pack_uint(w->at, times[i]);
    return 0;
}

/* ---- slices ---- */

static int put_slice(writer_t *w, const plumb_msg_field_t *f, const plumb_slice_t *text)
{
    int rc = check_max(w, f, text->length);
    if (rc == 0 && !plumb_utf8_valid(text->data, text->length))
        rc = plumb_err_set(w->err, PLUMB_E_MESSAGE, "not UTF-8 without NUL");
    if (rc == 0)
        rc = room(w, text->length);
    if (rc == 0)
        w->at = plumb_pack_str(w->at, text->data, text->length);
    return rc;
}

static int put_text(writer_t *w, const plumb_msg_field_t *f)
{
    const plumb_slice_t *text = member(w, f);
    if (text->data == NULL)
        return plumb_err_set(w->err, PLUMB_E_MESSAGE, "missing");
    return put_slice(w, f, text);
}

static int put_bytes(writer_t *w, const plumb_slice_t *bytes)
{
    int rc = room(w, bytes->length);
    if (rc == 0)
        w->at = plumb_pack_bin(w->at, bytes->data, bytes->length);
    return rc;
}

static int put_bin(writer_t *w, const plumb_msg_field_t *f)
{
    const plumb_slice_t *bytes = member(w, f);
    int rc = check_max(w, f, bytes->length);
    return rc == 0 ? put_bytes(w, bytes) : rc;
}

static int put_packed(writer_t *w, const plumb_msg_field_t *f)
{
    const plumb_slice_t *map = member(w, f);
    bool is_sure = f->second > 0 && *(const bool *)(w->record + f->second);
    int rc = is_sure
                 ? 0
                 : plumb_msg_walk_map(map->data, map->length, PLUMB_MSG_PACKED_DEPTH_MAX, w->err);
    return rc == 0 ? put_bytes(w, map) : rc;
}

/* ---- lists ---- */

static int put_throttles(writer_t *w, const plumb_msg_field_t *f)
{
    static const plumb_msg_field_t key = {.max = PLUMB_MSG_THROTTLE_KEY_MAX};
    const plumb_throttle_t *throttle = member(w, f);
    unsigned count;
    memcpy(&count, w->record + f->second, sizeof count);
    int rc = check_max(w, f, count);
    if (rc < 0)
        return rc;
    w->at = plumb_pack_array(w->at, count);
    for (unsigned i = 0; rc == 0 && i < count; i++, throttle++) {
        w->at = plumb_pack_array(w->at, 3);
        rc = put_slice(w, &key, &throttle->key);
        w->at = plumb_pack_uint(w->at, throttle->per_kilosecond);
        w->at = plumb_pack_uint(w->at, throttle->burst);
        if (rc == 0)
            rc = room(w, 0);
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
        w->at = plumb_pack_array(w->at, count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = put_slice(w, &item, &texts[i]);
    return rc;
}

static int put_held(writer_t *w, const plumb_msg_field_t *f)
{
    const plumb_held_t *held = *(const plumb_held_t *const *)member(w, f);
    size_t count = count_of(w, f->second);
    int rc = check_max(w, f, count);
    if (rc == 0)
        rc = room(w, count * PLUMB_MSG_HELD_BYTES);
    if (rc < 0)
        return rc;
    w->at = plumb_pack_bin_head(w->at, count * PLUMB_MSG_HELD_BYTES);
    for (size_t i = 0; i < count; i++) {
        if (held[i].ticket.attempt > PLUMB_MSG_ATTEMPT_MAX)
            return plumb_err_set(w->err, PLUMB_E_MESSAGE, "attempt %" PRIu32 ", want at most %d",
                                 held[i].ticket.attempt, PLUMB_MSG_ATTEMPT_MAX);
        w->at = plumb_pack_body(w->at, held[i].ticket.delivery.b, 16);
        w->at = plumb_pack_big_endian(w->at, held[i].ticket.attempt, 4);
        *w->at++ = (uint8_t)((unsigned)held[i].phase | (held[i].done ? 0x80u : 0));
    }
    return 0;
}

static int put_lanes(writer_t *w, const plumb_msg_field_t *f)
{
    const plumb_uuid_t *lanes = *(const plumb_uuid_t *const *)member(w, f);
    const int64_t *waits = *(const int64_t *const *)(const void *)(w->record + f->second);
    size_t count = count_of(w, f->third);
    int rc = check_max(w, f, count);
    if (rc == 0)
        rc = room(w, count * PLUMB_MSG_LANE_BYTES);
    if (rc < 0)
        return rc;
    w->at = plumb_pack_bin_head(w->at, count * PLUMB_MSG_LANE_BYTES);
    for (size_t i = 0; i < count; i++) {
        w->at = plumb_pack_body(w->at, lanes[i].b, 16);
        w->at = plumb_pack_big_endian(w->at, (uint64_t)waits[i], 8);
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
    int rc = room(w, PLUMB_PACK_HEAD + f->key_length);
    if (rc < 0)
        return rc;
    w->at = plumb_pack_str(w->at, f->key, f->key_length);
    rc = kinds[f->kind].put(w, f);
    return rc < 0 ? plumb_err_add(w->err, "'%s'", f->key) : 0;
}

/* The map's head has a fixed width, so that what follows it stands at a fixed place and the number
 * of keys can be set in the end. */
static int put_head(writer_t *w, const char *type)
{
    int rc = room(w, FIXED_MAX);
    if (rc < 0)
        return rc;
    w->at = plumb_pack_wide(w->at, 0xde, 0, 2);
    w->at = plumb_pack_str(w->at, "v", 1);
    w->at = plumb_pack_uint(w->at, PLUMB_MSG_VERSION);
    w->at = plumb_pack_str(w->at, "t", 1);
    w->at = plumb_pack_str(w->at, type, strlen(type));
    return 0;
}

static int put_fields(writer_t *w, const plumb_msg_field_t *fields)
{
    unsigned keys = 2;
    int rc = 0;
    for (const plumb_msg_field_t *f = fields; rc == 0 && f->key != NULL; f++) {
        if (!f->required && is_zero(w, f))
            continue;
        rc = put_field(w, f);
        keys++;
    }
    if (rc == 0)
        rc = room(w, 0);
    if (rc == 0 && w->out->length > PLUMB_MSG_MAX)
        rc = plumb_err_set(w->err, PLUMB_E_MESSAGE, "%zu bytes, want at most %zu", w->out->length,
                           PLUMB_MSG_MAX);
    if (rc < 0)
        return rc;
    *w->at = '\0'; /* behind the content, as a buffer has it */
    plumb_pack_big_endian((uint8_t *)w->out->data + 1, keys, 2);
    return 0;
}

int plumb_msg_write(plumb_buf_t *out, plumb_msg_type_t type, const plumb_msg_field_t *fields,
                    const void *record, plumb_err_t *err)
{
    writer_t w = {.out = out, .record = record, .err = err};
    const char *name = plumb_msg_name(type);
    plumb_buf_clear(out);
    int rc = put_head(&w, name);
    if (rc == 0)
        rc = put_fields(&w, fields);
    return rc < 0 ? plumb_err_add(err, "encode '%s'", name) : 0;
}
