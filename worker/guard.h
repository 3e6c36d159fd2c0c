/* The egress guard: where a call may go.  Pure: no socket, no look-up.
 *
 * Layer (a) is the URL as the library's own parser reads it; layer (c) the address of each socket
 * just before it connects, which no name, spelling or rebinding gets around; (d) the same once more
 * for a connection that is used again (reliability 5). */
#ifndef PLUMB_WORKER_GUARD_H
#define PLUMB_WORKER_GUARD_H

#include "cidr.h"
#include "conf.h"
#include "err.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <sys/socket.h>

#define GUARD_DENIED_MAX 32

typedef struct guard {
    plumb_cidr_t denied[GUARD_DENIED_MAX];
    size_t denied_count;
    plumb_cidr_t allowed[PLUMB_CIDRS_MAX]; /* by the operator: egress.allow */
    size_t allowed_count;
    plumb_cidr_t stand_ins[PLUMB_CIDRS_MAX]; /* targets of worker.connect_to */
    size_t stand_in_count;
    bool development;
} guard_t;

int guard_init(guard_t *guard, const plumb_conf_t *conf, plumb_err_t *err);

/* May a connection to `address` be opened or used? */
bool guard_admits(const guard_t *guard, const struct sockaddr *address);

/* The same for an address in text. */
bool guard_admits_text(const guard_t *guard, const char *ip, int port);

/* NULL when `url` may be called, else why not.  `mail`: smtp or smtps is wanted. */
const char *guard_url(const guard_t *guard, const char *url, bool mail);

/* worker.connect_to as CURLOPT_CONNECT_TO takes it ("host:port:address:port"); NULL when empty. */
int guard_connect_to(const char *text, struct curl_slist **list, plumb_err_t *err);

#endif
