/* What a message consists of, as a table: the same rows write and read it. */
#ifndef PLUMB_MSG_FIELDS_H
#define PLUMB_MSG_FIELDS_H

#include "buf.h"
#include "err.h"
#include "msg.h"

#include <stddef.h>
#include <stdint.h>

/* Kind of a field: the member's type in the struct, its form on the wire. */
typedef enum plumb_msg_kind {
    PLUMB_MSG_U16,
    PLUMB_MSG_U32,
    PLUMB_MSG_U64,
    PLUMB_MSG_I64,
    PLUMB_MSG_STAMP32, /* uint32_t and uint64_t, always at full width, so that they can be */
    PLUMB_MSG_STAMP64, /* changed in place */
    PLUMB_MSG_BOOL,
    PLUMB_MSG_ENUM,      /* an enum; its name, out of `names` */
    PLUMB_MSG_UUID,      /* bin of 16 */
    PLUMB_MSG_KEY,       /* uint8_t[32]; bin */
    PLUMB_MSG_TEXT,      /* slice; str without NUL */
    PLUMB_MSG_BIN,       /* slice; bin */
    PLUMB_MSG_PACKED,    /* slice: a msgpack map, carried as bin with a depth of its own; written
                          * without a look into it when the bool at `second` says so */
    PLUMB_MSG_TIMINGS,   /* plumb_timings_t; array of 5 */
    PLUMB_MSG_THROTTLES, /* plumb_throttle_t[], count at `second`; array of [key, rate, burst] */
    PLUMB_MSG_TEXTS,     /* const plumb_slice_t *, count at `second`; array of str */
    PLUMB_MSG_HELD,      /* const plumb_held_t *, count at `second`; bin of 21 bytes each */
    PLUMB_MSG_LANES      /* const plumb_uuid_t *, waits at `second`, count at `third`; bin of 24 */
} plumb_msg_kind_t;

typedef struct plumb_msg_field {
    const char *key; /* NULL ends the table */
    size_t key_length;
    plumb_msg_kind_t kind;
    bool required;            /* written also when zero; an error when it does not come */
    size_t offset;            /* of the member */
    uint64_t max;             /* numbers: largest; texts: bytes, lists: items */
    size_t second, third;     /* offsets, as the kind says */
    const char *const *names; /* ENUM */
} plumb_msg_field_t;

/* A row: struct, required, key, kind, member; then other members by name. */
#define PLUMB_MSG_FIELD(type_, required_, key_, kind_, member_, ...)                               \
    {                                                                                              \
        .key = (key_), .key_length = sizeof(key_) - 1, .kind = PLUMB_MSG_##kind_,                  \
        .required = (required_), .offset = offsetof(type_, member_), __VA_ARGS__                   \
    }

/* Append {"v", "t": `type`, the fields of `record`} to `out`, which is cleared first. */
int plumb_msg_write(plumb_buf_t *out, plumb_msg_type_t type, const plumb_msg_field_t *fields,
                    const void *record, plumb_err_t *err);

/* What a frame is read into. */
typedef struct plumb_msg_target {
    void *record;                    /* zero */
    const plumb_msg_field_t *fields; /* of it, at most 64; NULL: the frame is only checked */
    uint32_t types;                  /* a bit for each that may come … */
    const char *want;                /* … and how an error calls them */
    plumb_note_space_t *space;       /* for lists; NULL where the table has none */
    bool passes_on;                  /* whoever takes the frame from us walks PACKED values */
} plumb_msg_target_t;

#define PLUMB_MSG_BIT(type) ((uint32_t)1 << (type))
#define PLUMB_MSG_NOTES                                                                            \
    (PLUMB_MSG_BIT(PLUMB_MSG_COUNT) - 1 - PLUMB_MSG_BIT(PLUMB_MSG_JOB) -                           \
     PLUMB_MSG_BIT(PLUMB_MSG_RESULT))

/* Walk the frame `data` by all rules and read it, in one pass.  After an error the record is half
 * filled. */
int plumb_msg_read(const plumb_msg_target_t *target, plumb_msg_type_t *type, const void *data,
                   size_t length, plumb_err_t *err);

/* The type of this name; COUNT: none. */
plumb_msg_type_t plumb_msg_type_of(const char *name, size_t length);

extern const char *const plumb_outcome_names[PLUMB_OUT_COUNT];

#define PLUMB_MSG_ATTEMPT_MAX INT32_MAX /* a column of type integer */
#define PLUMB_MSG_NAME_MAX 255          /* bytes of what names a process, a queue, a channel */
#define PLUMB_MSG_THROTTLE_KEY_MAX 1024 /* "<channel>/<level>/<value>" */

/* One ticket of a list on the wire: delivery, attempt (big endian), phase | done << 7. */
#define PLUMB_MSG_HELD_BYTES 21
/* One lane: credential, wait in ms (big endian). */
#define PLUMB_MSG_LANE_BYTES 24

/* Depth of a PACKED value: what intake lets through as JSON, inside the map of the lead. */
#define PLUMB_MSG_PACKED_DEPTH_MAX 32

#endif
