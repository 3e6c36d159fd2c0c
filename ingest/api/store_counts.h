/* SQL that counts leads by what facets want to know. */
#ifndef INGEST_API_STORE_COUNTS_H
#define INGEST_API_STORE_COUNTS_H

#include "counts.h"
#include "select.h"

/* From the counters, in one snapshot; parts of days at the ends of `range` from the leads. */
int store_counts(reader_t *reader, const identity_t *who, const counts_range_t *range, PGresult **r,
                 plumb_err_t *err);

/* From the leads that the selection's filters leave, within two seconds.  UNAVAILABLE: it would
 * take longer. */
int store_counts_of_rows(reader_t *reader, const api_selection_t *s, PGresult **r,
                         plumb_err_t *err);

/* A row of either; what it points to lives as long as `r`. */
void store_count_row(count_row_t *row, const PGresult *r, int number);

#endif
