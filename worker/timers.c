/* The heap of deadlines. */
#include "timers.h"

#include <stdlib.h>

static void put(timers_t *t, size_t place, due_t *due)
{
    t->heap[place - 1] = due;
    due->place = place;
}

static void sift(timers_t *t, due_t *due)
{
    size_t place = due->place;
    while (place > 1 && t->heap[place / 2 - 1]->at_ms > due->at_ms) {
        put(t, place, t->heap[place / 2 - 1]);
        place /= 2;
    }
    for (size_t child; (child = place * 2) <= t->count; place = child) {
        if (child < t->count && t->heap[child]->at_ms < t->heap[child - 1]->at_ms)
            child++;
        if (t->heap[child - 1]->at_ms >= due->at_ms)
            break;
        put(t, place, t->heap[child - 1]);
    }
    put(t, place, due);
}

static int reserve(timers_t *t)
{
    if (t->count < t->capacity)
        return 0;
    size_t capacity = t->capacity == 0 ? 16 : t->capacity * 2;
    due_t **heap = realloc(t->heap, capacity * sizeof(due_t *));
    if (heap == NULL)
        return -1;
    t->heap = heap;
    t->capacity = capacity;
    return 0;
}

int timers_set(timers_t *t, due_t *due, int64_t at_ms)
{
    if (due->place == 0) {
        if (reserve(t) != 0)
            return -1;
        put(t, ++t->count, due);
    }
    due->at_ms = at_ms;
    sift(t, due);
    return 0;
}

void timers_unset(timers_t *t, due_t *due)
{
    if (due->place == 0)
        return;
    due_t *last = t->heap[--t->count];
    if (last != due) {
        put(t, due->place, last);
        sift(t, last);
    }
    due->place = 0;
}

due_t *timers_first(const timers_t *t)
{
    return t->count > 0 ? t->heap[0] : NULL;
}

void timers_fini(timers_t *t)
{
    free(t->heap);
    *t = (timers_t){0};
}
