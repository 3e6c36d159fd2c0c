/* One request and its answer. One struct for each handler thread, its memory used again and again.
 */
#ifndef INGEST_REQUEST_H
#define INGEST_REQUEST_H

#include "blind.h"
#include "body.h"
#include "committer.h"
#include "document.h"
#include "door.h"
#include "ingest.h"
#include "json.h"
#include "lead.h"
#include "shape.h"
#include "workspace.h"

#include <netinet/in.h>
#include <time.h>

typedef struct route route_t;

/* What is sent back. */
typedef struct answer {
    int status;
    const char *type;    /* media type */
    bool closes;         /* the connection cannot go on */
    bool is_open;        /* its head is out, its body is the handler's affair */
    plumb_buf_t headers; /* further lines, each ended by "\r\n" */
    plumb_buf_t body;
} answer_t;

/* What was charged, so that it can be given back. */
typedef struct charge {
    limit_t list[4];
    unsigned count;
    bool is_shared; /* in Redis */
} charge_t;

/* The client's address. */
typedef struct source {
    uint8_t address[16];       /* for limits: IPv4 mapped; of IPv6 the first 64 bits */
    struct sockaddr_in6 exact; /* IPv4 mapped; family 0: not known */
} source_t;

typedef struct request {
    ingest_t *ingest;
    struct mg_connection *conn;
    const struct mg_request_info *info;
    unsigned slot;       /* the thread's, in the body clock */
    body_clock_t *clock; /* the server's */
    int64_t began_us;
    bool is_head, body_read;
    door_t door;
    const route_t *route;
    plumb_uuid_t id;   /* the path's {id} */
    plumb_slice_t key; /* the path's {key}, as it is written */
    source_t source;
    identity_t identity;
    charge_t charge;
    uint8_t random[240]; /* for traces */
    size_t random_left;
    char trace_id[33];
    char traceparent[56]; /* with a new parent id: ours */

    answer_t answer;
    problems_t problems;
    workspace_t *work; /* while it is worked on: handlers have one until they wait for a commit */
    time_t date_s;
    char date[48]; /* the Date header of that second */

    /* intake's */
    plumb_buf_t body;
    plumb_buf_t
        texts; /* decoded and normalised values; does not move while a lead points into it */
    plumb_lead_t lead;
    bool is_hashed;
    uint8_t body_hash[SHAPE_HASH]; /* if `is_hashed` */
    quiz_t *quiz;                  /* released at the request's end */
    bool is_blinded;               /* `blind` is of this lead */
    plumb_blind_t blind;           /* ask request_blind */
    bool blocked;                  /* the blocklist stops the lead */
    plumb_uuid_t verification;     /* of its phone; nil: none was asked for */
    prepared_t prepared;
} request_t;

request_t *request_new(ingest_t *ingest);
void request_destroy(request_t **request);

/* Make ready for the next request. */
void request_begin(request_t *request, struct mg_connection *conn);
/* Make ready for another lead, and another answer, of the same request. */
void request_again(request_t *request);
/* Let go of what belongs to this request only; buffers that grew large are wiped and released. */
void request_end(request_t *request);

/* Take a workspace, unless the request has one.  False: no memory. */
bool request_work(request_t *request);
/* Give it back: nothing of it is needed while the request waits. */
void request_rest(request_t *request);

/* The blind terms of the lead, whose values are normalised and whose quiz is known; made once. */
const plumb_blind_t *request_blind(request_t *request);

/* Answer with one error; `closes` the connection as well. */
void answer_error(request_t *request, plumb_code_t code, const char *detail);
void answer_problem(request_t *request, plumb_code_t code, document_source_t kind,
                    const char *source, const char *detail);
/* Answer with what `request->problems` gathered. */
void answer_problems(request_t *request);
/* Answer with what went wrong inside: its code's status; the text goes to the log, not to the
 * client, unless it speaks of the request. */
void answer_failure(request_t *request, const plumb_err_t *err);

/* 429 with what the limit says. */
void answer_limited(request_t *request, const limit_state_t *state);
/* 429 of who is kept out for so long. */
void answer_kept_out(request_t *request, int64_t ms);
/* The header lines RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10) of the
 * limit that `state` tells of, if one applies. */
void answer_limit_headers(request_t *request, const limit_state_t *state);

void answer_header(request_t *request, const char *name, const char *value);

#endif
