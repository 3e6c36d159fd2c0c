/* Reading values by the table of their message. */
#include "msg_read.h"

#include "count.h"
#include "json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef plumb_msg_reader_t reader_t;

static void *at_offset(const reader_t *r, size_t offset)
{
    return (char *)r->target->record + offset;
}

static void *member(const reader_t *r, const plumb_msg_field_t *f)
{
    return at_offset(r, f->offset);
}

static uint64_t load_big_endian(const uint8_t *at, unsigned bytes)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < bytes; i++)
        number = number << 8 | at[i];
    return number;
}

static int refuse(const reader_t *r, const char *want)
{
    return plumb_err_set(r->walk.err, PLUMB_E_MESSAGE, "not %s", want);
}

static int too_large(const reader_t *r, uint64_t value, uint64_t max)
{
    return plumb_err_set(r->walk.err, PLUMB_E_MESSAGE, "%" PRIu64 ", want at most %" PRIu64, value,
                         max);
}

/* The next token within a value. */
static int next(reader_t *r, plumb_token_t *token)
{
    const char *problem = plumb_token_next(&r->walk.cursor, token);
    return problem == NULL ? 0 : plumb_walk_fail(&r->walk, problem);
}

/* ---- numbers and fixed bytes ---- */

static int take_number(const reader_t *r, const plumb_token_t *t, uint64_t max, uint64_t *out)
{
    if (t->kind != PLUMB_TOKEN_UINT)
        return refuse(r, "a whole number");
    if (t->number > max)
        return too_large(r, t->number, max);
    *out = t->number;
    return 0;
}

static uint64_t max_or(const plumb_msg_field_t *f, uint64_t most)
{
    return f->max > 0 ? f->max : most;
}

static int take_u16(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    uint64_t number = 0;
    int rc = take_number(r, t, max_or(f, UINT16_MAX), &number);
    *(uint16_t *)member(r, f) = (uint16_t)number;
    return rc;
}

static int take_u32(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    uint64_t number = 0;
    int rc = take_number(r, t, max_or(f, UINT32_MAX), &number);
    *(uint32_t *)member(r, f) = (uint32_t)number;
    return rc;
}

static int take_u64(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    return take_number(r, t, max_or(f, UINT64_MAX), member(r, f));
}

static int take_i64(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    if (t->kind != PLUMB_TOKEN_INT && (t->kind != PLUMB_TOKEN_UINT || t->number > INT64_MAX))
        return refuse(r, "a whole number of 64 bits with sign");
    memcpy(member(r, f), &t->number, sizeof t->number); /* two's complement */
    return 0;
}

static int take_bool(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    if (t->kind != PLUMB_TOKEN_BOOL)
        return refuse(r, "true or false");
    *(bool *)member(r, f) = t->number != 0;
    return 0;
}

static int take_enum(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    for (unsigned i = 0; t->kind == PLUMB_TOKEN_STR && i <= f->max; i++) {
        if (strlen(f->names[i]) == t->number && memcmp(f->names[i], t->data, t->number) == 0) {
            memcpy(member(r, f), &i, sizeof i);
            return 0;
        }
    }
    return refuse(r, "a name that is known");
}

static int take_bytes(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t, size_t size)
{
    if (t->kind != PLUMB_TOKEN_BIN || t->number != size)
        return plumb_err_set(r->walk.err, PLUMB_E_MESSAGE, "not %zu bytes", size);
    memcpy(member(r, f), t->data, size);
    return 0;
}

static int take_uuid(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    return take_bytes(r, f, t, sizeof(plumb_uuid_t));
}

static int take_key(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    return take_bytes(r, f, t, 32);
}

/* The next value as a number of 32 bits. */
static int next_u32(reader_t *r, uint32_t *out)
{
    plumb_token_t token = {0};
    uint64_t number = 0;
    int rc = next(r, &token);
    if (rc == 0)
        rc = take_number(r, &token, UINT32_MAX, &number);
    *out = (uint32_t)number;
    return rc;
}

static int take_timings(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    plumb_timings_t *timings = member(r, f);
    uint32_t *times[] = {&timings->dns_us, &timings->connect_us, &timings->tls_us,
                         &timings->first_byte_us, &timings->total_us};
    int rc = 0;
    if (t->kind != PLUMB_TOKEN_ARRAY || t->number != PLUMB_COUNT(times))
        return refuse(r, "an array of 5");
    for (size_t i = 0; rc == 0 && i < PLUMB_COUNT(times); i++)
        rc = next_u32(r, times[i]);
    return rc;
}

/* ---- slices ---- */

static int take_slice(const reader_t *r, const plumb_token_t *t, plumb_token_kind_t kind,
                      uint64_t max, plumb_slice_t *out)
{
    if (t->kind != kind)
        return refuse(r, kind == PLUMB_TOKEN_STR ? "text" : "bytes");
    if (max > 0 && t->number > max)
        return too_large(r, t->number, max);
    if (kind == PLUMB_TOKEN_STR && !plumb_utf8_valid((const char *)t->data, t->number))
        return plumb_walk_fail(&r->walk, "text that is not UTF-8 without NUL");
    *out = (plumb_slice_t){(const char *)t->data, t->number};
    return 0;
}

static int next_text(reader_t *r, uint64_t max, plumb_slice_t *out)
{
    plumb_token_t token = {0};
    int rc = next(r, &token);
    return rc < 0 ? rc : take_slice(r, &token, PLUMB_TOKEN_STR, max, out);
}

static int take_text(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    return take_slice(r, t, PLUMB_TOKEN_STR, f->max, member(r, f));
}

static int take_bin(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    return take_slice(r, t, PLUMB_TOKEN_BIN, f->max, member(r, f));
}

static int take_packed(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    int rc = take_slice(r, t, PLUMB_TOKEN_BIN, 0, member(r, f));
    if (rc == 0 && !r->target->passes_on)
        rc = plumb_msg_walk_map(t->data, t->number, PLUMB_MSG_PACKED_DEPTH_MAX, r->walk.err);
    return rc;
}

/* ---- lists ---- */

static int next_throttle(reader_t *r, plumb_throttle_t *throttle)
{
    plumb_token_t token = {0};
    int rc = next(r, &token);
    if (rc < 0)
        return rc;
    if (token.kind != PLUMB_TOKEN_ARRAY || token.number != 3)
        return refuse(r, "an array of arrays of 3");
    rc = next_text(r, PLUMB_MSG_THROTTLE_KEY_MAX, &throttle->key);
    if (rc == 0)
        rc = next_u32(r, &throttle->per_kilosecond);
    if (rc == 0)
        rc = next_u32(r, &throttle->burst);
    return rc;
}

static int take_throttles(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    plumb_throttle_t *throttles = member(r, f);
    int rc = 0;
    if (t->kind != PLUMB_TOKEN_ARRAY)
        return refuse(r, "an array");
    if (t->number > f->max)
        return too_large(r, t->number, f->max);
    unsigned count = (unsigned)t->number;
    for (unsigned i = 0; rc == 0 && i < count; i++)
        rc = next_throttle(r, &throttles[i]);
    memcpy(at_offset(r, f->second), &count, sizeof count);
    return rc;
}

/* Memory for `max` items of `size` bytes, once; what is not touched costs nothing. */
static void *reserve(const reader_t *r, void *have, uint64_t max, size_t size)
{
    void *memory = have != NULL ? have : malloc(max * size);
    if (memory == NULL)
        plumb_err_set(r->walk.err, PLUMB_E_MEMORY, "no memory");
    return memory;
}

static int take_texts(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    plumb_note_space_t *space = r->target->space;
    int rc = 0;
    if (t->kind != PLUMB_TOKEN_ARRAY)
        return refuse(r, "an array");
    if (t->number > f->max)
        return too_large(r, t->number, f->max);
    space->queues = reserve(r, space->queues, f->max, sizeof *space->queues);
    if (space->queues == NULL)
        return -PLUMB_E_MEMORY;
    for (size_t i = 0; rc == 0 && i < t->number; i++)
        rc = next_text(r, PLUMB_MSG_NAME_MAX, &space->queues[i]);
    *(const plumb_slice_t **)member(r, f) = space->queues;
    *(size_t *)at_offset(r, f->second) = t->number;
    return rc;
}

/* The items of a list that is carried as bytes. */
static int count_items(const reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t,
                       size_t bytes, size_t *count)
{
    if (t->kind != PLUMB_TOKEN_BIN || t->number % bytes != 0)
        return plumb_err_set(r->walk.err, PLUMB_E_MESSAGE, "not a multiple of %zu bytes", bytes);
    *count = t->number / bytes;
    return *count > f->max ? too_large(r, *count, f->max) : 0;
}

static int take_held(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    size_t count = 0;
    const uint8_t *at = t->data;
    int rc = count_items(r, f, t, PLUMB_MSG_HELD_BYTES, &count);
    if (rc < 0)
        return rc;
    plumb_held_t *held = reserve(r, r->target->space->held, f->max, sizeof *held);
    r->target->space->held = held;
    if (held == NULL)
        return -PLUMB_E_MEMORY;
    for (size_t i = 0; i < count; i++, at += PLUMB_MSG_HELD_BYTES) {
        uint64_t attempt = load_big_endian(at + 16, 4);
        unsigned phase = at[20] & 0x7f;
        if (attempt > PLUMB_MSG_ATTEMPT_MAX || phase > PLUMB_PHASE_ANSWERED)
            return refuse(r, "a list of tickets");
        memcpy(held[i].ticket.delivery.b, at, 16);
        held[i].ticket.attempt = (uint32_t)attempt;
        held[i].phase = (plumb_phase_t)phase;
        held[i].done = (at[20] & 0x80) != 0;
    }
    *(const plumb_held_t **)member(r, f) = held;
    *(size_t *)at_offset(r, f->second) = count;
    return 0;
}

static int take_lanes(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t)
{
    size_t count = 0;
    const uint8_t *at = t->data;
    plumb_note_space_t *space = r->target->space;
    int rc = count_items(r, f, t, PLUMB_MSG_LANE_BYTES, &count);
    if (rc < 0)
        return rc;
    space->lanes = reserve(r, space->lanes, f->max, sizeof *space->lanes);
    space->waits = reserve(r, space->waits, f->max, sizeof *space->waits);
    if (space->lanes == NULL || space->waits == NULL)
        return -PLUMB_E_MEMORY;
    for (size_t i = 0; i < count; i++, at += PLUMB_MSG_LANE_BYTES) {
        uint64_t wait = load_big_endian(at + 16, 8);
        memcpy(space->lanes[i].b, at, 16);
        memcpy(&space->waits[i], &wait, sizeof wait); /* two's complement */
    }
    *(const plumb_uuid_t **)member(r, f) = space->lanes;
    *(const int64_t **)at_offset(r, f->second) = space->waits;
    *(size_t *)at_offset(r, f->third) = count;
    return 0;
}

static int (*const takes[])(reader_t *r, const plumb_msg_field_t *f, const plumb_token_t *t) = {
    [PLUMB_MSG_U16] = take_u16,
    [PLUMB_MSG_U32] = take_u32,
    [PLUMB_MSG_U64] = take_u64,
    [PLUMB_MSG_I64] = take_i64,
    [PLUMB_MSG_STAMP32] = take_u32,
    [PLUMB_MSG_STAMP64] = take_u64,
    [PLUMB_MSG_BOOL] = take_bool,
    [PLUMB_MSG_ENUM] = take_enum,
    [PLUMB_MSG_UUID] = take_uuid,
    [PLUMB_MSG_KEY] = take_key,
    [PLUMB_MSG_TEXT] = take_text,
    [PLUMB_MSG_BIN] = take_bin,
    [PLUMB_MSG_PACKED] = take_packed,
    [PLUMB_MSG_TIMINGS] = take_timings,
    [PLUMB_MSG_THROTTLES] = take_throttles,
    [PLUMB_MSG_TEXTS] = take_texts,
    [PLUMB_MSG_HELD] = take_held,
    [PLUMB_MSG_LANES] = take_lanes,
};

int plumb_msg_take(plumb_msg_reader_t *r, const plumb_msg_field_t *f)
{
    plumb_token_t token = {0};
    int rc = next(r, &token);
    if (rc == 0)
        rc = takes[f->kind](r, f, &token);
    return rc < 0 ? plumb_err_add(r->walk.err, "'%s'", f->key) : 0;
}
