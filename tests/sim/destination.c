/* What the destination saw, and whether it may: each call against those before it. */
#include "sim.h"

#include <inttypes.h>
#include <string.h>

delivery_t *sim_delivery(const plumb_uuid_t *id)
{
    size_t i = id->b[15];
    return i < sim.delivery_count && memcmp(id, &sim.deliveries[i].id, sizeof *id) == 0
               ? &sim.deliveries[i]
               : NULL;
}

static int number_of(const delivery_t *d)
{
    return (int)(d - sim.deliveries);
}

/* May the delivery be called again after this? */
static bool may_repeat(const arrival_t *a)
{
    return a->excused || a->answer == ANSWER_NONE || (a->answer == ANSWER_NO && a->told);
}

static void check_arrival(const delivery_t *d, const arrival_t *now)
{
    int n = number_of(d);
    uint32_t current = db_attempt((size_t)n);
    if (now->attempt != current)
        sim_fail("delivery %d: attempt %" PRIu32 " is called by worker %d while %" PRIu32
                 " is current",
                 n, now->attempt, now->worker, current);
    for (size_t i = 0; i < d->arrival_count; i++) {
        const arrival_t *a = &d->arrivals[i];
        if (a->attempt == now->attempt)
            sim_fail("delivery %d: attempt %" PRIu32 " is called twice", n, now->attempt);
        else if (!may_repeat(a))
            sim_fail("delivery %d: called again (attempt %" PRIu32 ") after attempt %" PRIu32
                     " was answered and its worker lived",
                     n, now->attempt, a->attempt);
    }
}

void sim_arrives(const plumb_ticket_t *ticket, int worker, answer_t answer)
{
    delivery_t *d = sim_delivery(&ticket->delivery);
    arrival_t now = {.attempt = ticket->attempt, .worker = worker - WORKER, .answer = answer};
    sim_trace("worker-%d: calls %d, attempt %" PRIu32 ", will be answered %s", now.worker,
              number_of(d), now.attempt, (const char *[]){"yes", "no", "never"}[answer]);
    check_arrival(d, &now);
    if (d->arrival_count == SIM_ARRIVALS) {
        sim_fail("delivery %d is called for ever", number_of(d));
        return;
    }
    d->arrivals[d->arrival_count] = now;
    d->arrival_count++;
}

static arrival_t *find_arrival(const plumb_ticket_t *ticket)
{
    delivery_t *d = sim_delivery(&ticket->delivery);
    for (size_t i = 0; i < d->arrival_count; i++)
        if (d->arrivals[i].attempt == ticket->attempt)
            return &d->arrivals[i];
    return NULL;
}

void sim_noted(const plumb_ticket_t *ticket, int worker)
{
    arrival_t *a = find_arrival(ticket);
    if (a != NULL && a->worker == worker - WORKER)
        a->told = true;
}

/* With a host goes what nobody else knows yet. */
void sim_forget(const plumb_ticket_t *ticket, int worker)
{
    arrival_t *a = find_arrival(ticket);
    if (a == NULL || a->worker != worker - WORKER)
        return;
    a->excused = true;
    a->told = false;
}

void sim_acked(const plumb_ticket_t *ticket, int worker)
{
    arrival_t *a = find_arrival(ticket);
    if (a != NULL && a->worker == worker - WORKER)
        a->acked = a->told;
}

void sim_handed_over(const plumb_ticket_t *ticket)
{
    const delivery_t *d = sim_delivery(&ticket->delivery);
    for (size_t i = 0; i < d->arrival_count; i++)
        if (d->arrivals[i].answer == ANSWER_YES && d->arrivals[i].acked)
            sim_fail("delivery %d: handed over again although the success of attempt %" PRIu32
                     " was acknowledged",
                     number_of(d), d->arrivals[i].attempt);
}

/* Calls of a worker that dies: their answers are known to nobody. */
void sim_excuse_open(int node)
{
    for (size_t n = 0; n < sim.delivery_count; n++)
        for (size_t i = 0; i < sim.deliveries[n].arrival_count; i++) {
            arrival_t *a = &sim.deliveries[n].arrivals[i];
            if (a->worker == node - WORKER && !a->told)
                a->excused = true;
        }
}

/* Was the worker silent for so long that it may be given up? */
static bool is_given_up(int worker)
{
    const station_t *s = &sim.stations[WORKER + worker];
    return sim.now_ms >= s->bad_since_ms && sim.now_ms <= s->bad_until_ms;
}

void sim_lost(const plumb_ticket_t *ticket)
{
    arrival_t *a = find_arrival(ticket);
    bool any = false;
    sim_trace("tracker: %d, attempt %" PRIu32 " is lost", ticket->delivery.b[15], ticket->attempt);
    for (int worker = 0; worker < SIM_WORKERS; worker++)
        any = any || ((a == NULL || a->worker == worker) && is_given_up(worker));
    if (!any)
        sim_fail("delivery %d: attempt %" PRIu32 " is given up though its worker could be heard",
                 ticket->delivery.b[15], ticket->attempt);
    if (a != NULL)
        a->excused = true;
}

void sim_orphaned(const plumb_ticket_t *ticket)
{
    arrival_t *a = find_arrival(ticket);
    if (a != NULL && is_given_up(a->worker))
        a->excused = true;
}
