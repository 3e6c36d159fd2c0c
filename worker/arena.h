/* Memory of one step, or of one request: small pieces, all given back at once in the end. */
#ifndef PLUMB_WORKER_ARENA_H
#define PLUMB_WORKER_ARENA_H

#include <stddef.h>

typedef struct arena {
    struct arena_block *blocks; /* owned; the first one is kept by arena_clear */
} arena_t;

/* `size` bytes, aligned for any type; NULL when out of memory. */
void *arena_take(arena_t *arena, size_t size);

/* What may be written at once where the next arena_take will be: at least `least` bytes, their
 * number goes to `size`.  NULL when out of memory. */
void *arena_peek(arena_t *arena, size_t least, size_t *size);

/* Give back what was taken. */
void arena_clear(arena_t *arena);
void arena_fini(arena_t *arena);

#endif
