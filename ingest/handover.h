/* May a delivery go to the broker at once, or must it wait in the table?  From the broker's newest
 * beacon; read by handler threads, written by the link's. */
#ifndef INGEST_HANDOVER_H
#define INGEST_HANDOVER_H

#include "msg.h"

typedef struct handover handover_t;
int handover_new(handover_t **ret, plumb_err_t *err);
void handover_destroy(handover_t **handover);

/* Take in a BEACON that came at `now_ms` (monotonic). */
void handover_beacon(handover_t *handover, const plumb_note_t *beacon, int64_t now_ms);

typedef enum handover_way {
    HANDOVER_OPEN,
    HANDOVER_FULL,  /* delivery is behind: as it goes on there is room again */
    HANDOVER_CLOSED /* paused, held, nobody there: for who knows how long */
} handover_way_t;

/* May jobs of this queue and credential be pushed?  HANDOVER_OPEN: under `epoch`. */
handover_way_t handover_way(handover_t *handover, const char *queue, const plumb_uuid_t *credential,
                            int64_t now_ms, uint64_t *epoch);

/* Set `bytes` of the broker's room aside for a job.  False: there is not that much. */
bool handover_reserve(handover_t *handover, size_t bytes);

/* Is the newest beacon fresh? */
bool handover_is_fresh(handover_t *handover, int64_t now_ms);

#endif
