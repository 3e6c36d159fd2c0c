/* Rates as configuration writes them: "50/s", "100/m", "1000/h burst 50", "20/d"; a bare number is
 * a second's, and 0 is no limit. */
#ifndef PLUMB_RATE_H
#define PLUMB_RATE_H

#include "err.h"

#include <stdint.h>

#define PLUMB_RATE_MAX 1000000 /* requests in one period, and in one burst */

typedef struct plumb_rate {
    int64_t count; /* 0: no limit */
    int64_t period_us;
    int64_t burst; /* how many may come at once; as many as `count` if not said */
} plumb_rate_t;

/* CONFIG: names the text; `rate` is then untouched. */
int plumb_rate_parse(plumb_rate_t *rate, const char *text, plumb_err_t *err);

#endif
