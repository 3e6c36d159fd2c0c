/* One machine room in one process: an ingest, a broker, a tracker and three workers, each with the
 * code it runs in production, under clocks, a network, tables, flight files and a destination that
 * are made up here.
 *
 * The seams are where the daemons meet the outside: lib/sock.h and lib/clock.h (wire.c), the
 * worker's plugins.h, net.h and flight.h (worker_*.c), the tracker's store.h and jobs.h
 * (tracker_*.c).  None of them has an argument for it, so the simulation is the one global of this
 * program. */
#ifndef PLUMB_SIM_H
#define PLUMB_SIM_H

#include "msg.h"
#include "plumb/outcome.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_WORKERS 3
#define SIM_DELIVERIES 12
#define SIM_CREDENTIALS 3
#define SIM_CREDIT 4
#define SIM_ARRIVALS 48

/* ---- who takes part, and where messages wait for them ---- */

typedef enum node { INGEST, BROKER, TRACKER, WORKER } node_t; /* WORKER + 0, 1, 2 */
#define SIM_NODES (WORKER + SIM_WORKERS)

typedef enum inbox {
    IN_JOBS,    /* broker */
    IN_WORK,    /* broker, worker */
    IN_CONTROL, /* broker, tracker */
    IN_ACKS,    /* broker, worker */
    IN_RESULTS, /* tracker */
    IN_BEACON,  /* tracker, ingest */
    INBOXES
} inbox_t;

/* ---- what is broken on purpose, to see that the simulation notices ---- */

typedef enum mutant {
    MUTANT_NONE,
    MUTANT_FENCE,        /* a worker trusts its lease for ever */
    MUTANT_RESEND,       /* a worker says each result once */
    MUTANT_CUSTODY,      /* a worker forgets a result once it is said */
    MUTANT_FLIGHT,       /* a worker's next start finds no flight file */
    MUTANT_EARLY_ACK,    /* the tracker acknowledges before it has committed */
    MUTANT_AUDIT,        /* the tracker never asks what the broker lacks */
    MUTANT_LATE_SUCCESS, /* the tracker passes over the success of an older attempt */
    MUTANT_CENSUS,       /* workers do not say what they hold */
    MUTANT_UNACKED,      /* the broker does not ask for acknowledgements that were lost */
    MUTANT_UNRECORDED,   /* the tracker answers only what is recorded */
    MUTANTS
} mutant_t;

/* ---- the destination's memory of one delivery ---- */

typedef enum answer { ANSWER_YES, ANSWER_NO, ANSWER_NONE } answer_t;

typedef struct arrival {
    uint32_t attempt;
    int worker;
    answer_t answer;
    bool told;    /* the worker has noted the answer */
    bool acked;   /* … and let go of it, since the tracker said that it is recorded */
    bool excused; /* promise 2 allows a repeat: the outcome could not be known */
} arrival_t;

typedef struct delivery {
    plumb_uuid_t id;
    int credential;
    int64_t born_ms; /* when ingest begins with it */
    arrival_t arrivals[SIM_ARRIVALS];
    size_t arrival_count;
} delivery_t;

/* ---- the whole ---- */

typedef struct frame frame_t;

typedef struct station {
    bool up;
    bool dying;        /* killed, but its call stack does not know yet: nothing it does counts */
    int fuse;          /* acts until it is killed; below 0: it is not */
    int64_t fuse_ms;   /* killed then at the latest */
    int64_t down_ms;   /* how long it stays down */
    bool lose_host;    /* … and its flight file is gone */
    int64_t up_ms;     /* comes up again */
    int64_t paused_ms; /* stopped until then */
    int64_t ran_ms, due_ms;
    int64_t skew_ms; /* of its clocks */
    frame_t *inbox[INBOXES];
    int64_t heard_ms; /* its newest frame reaches the broker then */
    int64_t bad_since_ms,
        bad_until_ms; /* it could not be heard for so long that it may be given up */
} station_t;

typedef struct link {
    int64_t from_ms;  /* connected from then on */
    int64_t last_ms;  /* arrival of the newest frame: they stay in order */
    int64_t cut_ms;   /* nothing passes before */
    bool cut_loses;   /* … and what is sent meanwhile is lost */
    int64_t delay_ms; /* the least */
} link_t;

typedef struct sim {
    uint64_t seed, random;
    mutant_t mutant;
    int64_t now_ms;
    int node;           /* whose code runs */
    unsigned loss;      /* frames of 10,000 */
    unsigned doubling;  /* results of 10,000 that come twice */
    unsigned bad_calls; /* calls of 100 that the destination does not take at once */
    station_t stations[SIM_NODES];
    link_t links[SIM_NODES][SIM_NODES];
    delivery_t deliveries[SIM_DELIVERIES];
    size_t delivery_count;
    int64_t db_away_ms;  /* until then */
    bool commit_unknown; /* the connection breaks in the next COMMIT */
    int skip_pushes;     /* hand-overs that ingest commits and never pushes */
    bool failed;
    char why[256];
} sim_t;

extern sim_t sim;

/* Run a seed.  False: `sim.why` says what was broken. */
bool sim_run(uint64_t seed, mutant_t mutant);
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

const char *sim_name(int node);
/* For `ms` from now the worker cannot be heard. */
void sim_silent(int node, int64_t ms);

/* ---- faults.c ---- */

void sim_fault(void); /* one of them */

/* ---- chance ---- */

uint64_t sim_random(void);
int64_t sim_between(int64_t least, int64_t most);
bool sim_chance(unsigned of_10000);

/* ---- wire.c ---- */

void wire_reset(void);
/* 1: on its way, or lost there; 0: nobody is connected. */
int wire_send(int from, int to, inbox_t inbox, const void *data, size_t length);
/* The oldest frame that has arrived, the caller's to free; NULL: none. */
frame_t *wire_take(int node, inbox_t inbox);
struct frame {
    frame_t *next;
    int64_t at_ms;
    int from;
    size_t length;
    unsigned char data[];
};
int64_t wire_due_ms(int node);      /* the next arrival at any of its inboxes */
void wire_drop(int node, bool all); /* what waits for it, and `all`: what it has under way */
void wire_reset_link(int a, int b); /* what is under way between them */
void wire_connect(int node);

/* An act that others, or the disk, can see.  True: it does not happen, its process is dead. */
bool sim_acts(int node);

/* ---- destination.c ---- */

delivery_t *sim_delivery(const plumb_uuid_t *id);
/* The first byte of a call has left. */
void sim_arrives(const plumb_ticket_t *ticket, int worker, answer_t answer);
/* A worker has noted in its flight file what came of it. */
void sim_noted(const plumb_ticket_t *ticket, int worker);
/* The worker has let go of that. */
void sim_acked(const plumb_ticket_t *ticket, int worker);
/* A worker dies: answers to its open calls are known to nobody.  Its host is lost: nor is this. */
void sim_excuse_open(int node);
void sim_forget(const plumb_ticket_t *ticket, int worker);
/* The tracker has queued another attempt; `ticket` is the one before. */
void sim_handed_over(const plumb_ticket_t *ticket);
/* The tracker has recorded that the attempt may have been sent, since its worker fell silent. */
void sim_lost(const plumb_ticket_t *ticket);
/* The tracker has given a row of a dead epoch out again, since no worker reported it. */
void sim_orphaned(const plumb_ticket_t *ticket);

/* ---- daemons ---- */

/* `due` is when it wants to run again if nothing arrives. */
typedef struct daemon {
    void (*start)(int node);
    void (*stop)(int node); /* as kill -9 does */
    void (*turn)(int node);
    int64_t (*due_ms)(int node);
} daemon_t;
extern const daemon_t ingest_daemon, broker_daemon, tracker_daemon, worker_daemon;

void worker_lose_file(int node);
void worker_each_record(int node, void (*each)(const plumb_ticket_t *ticket, int worker));
bool worker_is_empty(int node);
bool tracker_is_empty(void);
bool broker_holds(void);
bool broker_is_empty(void); /* once all that it only remembers has run out */

/* ---- tracker_tables.c ---- */

void db_reset(void);
/* Ingest's transaction: a row, queued under `epoch` or pending (0).  False: not committed. */
bool db_insert(size_t delivery, uint64_t epoch);
bool db_is_in(size_t delivery);
bool db_is_settled(size_t delivery);
bool db_took_success(size_t delivery); /* delivered, or known to have been after all */
bool db_is_delivered(size_t delivery);
uint32_t db_attempt(size_t delivery);
const char *db_describe(size_t delivery, char *out, size_t size);

/* The job of a delivery. */
int sim_job(plumb_buf_t *frame, size_t delivery, uint32_t attempt, uint64_t epoch, uint32_t tries,
            uint32_t crashes);
plumb_uuid_t sim_credential(int credential);
const char *sim_channel(int credential); /* "keyed" takes our key, "plain" does not */
#define SIM_ACCOUNT ((plumb_uuid_t){{0xac}})

#endif
