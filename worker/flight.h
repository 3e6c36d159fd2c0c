/* The flight file: what a worker slot was doing, for its next start to read.
 *
 * <run_dir>/<slot>.flight is mapped shared, so whatever a killed process had stored is there, and
 * nothing else is needed: no system call per note.  Each call has one fixed record; a phase is
 * stored before it begins.  What belongs to a phase is written first, to that one of the record's
 * two notes that is not in force, then one atomic store makes phase and note valid together: there
 * is no moment in which a record says half of something.  Checksums are for files that were
 * damaged otherwise.
 *
 * The file is made once, locked by the slot's one process, never grows and is never unlinked. */
#ifndef PLUMB_WORKER_FLIGHT_H
#define PLUMB_WORKER_FLIGHT_H

#include "err.h"
#include "msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLIGHT_CHANNEL_MAX 33 /* with NUL */
#define FLIGHT_DETAIL_MAX 160
#define FLIGHT_EXTERNAL_MAX 255
#define FLIGHT_CHECKPOINT_MAX 480

typedef enum flight_phase {
    FLIGHT_FREE,
    FLIGHT_ASSIGNED, /* nothing has left the machine */
    FLIGHT_PLUGIN,   /* inside the plugin, nothing has left */
    FLIGHT_SENT,     /* a request's first byte may have left */
    FLIGHT_JUDGING,  /* inside the plugin, with an answer in hand */
    FLIGHT_BETWEEN,  /* every request so far was answered, none is out */
    FLIGHT_ANSWERED  /* the result stands in the note */
} flight_phase_t;

/* Whose call it is; written once. */
typedef struct flight_call {
    plumb_ticket_t ticket;
    plumb_uuid_t account, lead, credential;
    uint32_t credential_version;
    bool resends; /* its channel's receivers take our key */
    char channel[FLIGHT_CHANNEL_MAX];
    int64_t started_ms;
} flight_call_t;

/* What is known of it so far; texts are borrowed. */
typedef struct flight_note {
    plumb_outcome_t outcome;
    bool blamed, resend;
    uint16_t status, requests;
    int64_t retry_after_ms;
    plumb_timings_t timings;
    plumb_slice_t detail, external_id, checkpoint;
} flight_note_t;

/* A record that an earlier process left. */
typedef struct flight_left {
    int slot;
    flight_phase_t phase;
    flight_call_t call;
    flight_note_t note; /* slices into the file: valid until the record changes */
} flight_left_t;

typedef struct flight flight_t;

/* Open or make the file with room for `slots` calls and lock it.  CONFIG: another process holds the
 * slot.  A file of another layout, or an empty one of another size, is made anew. */
int flight_open(flight_t **ret, const char *path, unsigned slots, plumb_err_t *err);
void flight_close(flight_t **flight);

unsigned flight_slots(const flight_t *flight);

/* The instance that left what is there; 0: none, or its file told nothing. */
uint64_t flight_previous(const flight_t *flight);
/* From now on the records are `instance`'s. */
void flight_own(flight_t *flight, uint64_t instance);

/* The next used record at or after slot `from`.  False: no more.  Damaged ones are given up and
 * counted. */
bool flight_next(flight_t *flight, int from, flight_left_t *left);
unsigned flight_damaged(const flight_t *flight);

/* Take a record in phase ASSIGNED; -1: all are used. */
int flight_take(flight_t *flight, const flight_call_t *call);
/* Store a phase; the note in force stays. */
void flight_phase(flight_t *flight, int slot, flight_phase_t phase);
/* Store a phase and a new note.  Texts above their limits are left out: callers check before. */
void flight_note(flight_t *flight, int slot, flight_phase_t phase, const flight_note_t *note);
void flight_free(flight_t *flight, int slot);

#endif
