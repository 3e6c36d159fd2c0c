/* A table of tickets. */
#include "tickets.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 256

void tickets_fini(tickets_t *tickets)
{
    free(tickets->slots);
    *tickets = (tickets_t){0};
}

void tickets_clear(tickets_t *tickets)
{
    if (tickets->count > 0)
        memset(tickets->slots, 0, tickets->capacity * sizeof *tickets->slots);
    tickets->count = 0;
}

/* The tail of a version 7 id is random: it needs no further mixing but for ids made elsewhere. */
static size_t hash(const plumb_ticket_t *ticket)
{
    uint64_t tail;
    memcpy(&tail, ticket->delivery.b + 8, sizeof tail);
    tail = (tail ^ ticket->attempt) * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(tail >> 32);
}

static bool equal(const plumb_ticket_t *a, const plumb_ticket_t *b)
{
    return a->attempt == b->attempt && plumb_uuid_compare(&a->delivery, &b->delivery) == 0;
}

/* The ticket's slot, or the free one where it belongs. */
static tickets_slot_t *slot_of(const tickets_t *tickets, const plumb_ticket_t *ticket)
{
    size_t mask = tickets->capacity - 1;
    size_t i = hash(ticket) & mask;
    while (tickets->slots[i].ticket.attempt != 0 && !equal(&tickets->slots[i].ticket, ticket))
        i = (i + 1) & mask;
    return &tickets->slots[i];
}

uint32_t *tickets_find(const tickets_t *tickets, const plumb_ticket_t *ticket)
{
    if (tickets->count == 0)
        return NULL;
    tickets_slot_t *slot = slot_of(tickets, ticket);
    return slot->ticket.attempt != 0 ? &slot->value : NULL;
}

static bool grow(tickets_t *tickets)
{
    tickets_t larger = {.capacity = tickets->capacity > 0 ? 2 * tickets->capacity : FIRST_CAPACITY};
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (size_t i = 0; i < tickets->capacity; i++)
        if (tickets->slots[i].ticket.attempt != 0)
            *slot_of(&larger, &tickets->slots[i].ticket) = tickets->slots[i];
    larger.count = tickets->count;
    free(tickets->slots);
    *tickets = larger;
    return true;
}

uint32_t *tickets_enter(tickets_t *tickets, const plumb_ticket_t *ticket, uint32_t initial,
                        bool *added)
{
    if (added != NULL)
        *added = false;
    if (ticket->attempt == 0)
        return NULL;
    if (2 * (tickets->count + 1) > tickets->capacity && !grow(tickets))
        return NULL;
    tickets_slot_t *slot = slot_of(tickets, ticket);
    if (slot->ticket.attempt == 0) {
        *slot = (tickets_slot_t){*ticket, initial};
        tickets->count++;
        if (added != NULL)
            *added = true;
    }
    return &slot->value;
}
