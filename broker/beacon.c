/* The beacon: this epoch stands, so much room is left, these queues and credentials are not to be
 * fed now. */
#include "state.h"

#include <string.h>

#define GAP_MS 10
#define MOVED_PART 10 /* a tenth of the memory come in or gone is worth a beacon */

static bool is_wanted(const broker_t *b)
{
    int64_t moved = b->held - b->beacon_held;
    int64_t part = b->set.memory / MOVED_PART;
    return b->beacon_wanted || moved > part || -moved > part || b->beacon_taken > part;
}

int64_t bk_beacon_due(const broker_t *b)
{
    return b->beacon_ms + (is_wanted(b) ? GAP_MS : b->set.beacon_every_ms);
}

static size_t closed_queues(const broker_t *b, plumb_slice_t *names)
{
    size_t count = 0;
    for (bk_node_t *at = bk_table_next(&b->queues, NULL); at != NULL;
         at = bk_table_next(&b->queues, at)) {
        const queue_t *queue = BK_OF(const queue_t, node, at);
        if (bk_queue_closed(b, queue))
            names[count++] = (plumb_slice_t){queue->name, strlen(queue->name)};
    }
    return count;
}

static size_t closed_lanes(broker_t *b, plumb_uuid_t *ids, int64_t *waits)
{
    size_t count = 0;
    for (bk_node_t *at = bk_table_next(&b->lanes, NULL); at != NULL && count < PLUMB_LANES_MAX;
         at = bk_table_next(&b->lanes, at)) {
        lane_t *lane = BK_OF(lane_t, node, at);
        if (lane->bytes > 0)
            bk_lane_share(b, lane);
        int64_t wait_ms = bk_lane_wait_ms(b, lane);
        if (wait_ms > 0) {
            ids[count] = lane->id;
            waits[count++] = wait_ms;
        }
    }
    return count;
}

void bk_beacon(broker_t *b)
{
    if (b->mode != BK_RUNS || b->now_ms < bk_beacon_due(b))
        return;
    plumb_slice_t names[BK_QUEUES_MAX];
    plumb_uuid_t ids[PLUMB_LANES_MAX];
    int64_t waits[PLUMB_LANES_MAX];
    plumb_note_t note = {.type = PLUMB_MSG_BEACON,
                         .name = {b->name, strlen(b->name)},
                         .epoch = b->epoch,
                         .room = bk_room(b),
                         .queues = names,
                         .queue_count = closed_queues(b, names),
                         .lanes = ids,
                         .lane_wait_ms = waits,
                         .lane_count = closed_lanes(b, ids, waits)};
    plumb_err_t err = {0};
    if (plumb_note_encode(&b->out, &note, &err) < 0)
        return;
    b->ports.beacon(b->ports.self, b->out.data, b->out.length);
    b->beacon_ms = b->now_ms;
    b->beacon_held = b->held;
    b->beacon_taken = 0;
    b->beacon_wanted = false;
}
