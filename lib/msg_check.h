/* The walk over a frame that comes before anything is read from it. */
#ifndef PLUMB_MSG_CHECK_H
#define PLUMB_MSG_CHECK_H

#include "err.h"

#include <stddef.h>

#define PLUMB_MSG_MAX ((size_t)1 << 20)
/* Keys of one map; what intake lets through in one document is less. */
#define PLUMB_MSG_KEYS_MAX 8192

/* `data` is exactly one msgpack value: at most `depth_max` maps and arrays within each other,
 * counts that the bytes left can hold, keys that are texts and differ, UTF-8 without NUL, finite
 * numbers, nothing behind.  Allocates nothing; MESSAGE names the byte. */
int plumb_msg_walk(const void *data, size_t length, unsigned depth_max, plumb_err_t *err);

/* The same, and the value is a map. */
int plumb_msg_walk_map(const void *data, size_t length, unsigned depth_max, plumb_err_t *err);

#endif
