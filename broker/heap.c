/* Timers by due time (heap.h). */
#include "heap.h"

#include <stdlib.h>

bool bk_heap_reserve(bk_heap_t *heap)
{
    if (heap->reserved == heap->capacity) {
        size_t capacity = heap->capacity == 0 ? 64 : heap->capacity * 2;
        bk_timer_t **items = realloc(heap->items, capacity * sizeof(bk_timer_t *));
        if (items == NULL)
            return false;
        heap->items = items;
        heap->capacity = capacity;
    }
    heap->reserved++;
    return true;
}

void bk_heap_release(bk_heap_t *heap)
{
    heap->reserved--;
}

void bk_heap_fini(bk_heap_t *heap)
{
    free(heap->items);
    *heap = (bk_heap_t){0};
}

static void put(bk_heap_t *heap, size_t index, bk_timer_t *timer)
{
    heap->items[index] = timer;
    timer->place = index + 1;
}

static void rise(bk_heap_t *heap, size_t index)
{
    bk_timer_t *timer = heap->items[index];
    while (index > 0 && heap->items[(index - 1) / 2]->due_ms > timer->due_ms) {
        put(heap, index, heap->items[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    put(heap, index, timer);
}

static void sink(bk_heap_t *heap, size_t index)
{
    bk_timer_t *timer = heap->items[index];
    for (size_t child = index * 2 + 1; child < heap->count; child = index * 2 + 1) {
        if (child + 1 < heap->count && heap->items[child + 1]->due_ms < heap->items[child]->due_ms)
            child++;
        if (heap->items[child]->due_ms >= timer->due_ms)
            break;
        put(heap, index, heap->items[child]);
        index = child;
    }
    put(heap, index, timer);
}

void bk_timer_set(bk_heap_t *heap, bk_timer_t *timer, int64_t due_ms)
{
    timer->due_ms = due_ms;
    if (timer->place == 0)
        put(heap, heap->count++, timer);
    rise(heap, timer->place - 1);
    sink(heap, timer->place - 1);
}

void bk_timer_unset(bk_heap_t *heap, bk_timer_t *timer)
{
    if (timer->place == 0)
        return;
    size_t index = timer->place - 1;
    timer->place = 0;
    bk_timer_t *last = heap->items[--heap->count];
    if (last == timer)
        return;
    put(heap, index, last);
    rise(heap, index);
    sink(heap, last->place - 1);
}

bk_timer_t *bk_heap_first(const bk_heap_t *heap)
{
    return heap->count == 0 ? NULL : heap->items[0];
}
