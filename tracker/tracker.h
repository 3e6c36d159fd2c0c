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
#include "store.h"
#include "sweep.h"
#include "upkeep.h"

#include <stdatomic.h>

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
    int64_t now_ms; /* monotonic, of this turn of the loop */
    bool stopping;
    bool database;          /* it answered when last asked */
    int64_t database_at_ms; /* not asked again before */
    _Atomic bool ready;     /* read by the health responder's thread */
};

/* Life of the process. */
int tracker_open(tracker_t *t, plumb_err_t *err);
int tracker_run(tracker_t *t, plumb_err_t *err); /* until TERM */
void tracker_close(tracker_t *t);                /* safe however far tracker_open came */

/* The database failed with `rc`; say so once, work without it until it is back. */
void tracker_database_failed(tracker_t *t, int rc, const plumb_err_t *err);

#endif
