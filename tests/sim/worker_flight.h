/* A flight file in memory. */
#ifndef PLUMB_SIM_WORKER_FLIGHT_H
#define PLUMB_SIM_WORKER_FLIGHT_H

#include "flight.h"
#include "sim.h"

#define FLIGHT_SLOTS (6 * SIM_CREDIT) /* as the worker makes it */

typedef struct flight_record {
    flight_phase_t phase;
    flight_call_t call;
    flight_note_t note; /* its texts lie in `text` */
    char text[FLIGHT_DETAIL_MAX + FLIGHT_EXTERNAL_MAX + FLIGHT_CHECKPOINT_MAX];
} flight_record_t;

typedef struct flight_file {
    uint64_t instance;
    flight_record_t records[FLIGHT_SLOTS];
} flight_file_t;

/* The file as a process opens it; the caller's to free. */
flight_t *flight_of(flight_file_t *file, int node);

#endif
