/* What a worker holds, found by its ticket: calls and kept results. */
#ifndef PLUMB_WORKER_TICKETS_H
#define PLUMB_WORKER_TICKETS_H

#include "msg.h"

#include <stddef.h>

typedef struct ticket_entry {
    struct ticket_entry *next; /* in its bucket */
    plumb_ticket_t ticket;
} ticket_entry_t;

typedef struct tickets {
    ticket_entry_t **buckets; /* owned */
    size_t mask, count;
} tickets_t;

/* Room for about `expected` entries; more only take longer to find.  -1: out of memory. */
int tickets_init(tickets_t *tickets, size_t expected);
void tickets_fini(tickets_t *tickets); /* entries are their owners' */

void tickets_add(tickets_t *tickets, ticket_entry_t *entry);
ticket_entry_t *tickets_find(const tickets_t *tickets, const plumb_ticket_t *ticket);
void tickets_remove(tickets_t *tickets, ticket_entry_t *entry);

#endif
