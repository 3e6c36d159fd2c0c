/* Hash tables whose nodes live in their elements.  They grow and shrink with what they hold; when
 * memory is short they stay as they are and only get slower. */
#ifndef PLUMB_BROKER_TABLE_H
#define PLUMB_BROKER_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bk_node {
    struct bk_node *next;
    uint64_t hash;
} bk_node_t;

typedef struct bk_table {
    bk_node_t **buckets;
    size_t size; /* a power of two */
    size_t count;
    bool frozen; /* is not resized: nodes given by bk_table_next may be removed */
} bk_table_t;

typedef bool (*bk_same_fn)(const bk_node_t *node, const void *key);

bool bk_table_init(bk_table_t *table); /* false: out of memory */
void bk_table_fini(bk_table_t *table); /* safe on zeroes; the elements are the caller's */
bk_node_t *bk_table_find(const bk_table_t *table, uint64_t hash, bk_same_fn same, const void *key);
void bk_table_add(bk_table_t *table, bk_node_t *node, uint64_t hash); /* not there yet */
void bk_table_remove(bk_table_t *table, bk_node_t *node);             /* is there */

/* Go through all: start with NULL, end with NULL.  Nothing may be added meanwhile; removed only
 * while the table is frozen, after asking for the next one. */
bk_node_t *bk_table_next(const bk_table_t *table, const bk_node_t *node);

uint64_t bk_hash(uint64_t seed, const void *data, size_t length);

#endif
