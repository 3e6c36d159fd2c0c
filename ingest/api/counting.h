/* Counting for an answer: the counters where they know enough, else rows. */
#ifndef INGEST_API_COUNTING_H
#define INGEST_API_COUNTING_H

#include "counts.h"
#include "reading.h"

/* Count what the reading's query asks for.  `counts` is released by counts_fini, whatever came. */
int counting_run(reading_t *r, counts_t *counts, plumb_err_t *err);

#endif
