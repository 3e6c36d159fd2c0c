/* A real plumb-tracker on a database of its own, and all that it talks to, played by the test: the
 * broker, a worker, an ingest. */
#ifndef PLUMB_TESTS_TRACKER_WORLD_H
#define PLUMB_TESTS_TRACKER_WORLD_H

#include "account.h"
#include "msg.h"
#include "sock.h"

#include <sys/types.h>

#define WORLD_WAIT_MS 20000 /* until what must come has come; a loaded machine is slow */

typedef struct world {
    account_t *account;
    plumb_uuid_t credential;
    pid_t tracker; /* 0: not running */
    const char *settings[16];
    zsock_t *jobs, *control, *beacon; /* the broker's */
    zsock_t *results, *acks;          /* the worker's, the ingest's */
    plumb_buf_t frame;
    zmq_msg_t last; /* what the last message that was waited for points into */
    bool has_last;
    plumb_note_space_t space;
    uint8_t peer[64]; /* identity of the tracker on `control` */
    size_t peer_length;
} world_t;

/* With the tracker's settings "key=value" (NULL ends them); the tracker runs and has been heard. */
world_t *world_new(const char *const settings[]);
void world_destroy(world_t **world);

void world_start(world_t *w);     /* the tracker, again */
void world_kill(world_t *w);      /* kill -9 */
int world_stop(world_t *w);       /* TERM; its exit status */
void world_connected(world_t *w); /* wait until the tracker hears and is heard */

/* A delivery of a new lead in `state` under `attempt` and `epoch`; `more`: further settings of its
 * row as SQL, or NULL. */
plumb_ticket_t world_delivery(world_t *w, const char *state, uint32_t attempt, uint64_t epoch,
                              const char *more);
/* Is "SELECT <what> FROM deliveries WHERE id = …" this?  Waits for it. */
void world_becomes(world_t *w, const plumb_ticket_t *ticket, const char *what, const char *value);
bool world_is(world_t *w, const plumb_ticket_t *ticket, const char *what, const char *value);

/* ---- sending ---- */
void world_result(world_t *w, const plumb_ticket_t *ticket, plumb_outcome_t outcome,
                  const plumb_result_t *more); /* `more` may be NULL */
void world_note(world_t *w, zsock_t *sock, const plumb_note_t *note);
void world_beacon(world_t *w, uint64_t epoch, int64_t room); /* of broker-0 */
void world_answer(world_t *w, const plumb_note_t *note);     /* on `control`, to the tracker */

/* ---- receiving ---- */

/* The next note of `type` on `sock` within WORLD_WAIT_MS; `heartbeat` (NULL: none) is sent every
 * 200 ms while it waits. */
typedef void (*world_beat)(world_t *w);
plumb_note_t world_wait(world_t *w, zsock_t *sock, plumb_msg_type_t type, world_beat beat);

/* Wait until `ticket` is acked. */
void world_acked(world_t *w, const plumb_ticket_t *ticket);

/* Does an ack of `ticket` come within `ms`? */
bool world_acks_within(world_t *w, const plumb_ticket_t *ticket, int ms);

/* The next job; the job's slices are valid until the next message is waited for. */
plumb_job_t world_job(world_t *w, world_beat beat);
bool world_job_within(world_t *w, int ms);

bool world_holds(const plumb_note_t *note, const plumb_ticket_t *ticket);

#endif
