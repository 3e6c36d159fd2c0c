/* GET /api/v1/leads/filter-counts. */
#include "counting.h"

#include "../handlers.h"
#include "list.h"
#include "store_counts.h"

#include <inttypes.h>

static int count_rows(reading_t *r, const api_query_t *rest, PGresult **rows, plumb_err_t *err)
{
    list_terms_t terms;
    api_selection_t s = {.query = rest, .who = &r->request->identity};
    int rc = list_terms(r, &s, &terms, err);
    if (rc == 0)
        rc = list_tune(r->reader, err);
    if (rc == 0)
        rc = store_counts_of_rows(r->reader, &s, rows, err);
    list_terms_fini(&terms);
    return rc;
}

int counting_run(reading_t *r, counts_t *counts, plumb_err_t *err)
{
    counts_range_t range;
    api_query_t rest;
    PGresult *rows = NULL;
    counts_begin(counts, &r->query);
    bool others = counts_split(&r->query, &range, &rest);
    int rc = others ? count_rows(r, &rest, &rows, err) : list_untune(r->reader, err);
    if (rc == 0 && !others)
        rc = store_counts(r->reader, &r->request->identity, &range, &rows, err);
    for (int i = 0; rc == 0 && i < PQntuples(rows); i++) {
        count_row_t row;
        store_count_row(&row, rows, i);
        counts_add(counts, &row);
    }
    PQclear(rows);
    return rc;
}

static int put_document(reading_t *r, counts_t *counts, plumb_err_t *err)
{
    plumb_buf_t *out = &r->request->answer.body;
    plumb_buf_text(out, "{\"jsonapi\":{\"version\":\"1.1\"},\"links\":{");
    reading_put_self(r, out);
    plumb_buf_text(out, "},\"meta\":{\"counts\":");
    int rc = counts_put(counts, out, err);
    plumb_buf_printf(out, ",\"total\":%" PRId64 "}}", counts->total);
    return rc;
}

void api_counts(request_t *request)
{
    reading_t r;
    counts_t counts = {.total = 0};
    plumb_err_t err = {0};
    if (reading_begin(&r, request, &api_types[API_LEADS], API_MAY_FILTER)) {
        int rc = counting_run(&r, &counts, &err);
        if (rc == 0)
            rc = put_document(&r, &counts, &err);
        request->answer.status = 200;
        if (rc < 0)
            answer_failure(request, &err);
    }
    counts_fini(&counts);
    reading_end(&r);
}
