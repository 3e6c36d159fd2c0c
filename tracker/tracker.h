/* The state of one tracker: what its parts share. */
#ifndef PLUMB_TRACKER_H
#define PLUMB_TRACKER_H

#include "audit.h"
#include "brokers.h"
#include "channels.h"
#include "daemon.h"
#include "epochs.h"
#include "feeder.h"
#include "jobs.h"
#include "links.h"
#include "lost.h"
#include "policy.h"
#include "recall.h"
#include "results.h"
#include "rotation.h"
#include "store.h"
#include "sweep.h"
#include "upkeep.h"

#include <stdatomic.h>

/* The work that needs the database, in the order in which a turn of the loop does it. */
typedef enum part {
    PART_RESULTS,
    PART_BROKERS,
    PART_LOST,
    PART_SWEEP,
    PART_FEEDER,
    PART_AUDIT,
    PART_CHANNELS,
    PART_UPKEEP,
    PART_ROTATION,
    PARTS
} part_t;

typedef struct part_state {
    int64_t at_ms;   /* not before */
    int64_t wait_ms; /* grows while it fails */
} part_state_t;

struct tracker {
    plumb_daemon_t daemon;
    const plumb_conf_t *conf;
    plumb_keyring_t *keyring;
    links_t links;
    store_t store;
    policy_t policy;
    epochs_t epochs;
    brokers_t brokers;
    jobs_t jobs;
    results_t results;
    feeder_t feeder;
    audit_t audit;
    sweep_t sweep;
    lost_t lost;
    recall_t recall;
    channels_t channels;
    upkeep_t upkeep;
    rotation_t rotation;
    int64_t now_ms; /* monotonic, of this turn of the loop */
    bool stopping;
    bool database;          /* there is a connection */
    int64_t database_at_ms; /* not asked for before */
    int64_t away_since_ms;  /* 0: there is one */
    part_state_t parts[PARTS];
    int64_t refused_told_ms; /* when the log may speak of a malformed frame again */
    _Atomic bool ready;      /* read by the health responder's thread */
};

/* Life of the process. */
int tracker_open(tracker_t *t, plumb_err_t *err);
int tracker_run(tracker_t *t, plumb_err_t *err); /* until TERM */
void tracker_close(tracker_t *t);                /* safe however far tracker_open came */

#endif
