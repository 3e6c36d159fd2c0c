/* Rate limits in Redis: all of a request in one script, so in one round trip and at one moment. */
#ifndef INGEST_LIMIT_REDIS_H
#define INGEST_LIMIT_REDIS_H

#include "limit.h"
#include "redis.h"

typedef struct limit_redis limit_redis_t;
int limit_redis_new(limit_redis_t **ret, redis_t *redis, plumb_err_t *err);
void limit_redis_destroy(limit_redis_t **limits);

/* Charge one request to every limit, or to none; what came of it is in `state`.  False: Redis
 * cannot tell. */
bool limit_redis_take(limit_redis_t *limits, const limit_t *list, unsigned count,
                      limit_state_t *state);
void limit_redis_give(limit_redis_t *limits, const limit_t *list, unsigned count);

#endif
