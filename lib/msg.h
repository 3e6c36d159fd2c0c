/* Messages between daemons: one msgpack map in one frame, with "v" (version) and "t" (type).
 *
 * Decoding walks the frame without allocation (size, depth, counts, UTF-8, doubled keys, exact
 * end) and fills a struct whose slices point into the frame: the frame must outlive it.
 * Unknown keys are skipped; an unknown version or type is an error.  The wire is described in
 * docs/messages.md, held by tests/golden/. */
#ifndef PLUMB_MSG_H
#define PLUMB_MSG_H

#include "buf.h"
#include "err.h"
#include "uuid.h"

#include "plumb/outcome.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUMB_MSG_VERSION 1
#define PLUMB_MSG_DEPTH_MAX 16
#define PLUMB_THROTTLES_MAX 3

typedef struct plumb_slice {
    const char *data; /* borrowed, no NUL at the end; NULL when absent */
    size_t length;
} plumb_slice_t;

const char *plumb_outcome_name(plumb_outcome_t outcome); /* "ok", "retry", … */

/* One attempt of one delivery; what identifies work everywhere. */
typedef struct plumb_ticket {
    plumb_uuid_t delivery;
    uint32_t attempt;
} plumb_ticket_t;

typedef enum plumb_msg_type {
    PLUMB_MSG_JOB,      /* ingest, tracker -> broker -> worker: do this */
    PLUMB_MSG_RESULT,   /* worker -> tracker: what an attempt came to */
    PLUMB_MSG_ACKS,     /* tracker -> workers, brokers (PUB): these are recorded, forget them */
    PLUMB_MSG_BEACON,   /* broker -> ingest, tracker (PUB): my epoch stands, so much room */
    PLUMB_MSG_HERE,     /* ingest -> tracker: I live */
    PLUMB_MSG_HELLO,    /* worker -> broker: I am this slot, I serve these queues */
    PLUMB_MSG_WELCOME,  /* broker -> worker: accepted under this epoch */
    PLUMB_MSG_PING,     /* worker -> broker: heartbeat, with the worker's clock and free credit */
    PLUMB_MSG_PONG,     /* broker -> worker: that clock back */
    PLUMB_MSG_FENCED,   /* broker -> worker: I gave your work away; say hello again */
    PLUMB_MSG_DONE,     /* worker -> broker: credit back, outcome for breaker and throttle */
    PLUMB_MSG_RETURN,   /* worker -> broker: not begun, give it to another */
    PLUMB_MSG_RECALL,   /* tracker -> broker -> worker: do not begin this any more */
    PLUMB_MSG_RECALLED, /* broker -> tracker: answer to RECALL */
    PLUMB_MSG_LOST,     /* broker -> tracker: its worker is dead; and GAVE UP: given back unbegun */
    PLUMB_MSG_UNACKED,  /* broker -> tracker: no ack seen: say it again; tracker -> brokers (PUB):
                           not  recorded at that question */
    PLUMB_MSG_CENSUS,   /* tracker -> workers (PUB): say what you hold */
    PLUMB_MSG_INVENTORY, /* worker -> tracker: what I hold, and under which epoch */
    PLUMB_MSG_ADOPT,     /* tracker -> workers (PUB): what you hold now belongs to this epoch */
    PLUMB_MSG_AUDIT,     /* tracker -> broker: which of these do you not hold? */
    PLUMB_MSG_MISSING,   /* broker -> tracker: these */
    PLUMB_MSG_STANDS,    /* broker -> tracker (question), tracker -> broker (answer): does my epoch
                            stand? */
    PLUMB_MSG_CHANNELS,  /* worker -> tracker: a plugin is (no longer) here: fields, limits, version
                          */
    PLUMB_MSG_CONTROL,   /* operator -> broker: pause, resume, drain, stats */
    PLUMB_MSG_STATE,     /* broker -> operator: JSON text */
    PLUMB_MSG_COUNT
} plumb_msg_type_t;
const char *plumb_msg_name(plumb_msg_type_t type); /* the "t" on the wire: "job", "result", … */

typedef enum plumb_priority {
    PLUMB_HIGH,
    PLUMB_NORMAL,
    PLUMB_LOW,
    PLUMB_PRIORITIES
} plumb_priority_t;

/* A limit a destination declares: calls per 1,000 s (so that 0.5/s is 500) and burst, under a key.
 */
typedef struct plumb_throttle {
    plumb_slice_t key;
    uint32_t per_kilosecond;
    uint32_t burst;
} plumb_throttle_t;

typedef struct plumb_job {
    plumb_ticket_t ticket;
    plumb_uuid_t account, lead, credential;
    uint64_t epoch; /* under which the row is queued */
    plumb_priority_t priority;
    plumb_slice_t queue;   /* "integration-webhooks" */
    plumb_slice_t channel; /* "webhooks" */
    plumb_slice_t verb;    /* "send", "update", "test", "probe" */
    plumb_slice_t trace;   /* W3C traceparent of the lead */
    plumb_throttle_t throttles[PLUMB_THROTTLES_MAX];
    unsigned throttle_count;
    uint8_t attempt_key[32]; /* seals what is kept of the exchange */
    uint32_t tries;          /* charged so far */
    uint32_t
        crashes; /* blamed for: above 0 the broker gives it to a worker that holds nothing else */
    uint32_t credential_version;
    plumb_slice_t body;        /* msgpack map: the lead as channels see it */
    plumb_slice_t secrets;     /* msgpack map: credential fields, opened */
    bool is_ours;              /* encoding takes both maps for well-formed: this process packed them
                                * (lead.h, credential.h) of what it had checked */
    plumb_slice_t mapping;     /* JSON text; absent: the channel's default */
    plumb_slice_t checkpoint;  /* JSON text kept from an earlier attempt */
    plumb_slice_t external_id; /* known record at the service */
} plumb_job_t;

/* Where the time of a call went, in microseconds since its start; 0: not reached. */
typedef struct plumb_timings {
    uint32_t dns_us, connect_us, tls_us, first_byte_us, total_us;
} plumb_timings_t;

typedef enum plumb_phase { /* of a call, in this order */
                           PLUMB_PHASE_ASSIGNED,
                           PLUMB_PHASE_PLUGIN,
                           PLUMB_PHASE_SENT,
                           PLUMB_PHASE_ANSWERED
} plumb_phase_t;

typedef struct plumb_result {
    plumb_ticket_t ticket;
    plumb_uuid_t account, lead, credential;
    plumb_slice_t worker; /* slot */
    plumb_outcome_t outcome;
    bool blamed;     /* the process died inside the plugin with this delivery */
    bool resend;     /* ambiguous: the receiver takes our key, a repeat is allowed by its channel */
    uint16_t status; /* HTTP or SMTP status, 0 none */
    int64_t retry_after_ms; /* 0: the schedule decides */
    plumb_timings_t timings;
    int64_t started_ms;   /* Unix ms, for people only */
    uint16_t requests;    /* made in this attempt */
    plumb_slice_t detail; /* one sentence, no personal data */
    plumb_slice_t external_id;
    plumb_slice_t checkpoint; /* JSON text */
    plumb_slice_t exchange;   /* sealed under the attempt key */
    plumb_slice_t refreshed;  /* credential update: sealed JSON (issue of channels) */
    uint32_t credential_version;
} plumb_result_t;

/* Lists of tickets with what is known of each: LOST, RETURN, INVENTORY, AUDIT, MISSING, UNACKED,
 * ACKS, RECALL, … */
typedef struct plumb_held {
    plumb_ticket_t ticket;
    plumb_phase_t phase;
    bool done; /* LOST: its worker had reported it done */
} plumb_held_t;

#define PLUMB_HELD_MAX 4096   /* items in one list message */
#define PLUMB_QUEUES_MAX 1024 /* names in HELLO and BEACON */
#define PLUMB_LANES_MAX 1024  /* credentials in BEACON */

/* All messages but JOB and RESULT; members that a type does not use stay zero. */
typedef struct plumb_note {
    plumb_msg_type_t type;
    plumb_slice_t name; /* broker, ingest or worker slot that speaks; CONTROL: queue or "" */
    uint64_t instance;  /* random number of one start of a process */
    uint64_t epoch;
    uint64_t previous; /* HELLO: the instance whose flight file was read, or itself once it was
                          welcomed; 0 none */
    int64_t clock_ms;  /* PING, PONG: the worker's CLOCK_BOOTTIME */
    uint32_t credit;   /* HELLO, PING: calls the worker can take; WELCOME: fence in ms */
    int64_t room;      /* BEACON: bytes that may be handed over now */
    bool stands;       /* STANDS answer */
    bool given_up;     /* LOST: never begun (returned at shutdown, expired) */
    plumb_outcome_t outcome;     /* DONE */
    int64_t retry_after_ms;      /* DONE */
    plumb_slice_t text;          /* CONTROL: verb; STATE, CHANNELS: JSON */
    const plumb_slice_t *queues; /* HELLO: served; BEACON: closed (paused) queues */
    size_t queue_count;
    const plumb_held_t *held;
    size_t held_count;
    const plumb_uuid_t *lanes;   /* BEACON: credentials closed by breaker or throttle … */
    const int64_t *lane_wait_ms; /* … for so long yet */
    size_t lane_count;
} plumb_note_t;

/* Append one whole message to `out` (which is cleared first). */
int plumb_job_encode(plumb_buf_t *out, const plumb_job_t *job, plumb_err_t *err);
int plumb_result_encode(plumb_buf_t *out, const plumb_result_t *result, plumb_err_t *err);
int plumb_note_encode(plumb_buf_t *out, const plumb_note_t *note, plumb_err_t *err);

/* Check a frame (all rules above) and tell its type. */
int plumb_msg_check(const void *frame, size_t length, plumb_msg_type_t *type, plumb_err_t *err);

/* What an unchecked frame says it is, to choose its decoder by; COUNT: nothing that is known. */
plumb_msg_type_t plumb_msg_claims(const void *frame, size_t length);

/* Decode an unchecked frame: the check is part of it.  Slices point into `frame`. */
int plumb_job_decode(plumb_job_t *job, const void *frame, size_t length, plumb_err_t *err);
int plumb_result_decode(plumb_result_t *result, const void *frame, size_t length, plumb_err_t *err);

/* `body` and `secrets` are bytes here: who reads into them checks them first
 * (plumb_msg_walk_map); who passes the job on as it came does not. */
int plumb_job_decode_to_pass_on(plumb_job_t *job, const void *frame, size_t length,
                                plumb_err_t *err);

/* A decoder's memory for lists, reused from message to message; zero-initialised. */
typedef struct plumb_note_space {
    plumb_slice_t *queues;
    plumb_held_t *held;
    plumb_uuid_t *lanes;
    int64_t *waits;
} plumb_note_space_t;
void plumb_note_space_fini(plumb_note_space_t *space);
int plumb_note_decode(plumb_note_t *note, plumb_note_space_t *space, const void *frame,
                      size_t length, plumb_err_t *err);

/* Change `attempt` and `epoch` of an encoded job without decoding it (both are fixed-width at fixed
 * places near the front): a re-push of the same work.  MESSAGE when `frame` is no job. */
int plumb_job_restamp(void *frame, size_t length, uint32_t attempt, uint64_t epoch,
                      plumb_err_t *err);

#endif
