/* The SQL of a commit. */
#ifndef INGEST_STORE_COMMIT_H
#define INGEST_STORE_COMMIT_H

#include "committer.h"
#include "db.h"
#include "rivals.h"

/* Bold or careful, with or without rivals (store_commit.c). */
#define COMMIT_VARIANTS 4

/* A connection that commits. */
typedef struct commit_store {
    plumb_db_t *db;
    plumb_params_t *params;
    uint64_t generation; /* of the connection that the rest belongs to; 0: none yet */
    uint32_t lead_type, lead_array, delivery_type, delivery_array, rule_type, rule_array;
    unsigned careful_left; /* groups to be committed carefully yet */
    rivals_t rivals;
    struct {
        plumb_buf_t sql; /* owned */
        plumb_stmt_t stmt;
    } variants[COMMIT_VARIANTS];
} commit_store_t;

int commit_store_init(commit_store_t *store, const char *conninfo, plumb_err_t *err);
void commit_store_fini(commit_store_t *store);

/* Connect if need be, and learn what a new connection must know.  `now_ms` gets PostgreSQL's clock
 * if anything was asked, else stays.  DATABASE: the schema is not ours. */
int commit_store_connect(commit_store_t *store, int64_t timeout_ms, int64_t *now_ms,
                         plumb_err_t *err);

/* Ask for the time, which tells as well whether the database is there. */
int commit_store_probe(commit_store_t *store, int64_t timeout_ms, int64_t *now_ms,
                       plumb_err_t *err);

/* Leads to be committed together. */
typedef struct commit_batch {
    prepared_t *const *leads;
    commit_verdict_t *verdicts; /* on success: DONE, KNOWN, SAME, MERGE or TWICE of each */
    size_t count;
    int64_t now_ms; /* PostgreSQL's clock: what windows of time reach back from */
} commit_batch_t;

/* Commit a batch.  On success each lead's verdict and fate are set, and `now_ms` is PostgreSQL's
 * clock. `meanwhile` is called while the server works.  Errors are those of plumb_db_exec. */
int commit_store_run(commit_store_t *store, const commit_batch_t *batch, int64_t *now_ms,
                     int64_t timeout_ms, const plumb_meanwhile_t *meanwhile, plumb_err_t *err);

#endif
