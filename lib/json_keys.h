/* Keys of one object that are the same once decoded. */
#ifndef PLUMB_JSON_KEYS_H
#define PLUMB_JSON_KEYS_H

#include "json.h"

/* The node of a key that stands in `object` for the second time, or 0. */
uint32_t plumb_json_doubled(const plumb_json_t *json, uint32_t object);

#endif
