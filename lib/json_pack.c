/* JSON as msgpack: nodes stand in the order in which msgpack wants them. */
#include "json_pack.h"

#include <math.h>
#include <stdlib.h>

static int append(void *out, const char *data, size_t length)
{
    plumb_buf_put(out, data, length);
    return 0; /* the buffer remembers */
}

msgpack_packer plumb_packer(plumb_buf_t *out)
{
    return (msgpack_packer){.data = out, .callback = append};
}

/* Straight into the buffer: most of a lead is short texts, each of which would take two calls of
 * the packer's callback. */
void plumb_pack_text(msgpack_packer *packer, const char *text, size_t length)
{
    plumb_buf_t *out = packer->data;
    if (length < 32)
        plumb_buf_put(out, (uint8_t[]){(uint8_t)(0xa0 | length)}, 1);
    else if (length <= UINT8_MAX)
        plumb_buf_put(out, (uint8_t[]){0xd9, (uint8_t)length}, 2);
    else
        msgpack_pack_str(packer, length);
    plumb_buf_put(out, text, length);
}

static void pack_escaped(msgpack_packer *packer, const plumb_json_t *json, uint32_t node)
{
    char text[PLUMB_JSON_STRING_MAX + 1];
    ptrdiff_t length = plumb_json_string(json, node, text, sizeof text);
    plumb_pack_text(packer, text, (size_t)length); /* the reader let nothing longer in */
}

/* What no double can hold, which only PostgreSQL's numeric can say, goes as text. */
static void pack_real(msgpack_packer *packer, const char *text, size_t length)
{
    double value = strtod(text, NULL); /* a comma, a bracket or the text's end stops it */
    if (isfinite(value))
        msgpack_pack_double(packer, value);
    else
        plumb_pack_text(packer, text, length);
}

static void pack_node(msgpack_packer *packer, const plumb_json_t *json, uint32_t at)
{
    const plumb_json_node_t *node = &json->nodes[at];
    const char *text = json->text + node->start;
    size_t length = node->end - node->start;
    switch (node->type) {
    case PLUMB_JSON_NULL:
        msgpack_pack_nil(packer);
        break;
    case PLUMB_JSON_FALSE:
        msgpack_pack_false(packer);
        break;
    case PLUMB_JSON_TRUE:
        msgpack_pack_true(packer);
        break;
    case PLUMB_JSON_INTEGER:
        msgpack_pack_int64(packer, node->integer);
        break;
    case PLUMB_JSON_REAL:
        pack_real(packer, text, length);
        break;
    case PLUMB_JSON_STRING:
        if (node->escaped)
            pack_escaped(packer, json, at);
        else
            plumb_pack_text(packer, text + 1, length - 2);
        break;
    case PLUMB_JSON_ARRAY:
        msgpack_pack_array(packer, node->count);
        break;
    case PLUMB_JSON_OBJECT:
        msgpack_pack_map(packer, node->count);
        break;
    }
}

void plumb_json_pack(msgpack_packer *packer, const plumb_json_t *json, uint32_t node)
{
    for (uint32_t at = node, end = json->nodes[node].next; at < end; at++)
        pack_node(packer, json, at);
}
