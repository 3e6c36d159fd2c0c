/* Attempts that are queued for nothing: the broker is asked to drop them, a few times. */
#ifndef PLUMB_TRACKER_RECALL_H
#define PLUMB_TRACKER_RECALL_H

#include "msg.h"

#include <stddef.h>
#include <stdint.h>

typedef struct tracker tracker_t;

#define RECALLS_MAX 1024 /* beyond that, the call decides itself */

typedef struct recall_entry {
    plumb_ticket_t ticket;
    unsigned tries;
    int64_t at_ms; /* of the next try */
} recall_entry_t;

typedef struct recall {
    recall_entry_t entries[RECALLS_MAX];
    size_t count;
} recall_t;

void recall_add(recall_t *r, const plumb_ticket_t *ticket);
void recall_answered(recall_t *r, const plumb_ticket_t *ticket); /* RECALLED, or its result */
void recall_work(tracker_t *t);
int64_t recall_next_ms(const recall_t *r); /* when there is work; INT64_MAX: never */

#endif
