/* Memory that a request needs only while it is worked on, not while it waits for its commit or for
 * the next one: far fewer requests are worked on at a time than connections are open. */
#ifndef INGEST_WORKSPACE_H
#define INGEST_WORKSPACE_H

#include "buf.h"
#include "err.h"
#include "json.h"

typedef struct workspace {
    plumb_json_t json;
    plumb_buf_t trace, plain, sealed_key, sealed, message;
    plumb_buf_t out;        /* the answer's bytes */
    struct workspace *next; /* the pool's */
} workspace_t;

/* A pool, for any thread. */
typedef struct workspaces workspaces_t;
int workspaces_new(workspaces_t **ret, plumb_err_t *err);
/* All were given back. */
void workspaces_destroy(workspaces_t **workspaces);

/* The one that was given back last, which lies in the processor's cache, or a new one with all of
 * it empty; NULL: no memory.  Its contents are left-overs. */
workspace_t *workspaces_take(workspaces_t *workspaces);
/* Give it back; NULL is none.  What grew large is wiped and released, as are those beyond a few. */
void workspaces_give(workspaces_t *workspaces, workspace_t *workspace);

/* Empty the buffer for its next use; it keeps its memory unless that is more than most need.  What
 * is released is wiped first. */
void workspace_trim(plumb_buf_t *buf);

#endif
