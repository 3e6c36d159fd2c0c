/* Facets: how many leads there are by each of their values, under the filters of a query.  A facet
 * heeds all filters but its own. */
#ifndef INGEST_API_COUNTS_H
#define INGEST_API_COUNTS_H

#include "query.h"

typedef enum facet {
    FACET_STATUS,
    FACET_PROJECT,
    FACET_QUIZ,
    FACET_USER,
    FACET_VIEWED, /* from here in the order of plumb_lead_flags */
    FACET_PAID,
    FACET_BLOCKED,
    FACET_TEST,
    FACET_DUPLICATE,
    FACETS
} facet_t;

#define FACET_IDS 3      /* from FACET_PROJECT on */
#define FACET_FLAGS 5    /* from FACET_VIEWED on */
#define FACET_STATUSES 8 /* room for its words */

/* Leads that agree in all that is counted by. */
typedef struct count_row {
    plumb_uuid_t ids[FACET_IDS];
    const char *status;
    unsigned flags; /* of plumb_lead_flags */
    int64_t leads;
} count_row_t;

typedef struct count_id {
    plumb_uuid_t id;
    int64_t leads;
} count_id_t;

/* Zero-initialised; released by counts_fini. */
typedef struct counts {
    struct count_wanted {
        bool is_filtered;
        unsigned words;    /* bits of statuses, or of false and true */
        plumb_uuid_t *ids; /* owned, in order */
        size_t id_count;
    } wanted[FACETS];
    int64_t total; /* under all filters */
    int64_t statuses[FACET_STATUSES], flags[FACET_FLAGS][2];
    struct count_list {
        count_id_t *items; /* owned */
        size_t count, room;
    } ids[FACET_IDS];
    bool failed; /* out of memory */
} counts_t;

/* Take over the query's filters on facets. */
void counts_begin(counts_t *counts, const api_query_t *q);
void counts_fini(counts_t *counts);

void counts_add(counts_t *counts, const count_row_t *row);

/* Append {"status":{"New":3,…},"projectId":{…},…}.  MEMORY. */
int counts_put(counts_t *counts, plumb_buf_t *out, plumb_err_t *err);

/* The number of a status among its words. */
int counts_status(const char *status);

/* ---- which filters are whose ---- */

/* A range of times of creation; INT64_MIN, INT64_MAX: open. */
typedef struct counts_range {
    int64_t from_ms, to_ms; /* to_ms: behind the last one */
} counts_range_t;

/* Split the query's filters: those on facets are left to counts_begin, those on createdAt go to
 * `range`, all others and those on createdAt to `rest`, which shares the query's texts.  False:
 * nothing but facets and ranges is asked for, so the counters know all. */
bool counts_split(const api_query_t *q, counts_range_t *range, api_query_t *rest);

/* Make `copy` the query without its filter on the attribute's values; it shares the texts. */
void counts_without(const api_query_t *q, int attr, api_query_t *copy);

#endif
