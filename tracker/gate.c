/* The newest beacon. */
#include "gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gate_fini(gate_t *g)
{
    free(g->queues);
    free(g->lanes);
    *g = (gate_t){0};
}

static int compare(const void *left, const void *right)
{
    return plumb_uuid_compare(&((const gate_lane_t *)left)->id, &((const gate_lane_t *)right)->id);
}

static bool reserve(gate_t *g, size_t queues, size_t lanes)
{
    if (queues > g->queue_capacity) {
        void *larger = realloc(g->queues, queues * sizeof *g->queues);
        if (larger == NULL)
            return false;
        g->queues = larger;
        g->queue_capacity = queues;
    }
    if (lanes > g->lane_capacity) {
        void *larger = realloc(g->lanes, lanes * sizeof *g->lanes);
        if (larger == NULL)
            return false;
        g->lanes = larger;
        g->lane_capacity = lanes;
    }
    return true;
}

static int64_t bounded(int64_t wait_ms)
{
    const int64_t day = INT64_C(86400000);
    return wait_ms < 0 ? 0 : wait_ms < day ? wait_ms : day;
}

bool gate_opens(const gate_t *g, const plumb_note_t *beacon)
{
    return (g->room <= 0 && beacon->room > 0) || beacon->lane_count < g->lane_count ||
           beacon->queue_count < g->queue_count;
}

bool gate_beacon(gate_t *g, const plumb_note_t *beacon, int64_t now_ms)
{
    g->epoch = 0;
    if (!reserve(g, beacon->queue_count, beacon->lane_count))
        return false;
    for (size_t i = 0; i < beacon->queue_count; i++)
        snprintf(g->queues[i], GATE_QUEUE_SIZE, "%.*s", (int)beacon->queues[i].length,
                 beacon->queues[i].data);
    for (size_t i = 0; i < beacon->lane_count; i++)
        g->lanes[i] = (gate_lane_t){beacon->lanes[i], now_ms + bounded(beacon->lane_wait_ms[i])};
    g->queue_count = beacon->queue_count;
    g->lane_count = beacon->lane_count;
    if (g->lane_count > 1)
        qsort(g->lanes, g->lane_count, sizeof *g->lanes, compare);
    g->epoch = beacon->epoch;
    g->room = beacon->room;
    g->at_ms = now_ms;
    return true;
}

bool gate_is_fresh(const gate_t *g, int64_t now_ms)
{
    return g->epoch != 0 && now_ms - g->at_ms < GATE_FRESH_MS;
}

bool gate_queue_is_open(const gate_t *g, const char *queue)
{
    for (size_t i = 0; i < g->queue_count; i++)
        if (strcmp(g->queues[i], queue) == 0)
            return false;
    return true;
}

int64_t gate_lane_wait_ms(const gate_t *g, const plumb_uuid_t *credential, int64_t now_ms)
{
    gate_lane_t key = {.id = *credential};
    const gate_lane_t *lane =
        g->lane_count == 0 ? NULL : bsearch(&key, g->lanes, g->lane_count, sizeof key, compare);
    if (lane == NULL)
        return 0;
    return lane->opens_ms > now_ms ? lane->opens_ms - now_ms : 1;
}
