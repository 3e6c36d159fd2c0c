/* msgpack values as JSON, straight from the bytes of a message: what a plugin sees. */
#ifndef PLUMB_WORKER_UNPACK_H
#define PLUMB_WORKER_UNPACK_H

#include "buf.h"
#include "msg_token.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define UNPACK_DEPTH_MAX 40

/* One whole value of exactly `length` bytes.  New reference; NULL when it is malformed, nested too
 * deep, or holds what JSON cannot say (binary, extensions, NaN, keys that are no text). */
json_t *unpack_json(const void *data, size_t length);

/* Memory of unpack_text, kept from one text to the next. */
typedef struct unpack_space {
    plumb_buf_t text; /* the last one */
    plumb_buf_t spare;
    struct unpack_member *members; /* of the maps that are being written; owned */
    size_t count, capacity;
} unpack_space_t;

/* The same value as JSON text, without a tree: compact, the keys of every object sorted by their
 * bytes, letter by letter what jansson writes of unpack_json's value.  That texts are UTF-8 and
 * that no key is doubled was checked before (plumb_msg_walk).  False as above, or without memory.
 */
bool unpack_text(unpack_space_t *space, const void *data, size_t length);
void unpack_space_trim(unpack_space_t *space); /* gives large memory back */
void unpack_space_fini(unpack_space_t *space);

/* The text under a name of the map that these bytes are; `data` NULL: no text there. */
plumb_token_t unpack_member(const void *data, size_t length, const char *name);

#endif
