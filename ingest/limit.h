/* Rate limits (GCRA): all that apply to a request are looked at before any is charged. */
#ifndef INGEST_LIMIT_H
#define INGEST_LIMIT_H

#include "err.h"
#include "rate.h"
#include "redis.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum limit_kind {
    LIMIT_TOKEN,
    LIMIT_ACCOUNT,
    LIMIT_CLIENT, /* of a quiz: fingerprint, else address */
    LIMIT_TESTS,  /* test leads of a quiz */
    LIMIT_STRANGER
} limit_kind_t;

/* What clients are told of it: "token", "account", … */
const char *limit_name(limit_kind_t kind);

/* One limit that applies to a request. */
typedef struct limit {
    limit_kind_t kind;
    uint8_t subject[16]; /* whose: token id, account, quiz, address, or a hash */
    plumb_rate_t rate;   /* count 0: none */
} limit_t;

/* Of the limit that refused, or of the tightest that allowed. */
typedef struct limit_state {
    const limit_t *limit; /* of the list that was looked at; NULL: none applies */
    int64_t remaining;    /* that would be let through at once */
    int64_t retry_us;     /* until one would be; 0: allowed */
    int64_t full_us;      /* until all of the burst would be */
    bool is_shared;       /* it holds across hosts: Redis was asked */
} limit_state_t;

/* The pure part, for whoever keeps the arrival times elsewhere. */
int64_t limit_interval_us(const plumb_rate_t *rate);  /* between two requests at that rate */
int64_t limit_tolerance_us(const plumb_rate_t *rate); /* the burst as a time */
/* Take one limit's verdict into `state`; `ahead_us`: how far its arrival time would be ahead of now
 * with one more request. */
void limit_judge(limit_state_t *state, const limit_t *limit, int64_t ahead_us);

typedef struct limits limits_t;

/* With `redis` (NULL: none; it must outlive them) limits hold across all ingests that share it, by
 * its own clock.  Where it does not answer they hold in this process.  Those of strangers always
 * do: a flood of them is not to cost a round trip each. */
int limits_new(limits_t **ret, redis_t *redis, plumb_err_t *err);
void limits_destroy(limits_t **limits);

/* Charge one request to every limit, or to none.  `now_us` is monotonic. */
bool limits_take(limits_t *limits, const limit_t *list, unsigned count, int64_t now_us,
                 limit_state_t *state);

/* Give back what limits_take charged, where it was charged: the request was a repeat. */
void limits_give(limits_t *limits, const limit_t *list, unsigned count, bool is_shared);

#endif
