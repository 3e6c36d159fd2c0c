/* Tickets with a number each: an open-addressing table that only grows until it is cleared. */
#ifndef PLUMB_TRACKER_TICKETS_H
#define PLUMB_TRACKER_TICKETS_H

#include "msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tickets_slot {
    plumb_ticket_t ticket; /* attempt 0: free */
    uint32_t value;
} tickets_slot_t;

typedef struct tickets {
    tickets_slot_t *slots; /* owned */
    size_t capacity;       /* a power of two, or 0 */
    size_t count;
} tickets_t;

void tickets_fini(tickets_t *tickets);
void tickets_clear(tickets_t *tickets); /* keeps the memory */

/* Where the ticket's value is, or NULL. */
uint32_t *tickets_find(const tickets_t *tickets, const plumb_ticket_t *ticket);

/* The same, entered with value `initial` when it was not there (`added`, may be NULL, says so).
 * NULL: out of memory, or attempt 0, which no hand-over has. */
uint32_t *tickets_enter(tickets_t *tickets, const plumb_ticket_t *ticket, uint32_t initial,
                        bool *added);

#endif
