/* Timers: a binary heap by due time.  Room is reserved when a timer's owner is made, so that
 * setting one cannot fail. */
#ifndef PLUMB_BROKER_HEAP_H
#define PLUMB_BROKER_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bk_timer {
    int64_t due_ms;
    size_t place; /* 1 + index in the heap; 0: not set */
    void (*fire)(void *self, struct bk_timer *timer);
} bk_timer_t;

typedef struct bk_heap {
    bk_timer_t **items;
    size_t count, capacity, reserved;
} bk_heap_t;

bool bk_heap_reserve(bk_heap_t *heap); /* for one more timer; false: out of memory */
void bk_heap_release(bk_heap_t *heap); /* of one that is not set */
void bk_heap_fini(bk_heap_t *heap);
void bk_timer_set(bk_heap_t *heap, bk_timer_t *timer, int64_t due_ms); /* or move */
void bk_timer_unset(bk_heap_t *heap, bk_timer_t *timer);
bk_timer_t *bk_heap_first(const bk_heap_t *heap); /* NULL: none is set */

#endif
