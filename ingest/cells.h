/* A bounded table: sets of a few entries, the least recently used gives way.
 *
 * For what is asked about by strangers too, so that no flood of names makes it grow.  Entries begin
 * with a cell_t; the caller has the lock. */
#ifndef INGEST_CELLS_H
#define INGEST_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CELL_KEY 33

typedef struct cell {
    uint8_t key[CELL_KEY]; /* all zeroes: free */
    int64_t used;          /* monotonic; the caller raises it */
} cell_t;

typedef struct cells {
    char *entries; /* owned; zeroes until used, so that unused ones take no memory */
    size_t size;   /* of an entry */
    size_t sets;
    uint8_t secret[16]; /* nobody outside can choose names that share a set */
} cells_t;

/* False: out of memory. */
bool cells_init(cells_t *cells, size_t entry_size, size_t entries);
void cells_fini(cells_t *cells);

/* The entry of `key` (at most CELL_KEY bytes, not all zeroes).  Or, with `*fresh`, one that was
 * given another name: what it held before is still in it behind the cell_t, zeroes if nothing. */
void *cells_find(cells_t *cells, const void *key, size_t length, bool *fresh);

/* Every entry in turn; NULL behind the last. */
void *cells_at(cells_t *cells, size_t index);

#endif
