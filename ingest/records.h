/* The records of a large body, one after another as they arrive: lines of NDJSON, rows of CSV. */
#ifndef INGEST_RECORDS_H
#define INGEST_RECORDS_H

#include "body.h"
#include "form.h"

/* Where the bytes come from: at most `size` of them to `out`; 0 at the end, negative an error. */
typedef int records_read_t(void *source, char *out, size_t size, plumb_err_t *err);

typedef struct records {
    records_read_t *read;
    void *source;
    bool is_csv;
    size_t record_max, total_max; /* bytes */
    plumb_buf_t buf;              /* owned: what came and was not taken yet */
    size_t at, total;
    bool has_ended;
    unsigned line; /* where the record that was taken last begins, from 1 */
    unsigned next_line;
} records_t;

/* Release what `records` holds. */
void records_fini(records_t *records);

/* The next record that is not blank, without its line's end; it stays until the next call.  1:
 * there is one, 0: there is none any more.  TOO_LARGE: the record, or all of it; and what `read`
 * says. */
int records_next(records_t *records, plumb_slice_t *record, plumb_err_t *err);

/* Take a row of CSV (RFC 4180, comma) apart, in place: quotes are taken off.  Returns how many
 * values there are, above `max` if too many; -1: a quote that does not end, or ends amidst. */
int records_split(char *row, size_t length, plumb_slice_t *values, int max);

#endif
