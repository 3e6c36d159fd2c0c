/* Step memory: a list of blocks, filled from the front. */
#include "arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define FIRST_SIZE 1024 /* nearly always enough; kept between uses */
#define BLOCK_SIZE 4096

typedef struct arena_block {
    struct arena_block *next; /* older ones */
    size_t used, size;
    alignas(max_align_t) char data[];
} arena_block_t;

/* Make sure that the first block has `size` bytes left. */
static arena_block_t *reserve(arena_t *arena, size_t size)
{
    arena_block_t *block = arena->blocks;
    if (block != NULL && block->size - block->used >= size)
        return block;
    size_t usual = block == NULL ? FIRST_SIZE : BLOCK_SIZE, room = size > usual ? size : usual;
    block = size <= (size_t)-1 / 2 ? malloc(sizeof *block + room) : NULL;
    if (block == NULL)
        return NULL;
    *block = (arena_block_t){.next = arena->blocks, .size = room};
    arena->blocks = block;
    return block;
}

void *arena_take(arena_t *arena, size_t size)
{
    const size_t unit = alignof(max_align_t);
    size = size <= (size_t)-1 / 2 ? (size + unit - 1) / unit * unit : size;
    arena_block_t *block = reserve(arena, size);
    if (block == NULL)
        return NULL;
    void *taken = block->data + block->used;
    block->used += size;
    return taken;
}

void *arena_peek(arena_t *arena, size_t least, size_t *size)
{
    arena_block_t *block = reserve(arena, least);
    if (block == NULL)
        return NULL;
    *size = block->size - block->used;
    return block->data + block->used;
}

/* Free all blocks, or all but the oldest if that is of its usual size. */
static void drop(arena_t *arena, int keep)
{
    arena_block_t *block = arena->blocks;
    arena->blocks = NULL;
    while (block != NULL) {
        arena_block_t *older = block->next;
        if (keep && older == NULL && block->size == FIRST_SIZE) {
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
