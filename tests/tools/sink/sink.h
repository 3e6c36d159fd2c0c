/* The receiver's parts: ledger, timers, connections, requests, answers. */
#ifndef SINK_H
#define SINK_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK 262144                  /* read at once, and written at once of a big answer */
#define CHUNK (BLOCK + 9)             /* with its length in front, "40000", and the line's end */
#define REQUEST_MAX ((size_t)4 << 20) /* head and body */

typedef struct sink sink_t;
typedef struct conn conn_t;

typedef struct text {
    const char *at;
    size_t length;
} text_t;

typedef struct request {
    text_t path, query, id, attempt;
    size_t head, body; /* bytes */
    int64_t stamp;
    bool closes, expects;
} request_t;

/* How a path is answered.  `value` is the number in the path or the query. */
typedef struct behaviour {
    const char *path, *query; /* a path that ends with '/' is a prefix */
    int status;               /* for the ledger; -1: the number in the path */
    void (*answer)(sink_t *s, conn_t *c);
} behaviour_t;

struct conn {
    int fd;
    bool busy;    /* a request is being answered: the next one waits */
    bool closes;  /* when it is answered */
    bool writing; /* the socket was full: `out` waits for room */
    bool continued;
    size_t timer; /* place among the timers, 0: none */
    int64_t due_us;
    const behaviour_t *behaviour;
    int status;
    int64_t value;
    int64_t left;    /* rounds of the answer yet to come; -1: not begun */
    plumb_buf_t in;  /* a request that is not whole yet */
    size_t whole;    /* bytes it will have, 0: not known yet */
    plumb_buf_t out; /* what the socket did not take */
    size_t sent;     /* of it */
    conn_t *next_ready;
    conn_t *previous, *next; /* among the living; of the dead only `next` */
};

struct sink {
    int epoll, listener, signals, ledger;
    int64_t delay_us, began_us;
    plumb_buf_t lines; /* of the ledger, not written yet */
    conn_t *live, *ready, *dead;
    conn_t **timers; /* a heap from index 1 */
    size_t timer_count, timer_capacity;
    bool stopping;
    char block[BLOCK];
    char chunk[CHUNK]; /* of a big answer */
};

__attribute__((noreturn)) void sink_die(const char *what);

/* The ledger: note a request, and write what was noted. */
void ledger_note(sink_t *s, const conn_t *c, const request_t *r);
void ledger_flush(sink_t *s);

/* Let `c` be answered, now or later. */
void conn_ready(sink_t *s, conn_t *c);
void timer_start(sink_t *s, conn_t *c, int64_t wait_us);
void timer_stop(sink_t *s, conn_t *c);

void conns_accept(sink_t *s);
void conns_bury(sink_t *s); /* free those that were dropped */
void conn_readable(sink_t *s, conn_t *c);
void conn_writable(sink_t *s, conn_t *c);
/* Events of the same round may still name it: it is freed when they are through. */
void conn_drop(sink_t *s, conn_t *c);
/* Send, or keep what the socket does not take.  Dropped afterwards, if the peer is gone. */
void conn_put(sink_t *s, conn_t *c, const char *data, size_t length);
/* The answer is complete: go on with what came meanwhile. */
void conn_done(sink_t *s, conn_t *c);

/* 1: a whole request; 0: more must come, r->head is 0 or known; -1: nonsense. */
int request_read(request_t *r, const char *data, size_t length);

/* Note the request and begin to answer it. */
void answer_begin(sink_t *s, conn_t *c, const request_t *r);
/* The socket took all that was put: go on with the answer. */
void answer_more(sink_t *s, conn_t *c);

#endif
