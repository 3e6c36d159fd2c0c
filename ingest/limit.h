/* Rate limits (GCRA), in process: all that apply are looked at before any is charged. */
#ifndef INGEST_LIMIT_H
#define INGEST_LIMIT_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum limit_kind { LIMIT_TOKEN, LIMIT_ACCOUNT, LIMIT_STRANGER } limit_kind_t;

/* One limit that applies to a request. */
typedef struct limit {
    limit_kind_t kind;
    uint8_t subject[16]; /* whose: token id, account, address */
    int64_t per_second;  /* 0: none; the burst is twice that */
} limit_t;

/* Of the limit that refused, or of the tightest that allowed. */
typedef struct limit_state {
    int64_t limit;     /* requests a second */
    int64_t remaining; /* that would be let through at once */
    int64_t retry_us;  /* until one would be; 0: allowed */
} limit_state_t;

typedef struct limits limits_t;
int limits_new(limits_t **ret, plumb_err_t *err);
void limits_destroy(limits_t **limits);

/* Charge one request to every limit, or to none.  `now_us` is monotonic. */
bool limits_take(limits_t *limits, const limit_t *list, unsigned count, int64_t now_us,
                 limit_state_t *state);

/* Give back what limits_take charged: the request was a repeat. */
void limits_give(limits_t *limits, const limit_t *list, unsigned count);

#endif
