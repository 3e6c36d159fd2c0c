/* Redis, for what several ingests share: a few connections that handler threads borrow for one
 * command.  Nobody waits for it longer than redis.timeout, twice: once for a connection, once for
 * the answer.  While it is away, commands fail at once and a thread tries to reach it again. */
#ifndef INGEST_REDIS_H
#define INGEST_REDIS_H

#include "conf.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct redis redis_t;

/* Start with what `conf` says; Redis may be away.  `*ret` stays NULL without redis.url.  CONFIG:
 * the address. */
int redis_new(redis_t **ret, const plumb_conf_t *conf, plumb_err_t *err);
void redis_destroy(redis_t **redis);

/* Run one command.  The reply is the caller's (freeReplyObject) and may be Redis's own error;
 * NULL: Redis is away or was too slow, and whether the command ran nobody knows. */
redisReply *redis_run(redis_t *redis, int count, const char **words, const size_t *lengths);

/* It answers, but with an error that it should not: it is full, loads, is a read-only copy.  That
 * counts as away, until it is tried again. */
void redis_distrust(redis_t *redis, const char *why);

/* Is it there?  If not, `err` says why. */
bool redis_is_here(redis_t *redis, plumb_err_t *err);

#endif
