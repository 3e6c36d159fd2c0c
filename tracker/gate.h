/* What the broker's newest beacon lets through.  Pure. */
#ifndef PLUMB_TRACKER_GATE_H
#define PLUMB_TRACKER_GATE_H

#include "msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GATE_FRESH_MS 3000 /* an older beacon lets nothing through */
#define GATE_QUEUE_SIZE 256

typedef struct gate_lane {
    plumb_uuid_t id;
    int64_t opens_ms;
} gate_lane_t;

typedef struct gate {
    uint64_t epoch; /* 0: no beacon yet */
    int64_t room;   /* bytes, less what was pushed since the beacon */
    int64_t at_ms;
    char (*queues)[GATE_QUEUE_SIZE]; /* owned: closed ones */
    size_t queue_count, queue_capacity;
    gate_lane_t *lanes; /* owned: closed ones, sorted by id */
    size_t lane_count, lane_capacity;
} gate_t;

void gate_fini(gate_t *g);

/* Would this beacon open what is shut now?  Told by how much is shut: one that shuts as much as it
 * opens is not noticed. */
bool gate_opens(const gate_t *g, const plumb_note_t *beacon);

/* Take over a beacon.  False: out of memory; the gate is shut. */
bool gate_beacon(gate_t *g, const plumb_note_t *beacon, int64_t now_ms);

bool gate_is_fresh(const gate_t *g, int64_t now_ms);
bool gate_queue_is_open(const gate_t *g, const char *queue);

/* How long the lane stays closed yet; 0: open. */
int64_t gate_lane_wait_ms(const gate_t *g, const plumb_uuid_t *credential, int64_t now_ms);

#endif
