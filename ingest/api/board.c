/* GET /api/v1/leads/kanban: a column for each status, with its newest leads. */
#include "../handlers.h"
#include "counting.h"
#include "lead.h"
#include "links.h"
#include "list.h"

#include "../negotiate.h"

#include <inttypes.h>
#include <string.h>

/* A board under way. */
typedef struct board {
    reading_t *reading;
    counts_t counts;
    list_terms_t terms;
    plumb_buf_t names, leads; /* owned: linkage of the lane, resources of all */
} board_t;

/* ---- links ---- */

/* Does the parameter say what the lane says by itself? */
static bool is_lanes(const char *query)
{
    query_parameter_t p;
    return query_next(&query, &p) > 0 &&
           (strcmp(p.name, "filter[status]") == 0 || strcmp(p.name, "filter[status][]") == 0);
}

/* The list of the lane, with all filters of the board; with `after` its next page. */
static void put_link(const board_t *b, plumb_buf_t *out, const char *status,
                     const plumb_buf_t *after)
{
    plumb_buf_t link = {0};
    plumb_buf_printf(&link, "%s?filter%%5Bstatus%%5D=%s", b->reading->type->path, status);
    for (const char *at = b->reading->request->door.query; at != NULL && *at != '\0';) {
        size_t length = strcspn(at, "&");
        if (length > 0 && !is_lanes(at)) {
            plumb_buf_put(&link, "&", 1);
            plumb_buf_put(&link, at, length);
        }
        at += length + (at[length] == '&');
    }
    if (after != NULL) {
        plumb_buf_text(&link, "&page%5Bafter%5D=");
        plumb_buf_put(&link, after->data, after->length);
    }
    plumb_buf_json(out, link.data, link.length);
    plumb_buf_fini(&link);
}

/* ---- a lane ---- */

static int fetch(board_t *b, const api_query_t *q, plumb_err_t *err)
{
    reading_t *r = b->reading;
    plumb_buf_t sql = {0};
    api_selection_t s = {.query = q, .who = &r->request->identity, .limit = r->query.page.size + 1};
    list_terms_use(&s, &b->terms);
    PQclear(r->rows);
    r->rows = NULL;
    outcomes_fini(&r->outcomes);
    r->outcomes = (outcomes_t){NULL, NULL};
    api_select_page(&sql, r->reader->params, &s);
    int rc = list_query(r->reader, "a board's lane", &sql, &r->rows, err);
    plumb_buf_fini(&sql);
    if (rc < 0)
        return rc;
    r->count =
        PQntuples(r->rows) > r->query.page.size ? (int)r->query.page.size : PQntuples(r->rows);
    return reading_fetch_outcomes(r, err);
}

static int put_leads(board_t *b, plumb_err_t *err)
{
    reading_t *r = b->reading;
    int rc = 0;
    plumb_buf_clear(&b->names);
    for (int i = 0; rc == 0 && i < r->count; i++) {
        char text[PLUMB_UUID_TEXT];
        plumb_uuid_t id = plumb_get_uuid(r->rows, i, 1);
        plumb_buf_text(&b->names, i > 0 ? "," : "");
        api_put_name(&b->names, r->type, plumb_uuid_text(&id, text));
        plumb_buf_put(&b->names, "}", 1);
        plumb_buf_text(&b->leads, b->leads.length > 0 ? "," : "");
        rc = reading_put(r, &b->leads, i, NULL, err);
    }
    return rc;
}

static int put_next(board_t *b, const api_query_t *q, plumb_buf_t *out, const char *status,
                    plumb_err_t *err)
{
    reading_t *r = b->reading;
    api_position_t position;
    if (PQntuples(r->rows) <= r->count || r->count == 0) {
        plumb_buf_text(out, "null");
        return 0;
    }
    api_position_read(&position, q, r->rows, r->count - 1);
    plumb_buf_clear(&r->cursor);
    int rc = api_cursor_write(&r->cursor, r->request->ingest->keyring,
                              &r->request->identity.account, q, &position, err);
    put_link(b, out, status, &r->cursor);
    return rc;
}

static int put_lane(board_t *b, const char *status, plumb_buf_t *out, plumb_err_t *err)
{
    api_query_t q;
    counts_without(&b->reading->query, PLUMB_LEAD_STATUS, &q);
    api_query_require(&q, PLUMB_LEAD_STATUS, status);
    int rc = q.texts.failed ? plumb_err_set(err, PLUMB_E_MEMORY, "a board's lane") : 0;
    b->reading->query.texts = q.texts; /* grown by the status */
    if (rc == 0)
        rc = fetch(b, &q, err);
    if (rc == 0)
        rc = put_leads(b, err);
    if (rc < 0)
        return rc;
    plumb_buf_printf(out,
                     "{\"type\":\"kanbanColumns\",\"id\":\"%s\",\"attributes\":{\"title\":\"%s\"},"
                     "\"relationships\":{\"leads\":{\"data\":[",
                     status, status);
    plumb_buf_put(out, b->names.data, b->names.length);
    plumb_buf_text(out, "],\"links\":{\"related\":");
    put_link(b, out, status, NULL);
    plumb_buf_text(out, ",\"next\":");
    rc = put_next(b, &q, out, status, err);
    plumb_buf_printf(out, "},\"meta\":{\"page\":{\"total\":%" PRId64 "}}}}}",
                     b->counts.statuses[counts_status(status)]);
    return rc;
}

/* ---- the document ---- */

static bool is_shown(const board_t *b, const char *status)
{
    const struct count_wanted *w = &b->counts.wanted[FACET_STATUS];
    return !w->is_filtered || (w->words >> counts_status(status) & 1) != 0;
}

static int put_document(board_t *b, plumb_err_t *err)
{
    plumb_buf_t *out = &b->reading->request->answer.body;
    const char *const *status = plumb_lead_attrs[PLUMB_LEAD_STATUS].words;
    const char *comma = "";
    int rc = 0;
    plumb_buf_text(out, "{\"jsonapi\":{\"version\":\"1.1\"},\"links\":{");
    reading_put_self(b->reading, out);
    plumb_buf_text(out, "},\"data\":[");
    for (; rc == 0 && *status != NULL; status++) {
        if (!is_shown(b, *status))
            continue;
        plumb_buf_text(out, comma);
        rc = put_lane(b, *status, out, err);
        comma = ",";
    }
    plumb_buf_text(out, "],\"included\":[");
    plumb_buf_put(out, b->leads.data, b->leads.length);
    plumb_buf_text(out, "]}");
    if (rc == 0 && (b->leads.failed || b->names.failed))
        rc = plumb_err_set(err, PLUMB_E_MEMORY, "a board");
    return rc;
}

static int make(board_t *b, plumb_err_t *err)
{
    api_selection_t s = {.query = &b->reading->query};
    int rc = counting_run(b->reading, &b->counts, err);
    if (rc == 0)
        rc = list_tune(b->reading->reader, err);
    if (rc == 0)
        rc = list_terms(b->reading, &s, &b->terms, err);
    return rc == 0 ? put_document(b, err) : rc;
}

void api_board(request_t *request)
{
    reading_t r;
    board_t b = {.reading = &r};
    plumb_err_t err = {0};
    if (reading_begin(&r, request, &api_types[API_LEADS], API_MAY_LANES)) {
        request->answer.status = 200;
        if (make(&b, &err) < 0) {
            plumb_buf_clear(&request->answer.body);
            answer_failure(request, &err);
        }
    }
    counts_fini(&b.counts);
    list_terms_fini(&b.terms);
    plumb_buf_fini(&b.names);
    plumb_buf_wipe(&b.leads);
    reading_end(&r);
}
