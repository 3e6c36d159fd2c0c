/* The route table: every path and method that is served, once. */
#ifndef INGEST_ROUTE_H
#define INGEST_ROUTE_H

#include "request.h"

enum {
    ROUTE_JSONAPI = 1, /* JSON:API's negotiation holds */
    ROUTE_BODY = 2,    /* takes a document */
    ROUTE_ATOMIC = 4   /* … of the atomic operations extension */
};

struct route {
    const char *method;
    const char *path; /* "{id}" stands for a UUID, "{key}" for any text */
    unsigned scopes;  /* any of these; 0: no token needed */
    unsigned flags;
    const char *name;   /* in idempotency rows and metrics: "POST /api/v1/leads" */
    const char *series; /* the same as two labels: "POST,/api/v1/leads" */
    void (*handle)(request_t *request);
};

/* Find the route of request->door.path; its {id} goes to request->id, its {key} to request->key.
 * NOT_FOUND; METHOD, with the methods served there in `allow`. */
#define ROUTE_ALLOW 64
int route_find(request_t *request, const char *method, char allow[ROUTE_ALLOW], plumb_err_t *err);

#endif
