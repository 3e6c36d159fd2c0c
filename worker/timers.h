/* Deadlines of many things, the nearest at hand: a binary heap of members of those things. */
#ifndef PLUMB_WORKER_TIMERS_H
#define PLUMB_WORKER_TIMERS_H

#include <stddef.h>
#include <stdint.h>

typedef struct due {
    int64_t at_ms;
    size_t place; /* in the heap, from 1; 0: not in it */
    void *owner;
} due_t;

typedef struct timers {
    due_t **heap; /* owned */
    size_t count, capacity;
} timers_t;

/* Set or move a deadline.  -1: out of memory, nothing changed. */
int timers_set(timers_t *timers, due_t *due, int64_t at_ms);
void timers_unset(timers_t *timers, due_t *due);

/* The nearest one, or NULL. */
due_t *timers_first(const timers_t *timers);
void timers_fini(timers_t *timers);

#endif
