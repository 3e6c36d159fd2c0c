/* Asking for attempts back. */
#include "recall.h"

#include "tracker.h"

#include <string.h>

#define TRIES_MAX 5
#define EVERY_MS 1000

static recall_entry_t *find(recall_t *r, const plumb_ticket_t *ticket)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->entries[i].ticket.attempt == ticket->attempt &&
            plumb_uuid_compare(&r->entries[i].ticket.delivery, &ticket->delivery) == 0)
            return &r->entries[i];
    return NULL;
}

void recall_add(recall_t *r, const plumb_ticket_t *ticket)
{
    if (r->count < RECALLS_MAX && find(r, ticket) == NULL)
        r->entries[r->count++] = (recall_entry_t){.ticket = *ticket};
}

void recall_answered(recall_t *r, const plumb_ticket_t *ticket)
{
    recall_entry_t *entry = find(r, ticket);
    if (entry != NULL)
        *entry = r->entries[--r->count];
}

void recall_work(tracker_t *t)
{
    recall_t *r = &t->recall;
    plumb_held_t held[RECALLS_MAX];
    size_t count = 0;
    for (size_t i = r->count; i-- > 0;) {
        recall_entry_t *entry = &r->entries[i];
        if (entry->at_ms > t->now_ms)
            continue;
        if (entry->tries++ == TRIES_MAX) {
            *entry = r->entries[--r->count];
            continue;
        }
        entry->at_ms = t->now_ms + EVERY_MS;
        held[count++] = (plumb_held_t){.ticket = entry->ticket};
    }
    links_send_list(&t->links, t->links.control, (plumb_note_t){.type = PLUMB_MSG_RECALL}, held,
                    count);
}

int64_t recall_next_ms(const recall_t *r)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < r->count; i++)
        if (r->entries[i].at_ms < next)
            next = r->entries[i].at_ms;
    return next;
}
