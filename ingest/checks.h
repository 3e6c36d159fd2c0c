/* The checks that a lead must pass, one row each, in the order of semantics.  Each leaves an entry
 * in the lead's trace: ["name","verdict"] or ["name","verdict","reason"]. */
#ifndef INGEST_CHECKS_H
#define INGEST_CHECKS_H

#include "request.h"

typedef enum check_verdict {
    CHECK_PASSED,
    CHECK_MARKED,  /* let through, with a mark on the lead */
    CHECK_SKIPPED, /* turned off, or nothing to look at */
    CHECK_LATER,   /* the commit decides, and leaves the entry */
    CHECK_REFUSED, /* request->problems says why */
    CHECK_ENDED    /* refused, and the answer is made already */
} check_verdict_t;

typedef struct check {
    const char *name;
    /* Has the quiz turned it off?  NULL: nobody can, or the check itself looks. */
    bool (*is_off)(const quiz_settings_t *settings);
    const char *setting; /* the path of the setting that does so; NULL: none */
    plumb_code_t code;   /* what it refuses with; OK: it never refuses */
    bool gathers; /* looks on after a refusal before it: its complaints are told together with
                     those */
    check_verdict_t (*run)(request_t *request, const char **reason);
} check_t;

/* The rows, for explanations and tests. */
const check_t *checks_rows(size_t *count);

/* Run all rows; request->trace is then the trace.  False: the answer is made. */
bool checks_run(request_t *request);

/* ---- 6: limits (check_limits.c) ---- */

check_verdict_t check_limits(request_t *request, const char **reason);

/* Charge the request to all limits that apply: token, account, and those of request->quiz if it is
 * for one.  The answer tells the tightest.  False: the answer, 429, is made. */
bool checks_charge(request_t *request);
/* Give the charge back: it was a repeat. */
void checks_uncharge(request_t *request);

/* ---- 5: verification (check_verification.c) ---- */

check_verdict_t check_verification(request_t *request, const char **reason);

/* ---- 10: blocklist (check_blocklist.c) ---- */

check_verdict_t check_blocklist(request_t *request, const char **reason);

/* ---- 11: geo (check_geo.c) ---- */

check_verdict_t check_geo(request_t *request, const char **reason);

#endif
