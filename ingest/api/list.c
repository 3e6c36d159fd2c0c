/* GET of a collection: one page of it, by cursor or by number. */
#include "list.h"

#include "../handlers.h"
#include "lead.h"
#include "links.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#define LIST_MS 5000

/* A page under way. */
typedef struct page {
    reading_t *reading;
    api_selection_t selection;
    api_position_t from;
    plumb_buf_t from_text, sql; /* owned */
    list_terms_t terms;
    bool more;     /* rows beyond those shown, in the direction of reading */
    int64_t total; /* numbered pages */
} page_t;

/* ---- what is asked for ---- */

static int find_start(page_t *p, plumb_err_t *err)
{
    const api_query_t *q = &p->reading->query;
    request_t *request = p->reading->request;
    p->selection.backwards = q->page.before > 0;
    size_t cursor = p->selection.backwards ? q->page.before : q->page.after;
    if (cursor == 0)
        return 0;
    p->selection.from = &p->from;
    return api_cursor_read(&p->from, &p->from_text, request->ingest->keyring,
                           &request->identity.account, q, q->texts.data + cursor, err);
}

int list_terms(reading_t *r, api_selection_t *s, list_terms_t *terms, plumb_err_t *err)
{
    const api_query_t *q = s->query;
    const api_condition_t *search = api_query_condition(q, API_SEARCH, API_ANY);
    *terms = (list_terms_t){.has_key = false};
    if (r->type->kind != API_LEADS ||
        (search == NULL && api_query_condition(q, PLUMB_LEAD_PHONE, API_ANY) == NULL &&
         api_query_condition(q, PLUMB_LEAD_EMAIL, API_ANY) == NULL))
        return 0;
    int rc = plumb_vault_index_key(r->request->ingest->vault, r->reader->db,
                                   &r->request->identity.account, &terms->index_key, err);
    terms->has_key = true;
    for (unsigned i = 0; rc == 0 && search != NULL && i < q->value_count; i++)
        if (q->values[i].condition == (unsigned)(search - q->conditions)) {
            plumb_blind_search(&terms->found, &terms->index_key, q->texts.data + q->values[i].at,
                               q->values[i].length);
            terms->has_search = true;
        }
    list_terms_use(s, terms);
    return rc;
}

void list_terms_use(api_selection_t *s, const list_terms_t *terms)
{
    s->index_key = terms->has_key ? &terms->index_key : NULL;
    s->found = terms->has_search ? &terms->found : NULL;
}

void list_terms_fini(list_terms_t *terms)
{
    sodium_memzero(terms, sizeof *terms);
}

/* ---- rows ---- */

/* Lists have an index to walk, whatever the planner thinks of how few rows a filter will find; one
 * that takes too long is ended by the server, not left to itself.  What has no index looks so
 * costly then that it would be compiled. */
int list_tune(reader_t *reader, plumb_err_t *err)
{
    int rc = plumb_db_connect(reader->db, LIST_MS, err);
    if (rc < 0 || reader->tuned == plumb_db_generation(reader->db))
        return rc;
    rc = plumb_db_script(reader->db,
                         "SET enable_seqscan = off; SET jit = off; SET statement_timeout = '4s'",
                         LIST_MS, err);
    if (rc == 0)
        reader->tuned = plumb_db_generation(reader->db);
    return rc;
}

int list_untune(reader_t *reader, plumb_err_t *err)
{
    if (reader->tuned == 0 || reader->tuned != plumb_db_generation(reader->db))
        return 0;
    reader->tuned = 0;
    return plumb_db_script(reader->db, "RESET enable_seqscan", LIST_MS, err);
}

int list_query(reader_t *reader, const char *name, const plumb_buf_t *sql, PGresult **rows,
               plumb_err_t *err)
{
    if (sql->failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "a list's statement");
    return plumb_db_query(reader->db, name, sql->data, reader->params, LIST_MS, rows, err);
}

static int fetch_rows(page_t *p, plumb_err_t *err)
{
    reading_t *r = p->reading;
    const api_page_t *page = &r->query.page;
    p->selection.limit = page->size + 1;
    p->selection.offset = page->paging == API_NUMBERS ? (page->number - 1) * page->size : 0;
    api_select_page(&p->sql, r->reader->params, &p->selection);
    int rc = list_query(r->reader, "a list's page", &p->sql, &r->rows, err);
    if (rc < 0)
        return rc;
    p->more = PQntuples(r->rows) > page->size;
    r->count = p->more ? (int)page->size : PQntuples(r->rows);
    return reading_fetch_outcomes(r, err);
}

static int fetch_total(page_t *p, plumb_err_t *err)
{
    PGresult *rows = NULL;
    if (p->reading->query.page.paging != API_NUMBERS)
        return 0;
    api_select_count(&p->sql, p->reading->reader->params, &p->selection);
    int rc = list_query(p->reading->reader, "a list's count", &p->sql, &rows, err);
    if (rc == 0)
        p->total = plumb_get_int8(rows, 0, 0);
    PQclear(rows);
    return rc;
}

/* ---- links ---- */

static int put_cursor(page_t *p, int row, plumb_buf_t *out, plumb_err_t *err)
{
    reading_t *r = p->reading;
    api_position_t position;
    api_position_read(&position, &r->query, r->rows, row);
    plumb_buf_clear(out);
    return api_cursor_write(out, r->request->ingest->keyring, &r->request->identity.account,
                            &r->query, &position, err);
}

/* "prev" or "next" by the cursor of a row that is shown (-1: the page is empty, so from where it
 * was looked for); `there`: is anything beyond it?  `page` is "page%5Bafter%5D=" or so; brackets
 * are escaped as strict readers of addresses want them. */
static int put_cursor_link(page_t *p, plumb_buf_t *out, const char *name, const char *page,
                           bool there, int row, plumb_err_t *err)
{
    reading_t *r = p->reading;
    api_position_t position = p->from;
    api_put_member(out, name);
    if (!there) {
        plumb_buf_put(out, "null", 4);
        return 0;
    }
    if (row >= 0)
        api_position_read(&position, &r->query, r->rows, row);
    plumb_buf_clear(&r->cursor);
    plumb_buf_text(&r->cursor, page);
    int rc = api_cursor_write(&r->cursor, r->request->ingest->keyring,
                              &r->request->identity.account, &r->query, &position, err);
    if (rc == 0)
        links_put_page(out, r->request, r->cursor.data);
    return rc;
}

static int put_cursor_links(page_t *p, plumb_buf_t *out, plumb_err_t *err)
{
    const reading_t *r = p->reading;
    bool backwards = p->selection.backwards;
    bool came = p->selection.from != NULL; /* from what lies on the other side */
    int last = r->count - 1;               /* -1: none is shown */
    int top = last < 0 ? -1 : backwards ? last : 0, bottom = last < 0 ? -1 : backwards ? 0 : last;
    api_put_member(out, "first");
    links_put_page(out, r->request, "");
    int rc =
        put_cursor_link(p, out, "prev", "page%5Bbefore%5D=", backwards ? p->more : came, top, err);
    if (rc == 0)
        rc = put_cursor_link(p, out, "next", "page%5Bafter%5D=", backwards ? came : p->more, bottom,
                             err);
    return rc;
}

static void put_number_link(const page_t *p, plumb_buf_t *out, const char *name, int64_t number,
                            bool there)
{
    plumb_buf_t *text = &p->reading->cursor;
    api_put_member(out, name);
    plumb_buf_clear(text);
    plumb_buf_printf(text, "page%%5Bnumber%%5D=%" PRId64, number);
    if (there)
        links_put_page(out, p->reading->request, text->data);
    else
        plumb_buf_put(out, "null", 4);
}

static int64_t last_page(const page_t *p)
{
    int64_t size = p->reading->query.page.size;
    return p->total == 0 ? 1 : (p->total + size - 1) / size;
}

static void put_number_links(const page_t *p, plumb_buf_t *out)
{
    int64_t number = p->reading->query.page.number, last = last_page(p);
    put_number_link(p, out, "first", 1, true);
    put_number_link(p, out, "prev", number - 1 < last ? number - 1 : last, number > 1);
    put_number_link(p, out, "next", number + 1, number < last);
    put_number_link(p, out, "last", last, true);
}

/* As Laravel JSON:API has it. */
static void put_number_meta(const page_t *p, plumb_buf_t *out)
{
    const api_page_t *page = &p->reading->query.page;
    int64_t from = (page->number - 1) * page->size + 1;
    plumb_buf_printf(out, ",\"meta\":{\"page\":{\"currentPage\":%" PRId64, page->number);
    if (p->reading->count > 0)
        plumb_buf_printf(out, ",\"from\":%" PRId64 ",\"to\":%" PRId64, from,
                         from + p->reading->count - 1);
    else
        plumb_buf_text(out, ",\"from\":null,\"to\":null");
    plumb_buf_printf(out,
                     ",\"lastPage\":%" PRId64 ",\"perPage\":%" PRId64 ",\"total\":%" PRId64 "}}",
                     last_page(p), page->size, p->total);
}

/* ---- the document ---- */

static int put_rows(page_t *p, plumb_buf_t *out, plumb_err_t *err)
{
    reading_t *r = p->reading;
    bool with_cursor = r->query.page.paging == API_CURSORS;
    int rc = 0;
    plumb_buf_text(out, ",\"data\":[");
    for (int i = 0; rc == 0 && i < r->count; i++) {
        int row = p->selection.backwards ? r->count - 1 - i : i;
        plumb_buf_text(out, i > 0 ? "," : "");
        if (with_cursor)
            rc = put_cursor(p, row, &r->cursor, err);
        if (rc == 0)
            rc = reading_put(r, out, row, with_cursor ? &r->cursor : NULL, err);
    }
    plumb_buf_put(out, "]", 1);
    return rc;
}

static int put_document(page_t *p, plumb_err_t *err)
{
    reading_t *r = p->reading;
    plumb_buf_t *out = &r->request->answer.body;
    int rc = 0;
    plumb_buf_text(out, "{\"jsonapi\":{\"version\":\"1.1\"},\"links\":{");
    reading_put_self(r, out);
    if (r->query.page.paging == API_NUMBERS)
        put_number_links(p, out);
    else
        rc = put_cursor_links(p, out, err);
    plumb_buf_put(out, "}", 1);
    if (r->query.page.paging == API_NUMBERS)
        put_number_meta(p, out);
    if (rc == 0)
        rc = put_rows(p, out, err);
    if (rc == 0)
        rc = reading_put_included(r, out, err);
    plumb_buf_put(out, "}", 1);
    return rc;
}

/* ---- the answer ---- */

static int make(page_t *p, plumb_err_t *err)
{
    int rc = list_terms(p->reading, &p->selection, &p->terms, err);
    if (rc == 0)
        rc = list_tune(p->reading->reader, err);
    if (rc == 0)
        rc = fetch_rows(p, err);
    if (rc == 0)
        rc = fetch_total(p, err);
    if (rc == 0)
        rc = put_document(p, err);
    return rc;
}

void list_answer(reading_t *r)
{
    request_t *request = r->request;
    plumb_err_t err = {0};
    page_t p = {.reading = r, .selection = {.query = &r->query, .who = &request->identity}};
    int rc = find_start(&p, &err);
    if (rc == -PLUMB_E_BAD_CURSOR) {
        answer_problem(request, err.code, SOURCE_PARAMETER,
                       p.selection.backwards ? "page[before]" : "page[after]", err.text);
    } else if (rc < 0 || make(&p, &err) < 0) {
        plumb_buf_clear(&request->answer.body);
        answer_failure(request, &err);
    } else {
        request->answer.status = 200;
    }
    list_terms_fini(&p.terms);
    plumb_buf_fini(&p.from_text);
    plumb_buf_fini(&p.sql);
}

void api_list(request_t *request)
{
    reading_t r;
    if (reading_begin(&r, request, reading_type(request), API_MAY_LIST))
        list_answer(&r);
    reading_end(&r);
}
