/* The connections that answer reads, shared by the handler threads. */
#ifndef INGEST_READERS_H
#define INGEST_READERS_H

#include "db.h"

typedef struct readers readers_t;

/* A connection while somebody has it; it is that thread's alone. */
typedef struct reader {
    plumb_db_t *db;
    plumb_params_t *params; /* cleared */
    uint64_t tuned;         /* the generation of `db` whose session has ingest/api's settings */
} reader_t;

int readers_new(readers_t **ret, const char *conninfo, unsigned count, plumb_err_t *err);
void readers_destroy(readers_t **readers);

/* Take a connection, waiting for one that is free.  UNAVAILABLE: all were busy for too long. */
int readers_take(readers_t *readers, reader_t **reader, plumb_err_t *err);
void readers_give(readers_t *readers, reader_t *reader);

#endif
