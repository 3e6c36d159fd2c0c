/* What became of leads: their deliveries, and the attempts of those. */
#ifndef INGEST_API_OUTCOMES_H
#define INGEST_API_OUTCOMES_H

#include "../resource.h"
#include "../store.h"
#include "put.h"

/* Zero-initialised; released by outcomes_fini. */
typedef struct outcomes {
    PGresult *deliveries; /* by lead, then id; NULL: not asked for */
    PGresult *attempts;   /* by delivery; NULL: not asked for */
} outcomes_t;

/* Read those of the leads that `leads` has in its second column. */
int outcomes_fetch(outcomes_t *outcomes, reader_t *reader, const plumb_uuid_t *account,
                   const PGresult *leads, bool attempts, plumb_err_t *err);
void outcomes_fini(outcomes_t *outcomes);

/* Rows of one lead's deliveries: from `first`, `count` of them. */
typedef struct outcome_range {
    int first, count;
} outcome_range_t;
outcome_range_t outcomes_of(const outcomes_t *outcomes, const plumb_uuid_t *lead);

integration_status_t outcomes_status(const outcomes_t *outcomes, outcome_range_t of);

/* Append the JSON object of remote ids by channel; the JSON array of the deliveries' names. */
void outcomes_put_remote_ids(plumb_buf_t *out, const outcomes_t *outcomes, outcome_range_t of);
void outcomes_put_names(plumb_buf_t *out, const outcomes_t *outcomes, outcome_range_t of);

/* What opens the exchanges of a lead's attempts, and memory to do it. */
typedef struct outcome_opener {
    const plumb_uuid_t *account;
    const plumb_key_t *attempt_key; /* id 0: the lead is erased */
    plumb_buf_t *plain, *linkage;
    plumb_json_t *json;
} outcome_opener_t;

/* Append the resource objects of these deliveries and of their attempts, each behind a comma;
 * `fields` are those of each type. */
void outcomes_put(plumb_buf_t *out, const outcomes_t *outcomes, outcome_range_t of,
                  const outcome_opener_t *opener, const uint64_t fields[API_TYPES]);

#endif
