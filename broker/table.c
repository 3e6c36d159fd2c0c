/* Chained hash tables (table.h). */
#include "table.h"

#include <stdlib.h>
#include <string.h>

#define SIZE_MIN ((size_t)64)

bool bk_table_init(bk_table_t *table)
{
    *table = (bk_table_t){.buckets = calloc(SIZE_MIN, sizeof(bk_node_t *)), .size = SIZE_MIN};
    return table->buckets != NULL;
}

void bk_table_fini(bk_table_t *table)
{
    free(table->buckets);
    *table = (bk_table_t){0};
}

static void resize(bk_table_t *table, size_t size)
{
    bk_node_t **buckets = calloc(size, sizeof(bk_node_t *));
    if (buckets == NULL)
        return;
    for (size_t i = 0; i < table->size; i++) {
        for (bk_node_t *node = table->buckets[i], *next = NULL; node != NULL; node = next) {
            next = node->next;
            node->next = buckets[node->hash & (size - 1)];
            buckets[node->hash & (size - 1)] = node;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->size = size;
}

bk_node_t *bk_table_find(const bk_table_t *table, uint64_t hash, bk_same_fn same, const void *key)
{
    bk_node_t *node = table->buckets[hash & (table->size - 1)];
    while (node != NULL && !(node->hash == hash && same(node, key)))
        node = node->next;
    return node;
}

void bk_table_add(bk_table_t *table, bk_node_t *node, uint64_t hash)
{
    if (table->count >= table->size)
        resize(table, table->size * 2);
    node->hash = hash;
    node->next = table->buckets[hash & (table->size - 1)];
    table->buckets[hash & (table->size - 1)] = node;
    table->count++;
}

void bk_table_remove(bk_table_t *table, bk_node_t *node)
{
    bk_node_t **place = &table->buckets[node->hash & (table->size - 1)];
    while (*place != node)
        place = &(*place)->next;
    *place = node->next;
    node->next = NULL;
    table->count--;
    if (!table->frozen && table->size > SIZE_MIN && table->count < table->size / 8)
        resize(table, table->size / 4);
}

bk_node_t *bk_table_next(const bk_table_t *table, const bk_node_t *node)
{
    if (node != NULL && node->next != NULL)
        return node->next;
    size_t i = node == NULL ? 0 : (node->hash & (table->size - 1)) + 1;
    while (i < table->size && table->buckets[i] == NULL)
        i++;
    return i < table->size ? table->buckets[i] : NULL;
}

/* Mixes eight bytes at a time; the seed keeps keys from being chosen to collide. */
uint64_t bk_hash(uint64_t seed, const void *data, size_t length)
{
    const unsigned char *at = data;
    uint64_t h = seed ^ (length * 0x9e3779b97f4a7c15u);
    while (length > 0) {
        uint64_t word = 0;
        size_t n = length < sizeof word ? length : sizeof word;
        memcpy(&word, at, n);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
        at += n;
        length -= n;
    }
    h *= 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 29);
}
