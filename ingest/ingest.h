/* All that ingest holds, one struct passed by pointer. */
#ifndef INGEST_INGEST_H
#define INGEST_INGEST_H

#include "api/store_change.h"
#include "blocklist.h"
#include "catalog.h"
#include "changes.h"
#include "cidr.h"
#include "committer.h"
#include "daemon.h"
#include "feed.h"
#include "geo.h"
#include "handover.h"
#include "intake_keys.h"
#include "ip_filter.h"
#include "limit.h"
#include "link.h"
#include "readers.h"
#include "redis.h"
#include "running.h"
#include "seal.h"
#include "store.h"
#include "strangers.h"
#include "token.h"
#include "upkeep.h"
#include "vault.h"
#include "workspace.h"

typedef struct server server_t;

/* The limits that the configuration sets. */
typedef struct rates {
    plumb_rate_t token, account, stranger;
} rates_t;

typedef struct ingest {
    plumb_daemon_t daemon;
    const plumb_conf_t *conf; /* the daemon's, or a test's */
    plumb_cidr_t proxies[PLUMB_CIDRS_MAX];
    size_t proxy_count;
    ip_filter_t *filter; /* of all that is under /api/; NULL: none */
    plumb_keyring_t *keyring;
    plumb_vault_t *vault;
    store_t store;
    change_store_t changes_sql;
    readers_t *readers;
    tokens_t *tokens;
    catalog_t *catalog;
    blocklists_t *blocklists;
    intake_keys_t *intake_keys;
    changes_t *changes;
    redis_t *redis; /* NULL: none is configured */
    rates_t rates;
    limits_t *limits;
    geo_t *geo; /* NULL: off */
    upkeep_t *upkeep;
    strangers_t *strangers;
    running_t *running; /* Idempotency-Keys under way */
    workspaces_t *workspaces;
    handover_t *handover;
    committers_t *committers;
    feed_t *feed; /* of events */
    link_t *link;
    server_t *server;
} ingest_t;

/* Start everything that `conf` asks for; the database may still be away.  Safe to close however far
 * it came. */
int ingest_open(ingest_t *ingest, const plumb_conf_t *conf, plumb_err_t *err);
/* Refuse new requests, finish those under way within 25 s, stop. */
void ingest_close(ingest_t *ingest);

/* Can leads be taken?  `err` says of each part how it is, one line each, also if they can. */
int ingest_ready(void *self, plumb_err_t *err);

#endif
