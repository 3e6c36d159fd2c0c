/* The bounded table. */
#include "cells.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 8

bool cells_init(cells_t *cells, size_t entry_size, size_t entries)
{
    *cells = (cells_t){.size = entry_size, .sets = (entries + WAYS - 1) / WAYS};
    randombytes_buf(cells->secret, sizeof cells->secret);
    cells->entries = calloc(cells->sets * WAYS, entry_size);
    return cells->entries != NULL;
}

void cells_fini(cells_t *cells)
{
    free(cells->entries);
    *cells = (cells_t){.size = 0};
}

static uint64_t hash(const cells_t *cells, const uint8_t key[CELL_KEY])
{
    uint64_t h;
    crypto_shorthash((uint8_t *)&h, key, CELL_KEY, cells->secret);
    return h;
}

void *cells_find(cells_t *cells, const void *key, size_t length, bool *fresh)
{
    uint8_t whole[CELL_KEY] = {0};
    assert(length <= CELL_KEY);
    memcpy(whole, key, length);
    char *set = cells->entries + hash(cells, whole) % cells->sets * WAYS * cells->size;
    cell_t *oldest = (cell_t *)set;
    for (size_t i = 0; i < WAYS; i++) {
        cell_t *c = (cell_t *)(set + i * cells->size);
        if (memcmp(c->key, whole, CELL_KEY) == 0) {
            *fresh = false;
            return c;
        }
        if (c->used < oldest->used)
            oldest = c;
    }
    memcpy(oldest->key, whole, CELL_KEY);
    *fresh = true;
    return oldest;
}

void *cells_at(cells_t *cells, size_t index)
{
    return index < cells->sets * WAYS ? cells->entries + index * cells->size : NULL;
}
