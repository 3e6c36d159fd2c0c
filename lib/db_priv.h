/* What the files of the database room share: the connection, and the parameters as libpq takes
 * them. */
#ifndef PLUMB_DB_PRIV_H
#define PLUMB_DB_PRIV_H

#include "db.h"

#define PLUMB_STMTS_MAX 128 /* statements of one daemon */

/* A statement that this connection knows, and the types it was prepared with. */
typedef struct plumb_prepared {
    const plumb_stmt_t *stmt;
    Oid types[PLUMB_PARAMS_MAX];
} plumb_prepared_t;

struct plumb_db {
    char *conninfo;               /* owned, as given */
    char *application;            /* owned */
    char *options;                /* owned: our session settings, then those of conninfo */
    char *host, *hostaddr, *port; /* owned lists of conninfo, NULL when not given */
    unsigned hosts;               /* entries of the list */
    unsigned next_host;           /* where the next attempt begins */
    PGconn *conn;                 /* NULL: not connected */
    uint64_t generation;
    int64_t retry_at_ms; /* monotonic: no attempt before */
    int64_t wait_ms;     /* back-off after the next failure; 0 since the last success */
    char why[256];       /* the last failure, for those who come while it backs off */
    bool in_transaction; /* plumb_db_begin succeeded: work must not slip outside the block */
    bool warned;         /* the server sent a warning since the statement went out */
    unsigned prepared_count;
    plumb_prepared_t prepared[PLUMB_STMTS_MAX]; /* emptied with the connection */
};

struct plumb_params {
    char *data; /* owned; what libpq is given points in here */
    size_t length, capacity;
    bool failed; /* out of memory: sticky until cleared */
    int count;
    Oid types[PLUMB_PARAMS_MAX]; /* 0: a NULL of no type */
    size_t offsets[PLUMB_PARAMS_MAX];
    int lengths[PLUMB_PARAMS_MAX]; /* -1: NULL */
    Oid items_of;                  /* type of the next item: of the open array's elements or of the
                                    * open record's column; 0: none */
    uint32_t items;                /* in the array */
    bool in_record;                /* items are columns of its last element */
    Oid records_of;                /* while in_record: the array's element type */
    uint32_t columns;              /* of the record */
    size_t record_at;              /* its offset */
};

/* Connect if there is no connection; `deadline_ms` is monotonic.  Names are looked up by libpq,
 * which waits for the resolver as long as that waits. */
int plumb_db_ensure(plumb_db_t *db, int64_t deadline_ms, plumb_err_t *err);

/* Close the connection and let the back-off grow; `why` is told until it is back. */
void plumb_db_drop(plumb_db_t *db, const char *why);

/* Wait until the socket can be read (or written, if `write`).  False: the deadline passed. */
bool plumb_db_wait(PGconn *conn, bool write, int64_t deadline_ms);

/* What an error result, which has an SQLSTATE, means to a caller; fills `err` with SQLSTATE and
 * names only.  `what` names the statement. */
int plumb_db_refused(const PGresult *r, const char *what, plumb_err_t *err);

#endif
