/* msgpack values as JSON, straight from the bytes of a message: what a plugin sees. */
#ifndef PLUMB_WORKER_UNPACK_H
#define PLUMB_WORKER_UNPACK_H

#include <jansson.h>
#include <stddef.h>

#define UNPACK_DEPTH_MAX 40

/* One whole value of exactly `length` bytes.  New reference; NULL when it is malformed, nested too
 * deep, or holds what JSON cannot say (binary, extensions, NaN, keys that are no text). */
json_t *unpack_json(const void *data, size_t length);

#endif
