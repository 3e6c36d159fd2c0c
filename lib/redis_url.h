/* Where Redis is, as configuration writes it:
 *   redis://[[user]:password@]host[:port][/database]    unix:///path[?db=database]
 * User and password may hold %XX; an IPv6 host stands in brackets. */
#ifndef PLUMB_REDIS_URL_H
#define PLUMB_REDIS_URL_H

#include "err.h"

typedef struct plumb_redis_url {
    char path[108]; /* of a unix socket; "": host and port hold */
    char host[256];
    int port;
    char user[128], password[256]; /* "": none */
    int database;
} plumb_redis_url_t;

/* CONFIG: says what is wanted, and shows nothing of the text, which may hold a password. */
int plumb_redis_url_parse(plumb_redis_url_t *url, const char *text, plumb_err_t *err);

#endif
