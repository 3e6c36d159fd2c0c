/* Reading values out of what plumb_json_read left. */
#include "json.h"

#include "json_scan.h"

#include <string.h>

uint32_t plumb_json_member(const plumb_json_t *json, uint32_t object, const char *key)
{
    const plumb_json_node_t *nodes = json->nodes;
    if (nodes[object].type != PLUMB_JSON_OBJECT)
        return 0;
    for (uint32_t at = object + 1; at < nodes[object].next; at = nodes[at + 1].next)
        if (plumb_json_equal(json, at, key))
            return at + 1;
    return 0;
}

uint32_t plumb_json_at(const plumb_json_t *json, const char *at)
{
    size_t start = (size_t)(at - json->text);
    uint32_t low = 0, high = json->count;
    while (low + 1 < high) { /* nodes stand in the order of their beginnings */
        uint32_t middle = low + (high - low) / 2;
        if (json->nodes[middle].start <= start)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The decoded bytes of a string, piece by piece: runs of the text and single escapes. */
typedef struct piece {
    const char *at, *end; /* what is left of the string */
    const char *data;
    size_t length;
    char escape[4];
} piece_t;

static bool next_piece(piece_t *p)
{
    if (p->at == p->end)
        return false;
    if (*p->at == '\\') {
        p->at += plumb_scan_escape(p->at, p->end, p->escape, &p->length);
        p->data = p->escape;
        return true;
    }
    const char *stop = memchr(p->at, '\\', (size_t)(p->end - p->at));
    p->data = p->at;
    p->at = stop != NULL ? stop : p->end;
    p->length = (size_t)(p->at - p->data);
    return true;
}

/* The pieces of a string node; there are none of any other. */
static piece_t pieces_of(const plumb_json_t *json, uint32_t node)
{
    const plumb_json_node_t *n = &json->nodes[node];
    piece_t p = {.at = NULL};
    if (n->type == PLUMB_JSON_STRING) {
        p.at = json->text + n->start + 1;
        p.end = json->text + n->end - 1;
    }
    return p;
}

bool plumb_json_equal(const plumb_json_t *json, uint32_t node, const char *text)
{
    const plumb_json_node_t *n = &json->nodes[node];
    if (n->type != PLUMB_JSON_STRING)
        return false;
    size_t left = strlen(text);
    if (!n->escaped)
        return n->end - n->start - 2 == left && memcmp(json->text + n->start + 1, text, left) == 0;
    for (piece_t p = pieces_of(json, node); next_piece(&p); left -= p.length, text += p.length)
        if (p.length > left || memcmp(p.data, text, p.length) != 0)
            return false;
    return left == 0;
}

ptrdiff_t plumb_json_string(const plumb_json_t *json, uint32_t node, char *out, size_t size)
{
    size_t length = 0;
    if (json->nodes[node].type != PLUMB_JSON_STRING)
        return -1;
    for (piece_t p = pieces_of(json, node); next_piece(&p); length += p.length) {
        if (p.length >= size - length)
            return -1;
        memcpy(out + length, p.data, p.length);
    }
    if (length >= size)
        return -1;
    out[length] = '\0';
    return (ptrdiff_t)length;
}
