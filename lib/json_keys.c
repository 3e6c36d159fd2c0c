/* Doubled keys: each against those it may equal while there are few, by sorting when there are
 * many, so that no document takes more than n log n. */
#include "json_keys.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FEW 48

/* Decoded bytes of a key. */
typedef struct key {
    const char *at; /* in the text, or `memory` when it holds escapes */
    size_t length;
    char memory[PLUMB_JSON_KEY_MAX + 1];
} json_key_t;

static void take_key(json_key_t *key, const plumb_json_t *json, uint32_t node)
{
    const plumb_json_node_t *n = &json->nodes[node];
    key->at = json->text + n->start + 1;
    key->length = n->end - n->start - 2;
    if (!n->escaped)
        return;
    key->length = (size_t)plumb_json_string(json, node, key->memory, sizeof key->memory);
    key->at = key->memory;
}

/* Any order of keys will do, if only equal ones come together. */
static int compare(const void *a, const void *b, void *self)
{
    uint32_t a_node = *(const uint32_t *)a, b_node = *(const uint32_t *)b;
    json_key_t a_key, b_key;
    const plumb_json_t *json = *(const plumb_json_t *const *)self;
    take_key(&a_key, json, a_node);
    take_key(&b_key, json, b_node);
    if (a_key.length != b_key.length)
        return a_key.length < b_key.length ? -1 : 1;
    return memcmp(a_key.at, b_key.at, a_key.length);
}

static uint32_t doubled_of_many(const plumb_json_t *json, uint32_t object)
{
    uint32_t keys[PLUMB_JSON_VALUES_MAX];
    uint32_t count = json->nodes[object].count, node = object + 1;
    for (uint32_t i = 0; i < count; i++, node = json->nodes[node + 1].next)
        keys[i] = node;
    qsort_r(keys, count, sizeof keys[0], compare, &json);
    for (uint32_t i = 1; i < count; i++)
        if (compare(&keys[i - 1], &keys[i], &json) == 0)
            return keys[i - 1] > keys[i] ? keys[i - 1] : keys[i];
    return 0;
}

static bool is_equal(const plumb_json_t *json, const plumb_json_node_t *a,
                     const plumb_json_node_t *b)
{
    uint32_t length = a->end - a->start;
    return length == b->end - b->start &&
           memcmp(json->text + a->start, json->text + b->start, length) == 0;
}

/* One bit of 64 for a key: two keys with different bits differ. */
static uint64_t mark_of(const char *text, const plumb_json_node_t *key)
{
    const char *at = text + key->start; /* two quotes at least */
    size_t length = key->end - key->start;
    unsigned sum = (unsigned char)at[1] * 3U + (unsigned char)at[length / 2] * 5U +
                   (unsigned char)at[length - 2] * 7U + (unsigned)length * 11U;
    return UINT64_C(1) << (sum & 63);
}

static bool is_among(const plumb_json_t *json, const plumb_json_node_t *key,
                     const plumb_json_node_t *const *keys, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (is_equal(json, key, keys[i]))
            return true;
    return false;
}

uint32_t plumb_json_doubled(const plumb_json_t *json, uint32_t object)
{
    const plumb_json_node_t *keys[FEW];
    uint32_t count = json->nodes[object].count, node = object + 1;
    uint64_t marks = 0;
    if (count > FEW)
        return doubled_of_many(json, object);
    for (uint32_t i = 0; i < count; i++, node = json->nodes[node + 1].next) {
        keys[i] = &json->nodes[node];
        if (keys[i]->escaped)
            return doubled_of_many(json, object);
        uint64_t mark = mark_of(json->text, keys[i]);
        if ((marks & mark) != 0 && is_among(json, keys[i], keys, i))
            return node;
        marks |= mark;
    }
    return 0;
}
