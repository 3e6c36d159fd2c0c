/* JSON as msgpack, for what jobs carry. */
#ifndef PLUMB_JSON_PACK_H
#define PLUMB_JSON_PACK_H

#include "buf.h"
#include "json.h"

#include <msgpack.h>

/* A packer that appends to `out`, whose `failed` tells afterwards whether memory sufficed. */
msgpack_packer plumb_packer(plumb_buf_t *out);

/* With a packer of plumb_packer, as the next. */
void plumb_pack_text(msgpack_packer *packer, const char *text, size_t length);

/* Append value `node` with all below it. */
void plumb_json_pack(msgpack_packer *packer, const plumb_json_t *json, uint32_t node);

#endif
