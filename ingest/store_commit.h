/* The SQL of a commit. */
#ifndef INGEST_STORE_COMMIT_H
#define INGEST_STORE_COMMIT_H

#include "committer.h"
#include "db.h"

/* A connection that commits. */
typedef struct commit_store {
    plumb_db_t *db;
    plumb_params_t *params;
    uint64_t generation; /* of the connection that the rest belongs to; 0: none yet */
    uint32_t lead_type, lead_array, delivery_type, delivery_array;
    unsigned careful_left;             /* groups to be committed carefully yet */
    plumb_buf_t bold_sql, careful_sql; /* owned */
    plumb_stmt_t bold, careful;
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

/* Commit `count` leads.  On success `known[i]` tells whose key was there before, and `now_ms` is
 * PostgreSQL's clock.  `meanwhile` is called while the server works.  Errors are those of
 * plumb_db_exec. */
int commit_store_run(commit_store_t *store, prepared_t *const *group, size_t count, bool *known,
                     int64_t *now_ms, int64_t timeout_ms, const plumb_meanwhile_t *meanwhile,
                     plumb_err_t *err);

#endif
