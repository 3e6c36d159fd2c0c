/* Step memory: a list of blocks, filled from the front. */
#include "arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define BLOCK_SIZE 4096

typedef struct arena_block {
    struct arena_block *next; /* older ones */
    size_t used, size;
    alignas(max_align_t) char data[];
} arena_block_t;

void *arena_take(arena_t *arena, size_t size)
{
    const size_t unit = alignof(max_align_t);
    if (size > (size_t)-1 / 2)
        return NULL;
    size = (size + unit - 1) / unit * unit;
    arena_block_t *block = arena->blocks;
    if (block == NULL || block->size - block->used < size) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        block = malloc(sizeof *block + room);
        if (block == NULL)
            return NULL;
        *block = (arena_block_t){.next = arena->blocks, .size = room};
        arena->blocks = block;
    }
    void *taken = block->data + block->used;
    block->used += size;
    return taken;
}

/* Free all blocks, or all but the oldest if that is of the usual size. */
static void drop(arena_t *arena, int keep)
{
    arena_block_t *block = arena->blocks;
    arena->blocks = NULL;
    while (block != NULL) {
        arena_block_t *older = block->next;
        if (keep && older == NULL && block->size == BLOCK_SIZE) {
            block->used = 0;
            arena->blocks = block;
            return;
        }
        free(block);
        block = older;
    }
}

void arena_clear(arena_t *arena)
{
    drop(arena, 1);
}

void arena_fini(arena_t *arena)
{
    drop(arena, 0);
}
