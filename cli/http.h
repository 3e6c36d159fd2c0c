/* One HTTP request at a time, to our own daemons. */
#ifndef PLUMB_CLI_HTTP_H
#define PLUMB_CLI_HTTP_H

#include "buf.h"
#include "err.h"

#include <stdint.h>

typedef struct http_ask {
    const char *socket; /* path of a unix socket, or NULL: TCP */
    const char *method, *url;
    const char *token; /* NULL: none */
    const char *body;  /* NULL: none; JSON:API */
    int64_t timeout_ms;
} http_ask_t;

typedef struct http_answer {
    long status;
    plumb_buf_t body; /* at most 1 MiB */
} http_answer_t;

/* Once a program, before any other thread. */
int http_open(plumb_err_t *err);
void http_close(void);

/* UNAVAILABLE, TIMEOUT: no answer.  An answer of any status is a success here.  The caller
 * releases the answer, also after an error. */
int http_request(const http_ask_t *ask, http_answer_t *answer, plumb_err_t *err);
void http_answer_fini(http_answer_t *answer);

/* Ask a daemon on its admin socket whether work can flow: 0, or UNAVAILABLE with its reason. */
int http_ready(const char *socket, plumb_err_t *err);

#endif
