/* A short hash of each value's one spelling: scalars as they are written, escapes in one way only;
 * containers by the hashes of what they hold. Members are added up, so that their order does not
 * show. */
#include "canonical.h"

#include <sodium.h>
#include <string.h>

_Static_assert(CANONICAL_DIGEST == crypto_shorthash_siphashx24_BYTES, "one hash, one digest");

/* What a hash is of, so that no object can pass for an array. */
typedef enum kind { KIND_SCALAR, KIND_PAIR, KIND_OBJECT, KIND_ARRAY } kind_t;

static void hash(uint8_t out[CANONICAL_DIGEST], kind_t kind, const void *data, size_t length)
{
    const uint8_t key[crypto_shorthash_siphashx24_KEYBYTES] = {(uint8_t)kind};
    crypto_shorthash_siphashx24(out, data, length, key);
}

static bool is_container(const plumb_json_node_t *node)
{
    return node->type == PLUMB_JSON_OBJECT || node->type == PLUMB_JSON_ARRAY;
}

/* Append a scalar's spelling. */
static void put_scalar(plumb_buf_t *out, const plumb_json_t *json, uint32_t node)
{
    const plumb_json_node_t *n = &json->nodes[node];
    size_t length = n->end - n->start;
    if (!n->escaped) {
        plumb_buf_put(out, json->text + n->start, length);
        return;
    }
    plumb_buf_t decoded = {0};
    plumb_buf_reserve(&decoded, length);
    ptrdiff_t size =
        decoded.failed ? -1 : plumb_json_string(json, node, decoded.data, decoded.capacity);
    if (size >= 0)
        plumb_buf_json(out, decoded.data, (size_t)size);
    else
        out->failed = true;
    plumb_buf_fini(&decoded);
}

/* A member whose value is a scalar is hashed in one go; most are, and most come without blanks and
 * escapes, so that nothing need be copied. */
static void hash_plain_member(uint8_t out[CANONICAL_DIGEST], const plumb_json_t *json, uint32_t key,
                              plumb_buf_t *scratch)
{
    const plumb_json_node_t *k = &json->nodes[key], *v = &json->nodes[key + 1];
    if (!k->escaped && !v->escaped && v->start == k->end + 1) {
        hash(out, KIND_PAIR, json->text + k->start, v->end - k->start);
        return;
    }
    plumb_buf_clear(scratch);
    put_scalar(scratch, json, key);
    plumb_buf_put(scratch, ":", 1);
    put_scalar(scratch, json, key + 1);
    hash(out, KIND_PAIR, scratch->data, scratch->length);
}

static void hash_member(uint8_t out[CANONICAL_DIGEST], const plumb_json_t *json, uint32_t key,
                        plumb_buf_t *scratch)
{
    uint8_t value[CANONICAL_DIGEST];
    if (!is_container(&json->nodes[key + 1])) {
        hash_plain_member(out, json, key, scratch);
        return;
    }
    canonical_digest(value, json, key + 1, scratch);
    plumb_buf_clear(scratch);
    put_scalar(scratch, json, key);
    plumb_buf_put(scratch, value, sizeof value);
    hash(out, KIND_PAIR, scratch->data, scratch->length);
}

static void hash_object(uint8_t out[CANONICAL_DIGEST], const plumb_json_t *json, uint32_t node,
                        plumb_buf_t *scratch)
{
    uint64_t sum[2] = {0}, one[2];
    for (uint32_t at = node + 1; at < json->nodes[node].next; at = json->nodes[at + 1].next) {
        hash_member((uint8_t *)one, json, at, scratch);
        sum[0] += one[0];
        sum[1] += one[1];
    }
    hash(out, KIND_OBJECT, sum, sizeof sum);
}

static void hash_array(uint8_t out[CANONICAL_DIGEST], const plumb_json_t *json, uint32_t node,
                       plumb_buf_t *scratch)
{
    uint8_t chain[2 * CANONICAL_DIGEST] = {0}; /* what came before, the next element */
    for (uint32_t at = node + 1; at < json->nodes[node].next; at = json->nodes[at].next) {
        canonical_digest(chain + CANONICAL_DIGEST, json, at, scratch);
        hash(chain, KIND_ARRAY, chain, sizeof chain);
    }
    hash(out, KIND_ARRAY, chain, CANONICAL_DIGEST);
}

void canonical_digest(uint8_t out[CANONICAL_DIGEST], const plumb_json_t *json, uint32_t node,
                      plumb_buf_t *scratch)
{
    switch (json->nodes[node].type) {
    case PLUMB_JSON_OBJECT:
        hash_object(out, json, node, scratch);
        break;
    case PLUMB_JSON_ARRAY:
        hash_array(out, json, node, scratch);
        break;
    default:
        plumb_buf_clear(scratch);
        put_scalar(scratch, json, node);
        hash(out, KIND_SCALAR, scratch->data, scratch->length);
    }
}
