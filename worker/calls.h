/* The life of calls: assigned, step, request, reply, step, …, result. */
#ifndef PLUMB_WORKER_CALLS_H
#define PLUMB_WORKER_CALLS_H

#include "call.h"
#include "lease.h"
#include "results.h"
#include "unpack.h"
#include "watchdog.h"

typedef struct calls {
    net_t *net;
    plugins_t *plugins;
    flight_t *flight;
    results_t *results;
    lease_t *lease;
    watchdog_t *watchdog; /* NULL: steps are not watched */
    tickets_t by_ticket;
    call_t *first, *last; /* in the order they came */
    call_t *unused;       /* memory for the next ones */
    unsigned unused_count;
    size_t waiting;         /* calls that wait for the lease */
    plumb_held_t *returned; /* never begun and given up: RETURN is to be said; owned */
    size_t returned_count, returned_capacity;
    plumb_buf_t text, scratch, sealed, sealed_fields; /* of the result that is put together */
    unpack_space_t lead;                              /* its text, for the step that runs */
} calls_t;

int calls_init(calls_t *calls, size_t expected, plumb_err_t *err); /* members above by the caller */
void calls_fini(calls_t *calls);

/* net_hooks_t, whose owners are calls. */
bool call_may_send(void *self);
void call_done(void *self, const sent_t *sent);

/* Run the call's step, and what it asks for; or send what it asked for before. */
void call_run(call_t *call);
void call_send(call_t *call);
/* It is over: `ask` is the request to keep a record of, NULL none.  The call is gone afterwards. */
void call_finish(call_t *call, plumb_outcome_t outcome, const ask_t *ask);
void call_set_state(call_t *call, call_state_t state);
/* Take it out of every list and give back what it held; its flight record is the caller's. */
void calls_remove(calls_t *calls, call_t *call);

typedef enum take {
    TAKE_BEGUN,
    TAKE_KNOWN,
    TAKE_REFUSED /* no such channel, no room: return it */
} take_t;

/* A job that was handed to us; the frame it points into may go afterwards. */
take_t calls_take(calls_t *calls, const plumb_job_t *job);

/* The lease was renewed, or something was adopted: go on with what waited for it. */
void calls_resume(calls_t *calls);

/* Our work was given away, or its broker is gone: drop what has not begun; the rest starts no
 * further request until it is adopted. */
void calls_orphan(calls_t *calls);
void calls_adopt(calls_t *calls, uint64_t epoch, const plumb_held_t *held, size_t count);

/* Drop it if it has not begun.  False: it has, or is not ours. */
bool calls_recall(calls_t *calls, const plumb_ticket_t *ticket);

/* Shutting down: give back what has not begun; later, end what is still open. */
void calls_give_back(calls_t *calls);
void calls_cut(calls_t *calls);

/* End calls that waited too long for their adoption. */
void calls_expire(calls_t *calls, int64_t now_ms);

/* Has a request's first byte been let go?  Such a call is never given to another. */
bool call_is_begun(const call_t *call);
size_t calls_count(const calls_t *calls);

#endif
