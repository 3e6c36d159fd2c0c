/* Reading a message: one pass in which known keys are read by their table, all others walked. */
#include "msg_read.h"

#include <inttypes.h>
#include <string.h>

typedef struct frame {
    plumb_msg_reader_t r;
    const plumb_msg_field_t *next; /* the row behind the last one that came */
    uint64_t seen;                 /* a bit a row */
    bool has_version, has_type;
    plumb_msg_type_t type;
    plumb_keys_t others; /* unknown ones; the known cannot equal them */
} frame_t;

static bool is_key(const plumb_msg_field_t *f, const plumb_token_t *key)
{
    return f->key_length == key->number && memcmp(f->key, key->data, key->number) == 0;
}

/* The row of a key; our own writers keep the table's order, so the search begins at `next`. */
static const plumb_msg_field_t *find(const frame_t *frame, const plumb_token_t *key)
{
    if (frame->next == NULL) /* no table */
        return NULL;
    for (const plumb_msg_field_t *f = frame->next; f->key != NULL; f++)
        if (is_key(f, key))
            return f;
    for (const plumb_msg_field_t *f = frame->r.target->fields; f != frame->next; f++)
        if (is_key(f, key))
            return f;
    return NULL;
}

/* ---- the pairs ---- */

static int take_version(frame_t *frame)
{
    plumb_err_t *err = frame->r.walk.err;
    plumb_token_t token = {0};
    const char *problem =
        frame->has_version ? "a doubled key" : plumb_token_next(&frame->r.walk.cursor, &token);
    if (problem != NULL)
        return plumb_walk_fail(&frame->r.walk, problem);
    if (token.kind != PLUMB_TOKEN_UINT)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "has no version");
    if (token.number != PLUMB_MSG_VERSION)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "version %" PRIu64 ", want %d", token.number,
                             PLUMB_MSG_VERSION);
    frame->has_version = true;
    return 0;
}

static int take_type(frame_t *frame)
{
    plumb_err_t *err = frame->r.walk.err;
    const plumb_msg_target_t *target = frame->r.target;
    plumb_token_t name = {0};
    const char *problem =
        frame->has_type ? "a doubled key" : plumb_token_next(&frame->r.walk.cursor, &name);
    if (problem != NULL)
        return plumb_walk_fail(&frame->r.walk, problem);
    if (name.kind != PLUMB_TOKEN_STR)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "type is no text");
    frame->type = plumb_msg_type_of((const char *)name.data, name.number);
    if (frame->type == PLUMB_MSG_COUNT)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "unknown type '%.*s'",
                             name.number < 32 ? (int)name.number : 32, (const char *)name.data);
    if ((target->types & PLUMB_MSG_BIT(frame->type)) == 0)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "type '%s', want %s",
                             plumb_msg_name(frame->type), target->want);
    frame->has_type = true;
    return 0;
}

static int take_known(frame_t *frame, const plumb_msg_field_t *f)
{
    uint64_t bit = (uint64_t)1 << (f - frame->r.target->fields);
    if ((frame->seen & bit) != 0)
        return plumb_walk_fail(&frame->r.walk, "a doubled key");
    frame->seen |= bit;
    frame->next = f + 1;
    return plumb_msg_take(&frame->r, f);
}

/* A key of a later version. */
static int take_other(frame_t *frame)
{
    plumb_token_t key = {0};
    int rc = plumb_walk_key(&frame->r.walk, &key);
    if (rc == 0 && !plumb_keys_add(&frame->others, &key))
        rc = plumb_walk_fail(&frame->r.walk, "a doubled key");
    return rc == 0 ? plumb_walk_value(&frame->r.walk, 1) : rc;
}

static int take_pair(frame_t *frame)
{
    plumb_walk_t *walk = &frame->r.walk;
    plumb_cursor_t before = walk->cursor;
    plumb_token_t key = {0};
    if (plumb_token_next(&walk->cursor, &key) == NULL && key.kind == PLUMB_TOKEN_STR) {
        if (key.number == 1 && key.data[0] == 'v')
            return take_version(frame);
        if (key.number == 1 && key.data[0] == 't')
            return take_type(frame);
        const plumb_msg_field_t *f = find(frame, &key);
        if (f != NULL)
            return take_known(frame, f);
    }
    walk->cursor = before;
    return take_other(frame);
}

/* ---- the whole ---- */

static int take_pairs(frame_t *frame, uint64_t count)
{
    plumb_walk_t *walk = &frame->r.walk;
    const uint8_t *first = walk->cursor.at;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < count; i++)
        rc = take_pair(frame);
    if (rc == 0 && frame->others.count > PLUMB_KEYS_FEW && plumb_walk_doubled(walk, first, count))
        rc = plumb_walk_fail(walk, "a doubled key");
    if (rc == 0 && walk->cursor.at != walk->cursor.end)
        rc = plumb_walk_fail(walk, "bytes behind the end");
    return rc;
}

static int check_complete(const frame_t *frame)
{
    plumb_err_t *err = frame->r.walk.err;
    const plumb_msg_field_t *fields = frame->r.target->fields;
    if (!frame->has_version)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "has no version");
    if (!frame->has_type)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "has no type");
    for (const plumb_msg_field_t *f = fields; f != NULL && f->key != NULL; f++)
        if (f->required && (frame->seen >> (f - fields) & 1) == 0)
            return plumb_err_set(err, PLUMB_E_MESSAGE, "'%s' is missing", f->key);
    return 0;
}

static int read_frame(frame_t *frame, const void *data, size_t length)
{
    plumb_walk_t *walk = &frame->r.walk;
    plumb_token_t map = {0};
    if (plumb_token_next(&walk->cursor, &map) != NULL || map.kind != PLUMB_TOKEN_MAP)
        return plumb_msg_walk_map(data, length, walk->depth_max, walk->err); /* says why not */
    int rc = plumb_walk_count(walk, &map);
    if (rc == 0)
        rc = take_pairs(frame, map.number);
    return rc == 0 ? check_complete(frame) : rc;
}

int plumb_msg_read(const plumb_msg_target_t *target, plumb_msg_type_t *type, const void *data,
                   size_t length, plumb_err_t *err)
{
    frame_t frame;
    memset(&frame, 0, offsetof(frame_t, others.few)); /* the rest is written before it is read */
    frame.r.target = target;
    frame.next = target->fields;
    int rc = plumb_walk_begin(&frame.r.walk, data, length, PLUMB_MSG_DEPTH_MAX, err);
    if (rc == 0)
        rc = read_frame(&frame, data, length);
    if (rc < 0)
        return plumb_err_add(err, "frame");
    *type = frame.type;
    return 0;
}
