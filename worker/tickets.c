/* A hash table of tickets. */
#include "tickets.h"

#include <stdlib.h>
#include <string.h>

int tickets_init(tickets_t *tickets, size_t expected)
{
    size_t size = 64;
    while (size < expected)
        size *= 2;
    *tickets = (tickets_t){.buckets = calloc(size, sizeof(ticket_entry_t *)), .mask = size - 1};
    return tickets->buckets != NULL ? 0 : -1;
}

void tickets_fini(tickets_t *tickets)
{
    free(tickets->buckets);
    *tickets = (tickets_t){0};
}

static ticket_entry_t **place_of(const tickets_t *tickets, const plumb_ticket_t *ticket)
{
    uint64_t hash;
    memcpy(&hash, ticket->delivery.b + 8, sizeof hash); /* the random half of the id */
    hash = (hash ^ hash >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    ticket_entry_t **place = &tickets->buckets[(hash >> 32 ^ hash) & tickets->mask];
    while (*place != NULL &&
           ((*place)->ticket.attempt != ticket->attempt ||
            plumb_uuid_compare(&(*place)->ticket.delivery, &ticket->delivery) != 0))
        place = &(*place)->next;
    return place;
}

void tickets_add(tickets_t *tickets, ticket_entry_t *entry)
{
    ticket_entry_t **place = place_of(tickets, &entry->ticket);
    entry->next = *place;
    *place = entry;
    tickets->count++;
}

ticket_entry_t *tickets_find(const tickets_t *tickets, const plumb_ticket_t *ticket)
{
    return *place_of(tickets, ticket);
}

void tickets_remove(tickets_t *tickets, ticket_entry_t *entry)
{
    ticket_entry_t **place = place_of(tickets, &entry->ticket);
    if (*place != entry)
        return;
    *place = entry->next;
    tickets->count--;
}
