/* The checks that a lead must pass, one row each, in the order of semantics: name, function.  Each
 * leaves an entry in the lead's trace. */
#ifndef INGEST_CHECKS_H
#define INGEST_CHECKS_H

#include "request.h"

typedef enum check_verdict {
    CHECK_PASSED,
    CHECK_SKIPPED, /* turned off, or nothing to look at */
    CHECK_REFUSED, /* request->problems says why */
    CHECK_ENDED    /* refused, and the answer is made already */
} check_verdict_t;

typedef struct check {
    const char *name;
    bool gathers; /* looks on after a refusal before it: its complaints are told together with those
                   */
    check_verdict_t (*run)(request_t *request, const char **reason);
} check_t;

/* Run all rows; request->trace is then the trace.  False: the answer is made. */
bool checks_run(request_t *request);

/* ---- 6: limits (check_limits.c) ---- */

check_verdict_t check_limits(request_t *request, const char **reason);

/* Charge the request to all limits that apply: token, account, and those of request->quiz if it is
 * for one.  The answer tells the tightest.  False: the answer, 429, is made. */
bool checks_charge(request_t *request);
/* Give the charge back: it was a repeat. */
void checks_uncharge(request_t *request);

#endif
