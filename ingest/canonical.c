/* A short hash of each value, under a key that is the value's type; members are added up, so that
 * their order does not show. */
#include "canonical.h"

#include <sodium.h>
#include <string.h>

_Static_assert(CANONICAL_DIGEST == crypto_shorthash_siphashx24_BYTES, "one hash, one digest");

static void hash(uint8_t out[CANONICAL_DIGEST], plumb_json_type_t type, const void *data,
                 size_t length)
{
    const uint8_t key[crypto_shorthash_siphashx24_KEYBYTES] = {(uint8_t)type};
    crypto_shorthash_siphashx24(out, data, length, key);
}

static void hash_string(uint8_t out[CANONICAL_DIGEST], const plumb_json_t *json, uint32_t node,
                        plumb_buf_t *scratch)
{
    const plumb_json_node_t *n = &json->nodes[node];
    const char *text = json->text + n->start + 1;
    size_t length = n->end - n->start - 2;
    if (n->escaped) {
        plumb_buf_clear(scratch);
        plumb_buf_reserve(scratch, length + 1);
        ptrdiff_t decoded =
            scratch->failed ? -1 : plumb_json_string(json, node, scratch->data, scratch->capacity);
        if (decoded >= 0) { /* else: out of memory, and the spelling counts */
            text = scratch->data;
            length = (size_t)decoded;
        }
    }
    hash(out, PLUMB_JSON_STRING, text, length);
}

/* Add `more` to `sum`, as little endian numbers. */
static void add(uint8_t sum[CANONICAL_DIGEST], const uint8_t more[CANONICAL_DIGEST])
{
    sodium_add(sum, more, CANONICAL_DIGEST);
}

static void hash_object(uint8_t out[CANONICAL_DIGEST], const plumb_json_t *json, uint32_t node,
                        plumb_buf_t *scratch)
{
    uint8_t sum[CANONICAL_DIGEST] = {0};
    for (uint32_t at = node + 1; at < json->nodes[node].next; at = json->nodes[at + 1].next) {
        uint8_t pair[2 * CANONICAL_DIGEST], one[CANONICAL_DIGEST];
        hash_string(pair, json, at, scratch);
        canonical_digest(pair + CANONICAL_DIGEST, json, at + 1, scratch);
        hash(one, PLUMB_JSON_OBJECT, pair, sizeof pair);
        add(sum, one);
    }
    hash(out, PLUMB_JSON_OBJECT, sum, sizeof sum);
}

static void hash_array(uint8_t out[CANONICAL_DIGEST], const plumb_json_t *json, uint32_t node,
                       plumb_buf_t *scratch)
{
    uint8_t chain[2 * CANONICAL_DIGEST] = {0}; /* what came before, the next element */
    for (uint32_t at = node + 1; at < json->nodes[node].next; at = json->nodes[at].next) {
        canonical_digest(chain + CANONICAL_DIGEST, json, at, scratch);
        hash(chain, PLUMB_JSON_ARRAY, chain, sizeof chain);
    }
    hash(out, PLUMB_JSON_ARRAY, chain, CANONICAL_DIGEST);
}

void canonical_digest(uint8_t out[CANONICAL_DIGEST], const plumb_json_t *json, uint32_t node,
                      plumb_buf_t *scratch)
{
    const plumb_json_node_t *n = &json->nodes[node];
    switch (n->type) {
    case PLUMB_JSON_OBJECT:
        hash_object(out, json, node, scratch);
        break;
    case PLUMB_JSON_ARRAY:
        hash_array(out, json, node, scratch);
        break;
    case PLUMB_JSON_STRING:
        hash_string(out, json, node, scratch);
        break;
    case PLUMB_JSON_INTEGER:
        hash(out, n->type, &n->integer, sizeof n->integer);
        break;
    default: /* null, false, true, and reals as they are written */
        hash(out, n->type, json->text + n->start, n->end - n->start);
    }
}
