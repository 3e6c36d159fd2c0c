/* What the core's files share.  Non-static names within the core begin with bk_, so that a
 * simulator may link several rooms into one program. */
#ifndef PLUMB_BROKER_STATE_H
#define PLUMB_BROKER_STATE_H

#include "core.h"
#include "heap.h"
#include "list.h"
#include "table.h"

#define BK_NAME_MAX 100   /* bytes of a queue's or a slot's name */
#define BK_QUEUES_MAX 256 /* queues known at once */
#define BK_WORKERS_MAX 1024
#define BK_LANES_MAX 4096     /* credentials remembered; more only while jobs of them are held */
#define BK_THROTTLES_MAX 8192 /* the same of throttle keys */
#define BK_CREDIT_MAX 65536
#define BK_KEEP_BLOCKED 4 /* jobs of a credential that stay here while it may not be called */

typedef struct bk_lane lane_t;
typedef struct bk_line line_t;
typedef struct bk_peer peer_t;
typedef struct bk_queue queue_t;
typedef struct bk_tenant tenant_t;
typedef struct bk_throttle throttle_t;
typedef struct bk_ticket ticket_t;

/* --- tickets.c: what is known of one attempt --- */

typedef enum bk_phase {
    BK_NEW,      /* being made */
    BK_WAITING,  /* for a worker, in its line */
    BK_ASSIGNED, /* to a worker that has not said done */
    BK_DOUBT,    /* its worker does not list it: the tracker is asked before it waits again */
    BK_DONE,     /* its worker said done; kept until the tracker's ack */
    BK_LOST,     /* with its worker; said to the tracker until acked */
    BK_GIVEN_UP, /* never begun, given back; said to the tracker until acked */
    BK_GONE,     /* recalled or recorded; remembered so that a late copy of it does nothing */
    BK_MISSING,  /* the tracker was told that it is not here; a second copy may be under way */
    BK_PHASES
} phase_t;

/* Reasons to look at a ticket later; each has its delay and action in alarms.c. */
typedef enum bk_alarm {
    BK_ALARM_ASSIGNED,
    BK_ALARM_UNACKED,
    BK_ALARM_LOST,
    BK_ALARM_GIVEN_UP,
    BK_ALARM_DOUBT,
    BK_ALARM_ACKED,
    BK_ALARM_GONE,
    BK_ALARM_GONE_LONG,
    BK_ALARM_MISSING,
    BK_ALARMS
} alarm_t;

/* The frame of a job, as it came, while it may yet be handed out. */
typedef struct bk_payload {
    line_t *line;
    throttle_t *throttles[PLUMB_THROTTLES_MAX];
    unsigned throttle_count;
    size_t length;
    unsigned char frame[];
} payload_t;

struct bk_ticket {
    bk_node_t node; /* in broker.tickets */
    plumb_ticket_t id;
    uint32_t last;        /* serial of the worker that had it last; 0 none */
    uint64_t seq;         /* order of arrival */
    bk_link_t place;      /* in its line, or its worker's list */
    bk_link_t arrival;    /* in its queue's list of all that waits, by seq */
    bk_link_t alarm;      /* in broker.alarms[…] */
    int64_t due_ms;       /* of the alarm */
    int64_t arrived_ms;   /* here */
    int64_t assigned_ms;  /* to its worker */
    uint64_t doubt;       /* DOUBT ends by the answer to this question or a later one */
    peer_t *peer;         /* ASSIGNED, DONE */
    queue_t *queue;       /* NULL: known only from a worker's list */
    payload_t *payload;   /* NULL: done, or known only from a worker's list */
    uint32_t mark;        /* hello that listed it … */
    plumb_phase_t listed; /* … in this phase */
    uint8_t phase;
    bool begun;     /* its worker once listed it as begun */
    bool probe;     /* the one call of a half-open breaker */
    bool acked;     /* recorded already; its worker's done is still awaited, for the credit */
    bool twice;     /* a second copy may be under way */
    bool lost_done; /* LOST: after its worker had said done */
};

/* --- lanes.c: one credential --- */

#define BK_WINDOW_SLOTS 6
#define BK_WINDOW_SLOT_MS 10000

typedef enum bk_breaker { BK_CLOSED, BK_OPEN, BK_HALF_OPEN } breaker_t;

struct bk_lane {
    bk_node_t node; /* in broker.lanes */
    plumb_uuid_t id;
    bk_link_t lines; /* of its jobs: one per queue, account and priority */
    bk_link_t idle;  /* in broker.idle_lanes while it has none */
    int64_t idle_ms; /* since */
    bk_timer_t timer;
    queue_t *queue; /* of its last job, for figures; NULL when that is gone */
    int64_t bytes;  /* of its jobs held */
    bool closed;    /* above its share: not to be fed */

    unsigned limit;    /* calls at once */
    unsigned inflight; /* now */
    unsigned round;    /* successes since `limit` changed */

    breaker_t breaker;
    unsigned run;    /* failures in a row */
    unsigned wins;   /* successes while half-open */
    bool probing;    /* the half-open call is out */
    int64_t open_ms; /* how long it opens next time */
    int64_t until_ms;
    int64_t hold_ms; /* Retry-After of a destination without throttle keys */
    struct {
        int64_t slot;
        uint32_t calls, failures;
    } window[BK_WINDOW_SLOTS];

    throttle_t *throttles[PLUMB_THROTTLES_MAX]; /* of its last job */
    unsigned throttle_count;
};

/* --- throttle.c: one throttle key (GCRA) --- */

struct bk_throttle {
    bk_node_t node; /* in broker.throttles */
    bk_timer_t timer;
    bk_link_t waiters; /* lines whose first job it holds up */
    bk_link_t idle;    /* in broker.idle_throttles while nothing refers to it */
    unsigned refs;     /* jobs and lanes */
    int64_t tat_us;    /* theoretical arrival time of the next call */
    int64_t hold_ms;   /* Retry-After */
    uint32_t per_kilosecond, burst;
    bool wide; /* its key names a whole channel, not somebody's account */
    size_t length;
    char key[];
};

/* --- queues.c: queue > priority > account > line --- */

typedef enum bk_queue_state { BK_QUEUE_OPEN, BK_QUEUE_PAUSED, BK_QUEUE_DRAINING } queue_state_t;

/* The jobs of one credential within one queue, account and priority, first in first out. */
struct bk_line {
    tenant_t *tenant;
    lane_t *lane;
    plumb_priority_t priority;
    bool ward;         /* of jobs blamed for a crash: each goes out alone */
    bk_link_t in_lane; /* in lane.lines */
    bk_link_t ready;   /* in its share's or its queue's ring while its first job may go */
    throttle_t *blocked_by;
    bk_link_t waiter;  /* in blocked_by->waiters */
    bk_link_t tickets; /* that wait, by seq */
    size_t jobs;       /* payloads that name it, waiting or not */
};

/* What an account has ready in one priority. */
typedef struct bk_share {
    bk_link_t link;  /* in queue.rings[…] while it may go */
    bk_link_t lines; /* ready ones, in turn */
    tenant_t *tenant;
    int64_t deficit;
} share_t;

struct bk_tenant {  /* an account in one queue */
    bk_node_t node; /* in broker.tenants */
    queue_t *queue;
    plumb_uuid_t account;
    bk_link_t in_queue; /* in queue.tenants */
    size_t lines;
    size_t assigned;
    share_t shares[PLUMB_PRIORITIES];
};

struct bk_queue {
    bk_node_t node; /* in broker.queues */
    queue_state_t state;
    bk_link_t ready; /* in broker.ready while something may go */
    bk_link_t tenants;
    bk_link_t rings[PLUMB_PRIORITIES]; /* shares that may go */
    int turn[PLUMB_PRIORITIES];        /* smooth weighted round robin */
    bk_link_t ward;                    /* lines of blamed jobs that may go */
    int64_t ward_ms;                   /* since when one may go and has not; 0 none */
    peer_t *reserved;                  /* emptied for the ward */
    bk_link_t served;                  /* by these workers */
    size_t credit;                     /* theirs together */
    int64_t unserved_ms;               /* since when nobody serves it */
    bk_link_t arrivals;                /* all that waits, oldest first */
    size_t waiting, assigned, doubted, unacked;
    int64_t bytes; /* that wait */
    uint64_t handed_out, done;
    size_t refs;    /* tickets, workers */
    uint64_t stuck; /* hand-out round in which no worker had room for it */
    char name[BK_NAME_MAX + 1];
};

/* --- workers.c --- */

typedef struct bk_served {
    bk_link_t in_queue; /* in queue.served */
    peer_t *peer;
    queue_t *queue;
    int64_t not_before_ms; /* it returned a job of this queue: others first */
} served_t;

struct bk_peer {
    bk_node_t node; /* in broker.peers */
    uint64_t instance;
    uint64_t previous; /* whose flight file it read; its own heir names that one if it was not
                          welcomed */
    uint32_t serial;   /* of this instance, within this broker */
    uint32_t credit;   /* calls it can have at once */
    size_t assigned;   /* it has */
    bk_link_t jobs;    /* ASSIGNED to it */
    bk_link_t done;    /* DONE by it, unacked */
    int64_t heard_ms;
    int64_t dead_ms;   /* when it counts as dead */
    bool unreachable;  /* a job could not be sent; until it is heard again */
    bool asked;        /* to say hello; gets nothing before it has */
    int64_t asked_ms;  /* last time */
    bool alone;        /* it has a blamed job */
    queue_t *reserved; /* for this queue's ward */
    int64_t reserved_ms;
    int64_t free_ms; /* not reserved again before */
    served_t *served;
    size_t served_count;
    char slot[BK_NAME_MAX + 1];
};

/* --- the whole --- */

typedef enum bk_mode { BK_RUNS, BK_ASKS, BK_STOPS } bk_mode_t;

struct broker {
    broker_settings_t set;
    broker_ports_t ports;
    char name[BK_NAME_MAX + 1];
    uint64_t random; /* state of the generator */
    uint64_t hash_seed;
    uint64_t epoch;
    bk_mode_t mode;
    bool stopping;
    int64_t now_ms;
    int64_t ask_ms; /* STANDS is due */

    bk_table_t tickets, lanes, throttles, tenants, queues, peers;
    bk_link_t alarms[BK_ALARMS];
    bk_heap_t timers; /* of lanes and throttles */
    bk_link_t idle_lanes, idle_throttles;
    bk_link_t ready;       /* queues, in turn */
    queue_state_t initial; /* of a new queue */
    uint64_t round;
    uint64_t seq;
    uint64_t questions; /* asked of the tracker, to tell answers apart */
    uint32_t serial, hello;
    int64_t peers_ms; /* a worker may be dead then */
    int64_t sweep_ms;

    int64_t held;      /* bytes: memory.c */
    size_t lane_lines; /* lines alive */
    int64_t beacon_ms; /* last sent; 0 never */
    int64_t beacon_held;
    int64_t beacon_taken; /* bytes taken since */
    bool beacon_wanted;
    uint64_t full; /* jobs given up for want of memory, not yet told */
    int64_t full_ms;

    broker_counts_t counts;
    plumb_note_space_t space;
    plumb_buf_t out, text;
    plumb_held_t items[PLUMB_HELD_MAX];
};

/* core.c */
void bk_event(broker_t *b, broker_event_t event, const char *subject, uint64_t number);
void bk_event_id(broker_t *b, broker_event_t event, const plumb_uuid_t *id, uint64_t number);
uint64_t bk_random(broker_t *b);
bool bk_name_valid(plumb_slice_t name);
bool bk_name_is(plumb_slice_t name, const char *text);
void bk_epoch_stands(broker_t *b);
void bk_epoch_falls(broker_t *b); /* forget everything, begin a new one */

/* Send a note; false: nothing was queued. */
bool bk_note_to_tracker(broker_t *b, plumb_note_t *note);
bool bk_note_to_worker(broker_t *b, const char *slot, plumb_note_t *note);
bool bk_note_to_control(broker_t *b, const void *identity, size_t identity_length,
                        plumb_note_t *note);

/* memory.c */
int64_t bk_room(const broker_t *b);
int64_t bk_job_bytes(size_t frame_length); /* what holding its frame costs */
int64_t bk_ticket_bytes(void);             /* and knowing of it */
bool bk_lane_takes(const broker_t *b, const lane_t *lane, int64_t bytes);
bool bk_takes(const broker_t *b, int64_t bytes);
void bk_memory_add(broker_t *b, lane_t *lane,
                   int64_t bytes);             /* negative: freed; lane may be NULL */
void bk_lane_share(broker_t *b, lane_t *lane); /* close or open it to feeding */

/* tickets.c */
ticket_t *bk_ticket_find(const broker_t *b, const plumb_ticket_t *id);
ticket_t *bk_ticket_new(broker_t *b, const plumb_ticket_t *id); /* NULL: out of memory */
/* Take it out of its phase and into another, all counts and rings with it.  `peer` for ASSIGNED
 * and DONE only. */
void bk_ticket_move(broker_t *b, ticket_t *t, phase_t phase, peer_t *peer);
void bk_ticket_forget(broker_t *b, ticket_t *t); /* keeps a memory of it where a copy may come */
void bk_ticket_free(broker_t *b, ticket_t *t);   /* without any */
void bk_ticket_acked(broker_t *b, ticket_t *t);
/* It did not begin: wait again, or be given up when nothing of it is here or we stop. */
void bk_ticket_again(broker_t *b, ticket_t *t);
/* At the time of that question the tracker had no result of it. */
void bk_ticket_unrecorded(broker_t *b, ticket_t *t, uint64_t question);

/* alarms.c */
void bk_alarm_set(broker_t *b, ticket_t *t, alarm_t alarm);
void bk_alarm_now(broker_t *b, ticket_t *t, alarm_t alarm);
void bk_alarms_run(broker_t *b);
int64_t bk_alarms_due(const broker_t *b);

/* throttle.c */
throttle_t *bk_throttle_get(broker_t *b, const plumb_throttle_t *limit); /* a reference; NULL */
void bk_throttle_put(broker_t *b, throttle_t *throttle);
throttle_t *bk_throttle_ref(throttle_t *throttle);
int64_t bk_throttle_wait_us(const broker_t *b, const throttle_t *throttle); /* 0: may go now */
void bk_throttle_charge(broker_t *b, throttle_t *throttle);
void bk_throttle_hold(broker_t *b, throttle_t *throttle, int64_t ms);
void bk_throttle_block(broker_t *b, throttle_t *throttle, line_t *line);
void bk_throttles_sweep(broker_t *b);
void bk_throttle_free(broker_t *b, throttle_t *throttle);

/* lanes.c */
lane_t *bk_lane_find(const broker_t *b, const plumb_uuid_t *id);
lane_t *bk_lane_get(broker_t *b, const plumb_uuid_t *id); /* NULL: out of memory */
bool bk_lane_may(const broker_t *b, const lane_t *lane, const line_t *line);
void bk_lane_refresh(broker_t *b, lane_t *lane);
void bk_lane_began(broker_t *b, lane_t *lane, ticket_t *t);
void bk_lane_ended(broker_t *b, lane_t *lane, ticket_t *t); /* whatever came of it */
void bk_lane_outcome(broker_t *b, lane_t *lane, bool probe, plumb_outcome_t outcome);
void bk_lane_hold(broker_t *b, lane_t *lane, int64_t ms);
void bk_lane_throttles(broker_t *b, lane_t *lane, const payload_t *payload);
int64_t bk_lane_wait_ms(const broker_t *b, const lane_t *lane); /* 0: may be fed */
void bk_lane_spill(broker_t *b, lane_t *lane);
void bk_lanes_sweep(broker_t *b);
void bk_lane_free(broker_t *b, lane_t *lane);

/* queues.c */
queue_t *bk_queue_find(const broker_t *b, plumb_slice_t name);
queue_t *bk_queue_get(broker_t *b, plumb_slice_t name); /* NULL: too many, or out of memory */
void bk_queue_unref(broker_t *b, queue_t *queue);
bool bk_queue_closed(const broker_t *b, const queue_t *queue); /* to feeding */
void bk_queue_set(broker_t *b, queue_t *queue, queue_state_t state);
void bk_queue_credit(broker_t *b, queue_t *queue); /* its workers' changed */
void bk_queue_spill(broker_t *b, queue_t *queue);
void bk_queues_sweep(broker_t *b);
void bk_queue_free(broker_t *b, queue_t *queue);
line_t *bk_line_get(broker_t *b, queue_t *queue, const plumb_job_t *job, lane_t *lane);
void bk_line_insert(broker_t *b, line_t *line, ticket_t *t);
void bk_line_remove(broker_t *b, ticket_t *t);
void bk_line_unref(broker_t *b, line_t *line); /* a payload less; frees it after the last */
void bk_line_refresh(broker_t *b, line_t *line);
void bk_line_spill(broker_t *b, line_t *line);
void bk_tenant_refresh(broker_t *b, tenant_t *tenant);
ticket_t *bk_line_first(const line_t *line);

/* turns.c */
line_t *bk_queue_peek(broker_t *b, queue_t *queue); /* whose turn it is; NULL: nobody's */
void bk_queue_charge(broker_t *b, line_t *line);    /* its first job goes */

/* jobs.c */
void bk_job(broker_t *b, const plumb_job_t *job, const void *frame, size_t length);

/* handout.c */
void bk_hand_out(broker_t *b);

/* workers.c */
peer_t *bk_peer_find(const broker_t *b, const char *slot, size_t length);
peer_t *bk_peer_pick(broker_t *b, const queue_t *queue);
bool bk_peer_fit(const broker_t *b, const served_t *served); /* alive and not held back */
void bk_peer_free(broker_t *b, peer_t *peer);
void bk_peers_check(broker_t *b);
void bk_peers_forgive(broker_t *b, int64_t ms); /* our own loop stood still for so long */
void bk_peer_ask(broker_t *b, peer_t *peer);
void bk_work_note(broker_t *b, const char *slot, const plumb_note_t *note);

/* beacon.c */
void bk_beacon(broker_t *b);
int64_t bk_beacon_due(const broker_t *b);

/* control.c */
void bk_control_note(broker_t *b, const void *identity, size_t identity_length,
                     const plumb_note_t *note);

#endif
