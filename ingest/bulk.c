/* POST /api/v1/leads/bulk: many leads in one request, each through the checks of all leads.
 *
 * The body is read as the leads are taken, so that no more than one record is in memory.  What was
 * taken stays taken, whatever comes behind it: so the answer is a report, one line for each record,
 * and its status says only that it was read. */
#include "checks.h"
#include "form.h"
#include "handlers.h"
#include "records.h"
#include "serve.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RECORDS_MAX 10000
#define TOTAL_MAX ((size_t)64 << 20)
#define REPORT_MAX ((size_t)16 << 20) /* beyond, errors are told without their details */

typedef struct bulk {
    request_t *request;
    records_t records;
    size_t came; /* bytes of the body */
    plumb_buf_t report;
    plumb_buf_t header; /* of CSV: its first row, into which `names` points */
    plumb_slice_t names[FORM_FIELDS_MAX];
    int name_count;
    form_t form;
} bulk_t;

/* ---- the report ---- */

/* The errors of an error document, brackets included; their number in `length`. */
static const char *errors_of(const plumb_buf_t *body, size_t *length)
{
    static const char member[] = "\"errors\":";
    const char *at = body->data == NULL ? NULL : strstr(body->data, member);
    if (at == NULL)
        return NULL;
    at += sizeof member - 1;
    *length = (size_t)(body->data + body->length - 1 - at); /* without the last brace */
    return at;
}

static void report(bulk_t *b)
{
    static const char member[] = "\"id\":\"";
    const answer_t *a = &b->request->answer;
    plumb_buf_t *out = &b->report;
    size_t length;
    plumb_buf_printf(out, "{\"line\":%u,\"status\":%d", b->records.line, a->status);
    const char *id = a->body.data == NULL ? NULL : strstr(a->body.data, member);
    const char *errors = errors_of(&a->body, &length);
    if (a->status < 400 && id != NULL)
        plumb_buf_printf(out, ",\"id\":\"%.36s\"", id + sizeof member - 1);
    if (a->status >= 400 && errors != NULL && out->length < REPORT_MAX) {
        plumb_buf_text(out, ",\"errors\":");
        plumb_buf_put(out, errors, length);
    }
    plumb_buf_text(out, "}\n");
}

static void report_error(bulk_t *b, plumb_code_t code, const char *detail)
{
    request_again(b->request);
    answer_error(b->request, code, detail);
    report(b);
}

/* ---- records ---- */

static int read_more(void *source, char *out, size_t size, plumb_err_t *err)
{
    bulk_t *b = source;
    request_t *request = b->request;
    int n = body_piece(request->clock, request->slot, request->conn, out, size, err);
    b->came += n > 0 ? (size_t)n : 0;
    if (n == 0 && !request->door.is_chunked && b->came != (size_t)request->door.length)
        return plumb_err_set(err, PLUMB_E_BAD_REQUEST, "%zu bytes of body came, %zu announced",
                             b->came, (size_t)request->door.length);
    return n;
}

/* The names of the columns are the first row. */
static int take_header(bulk_t *b, const plumb_slice_t *row, plumb_err_t *err)
{
    static const char mark[] = "\xEF\xBB\xBF"; /* as spreadsheets write it */
    size_t skip = row->length >= 3 && memcmp(row->data, mark, 3) == 0 ? 3 : 0;
    plumb_buf_put(&b->header, row->data + skip, row->length - skip);
    if (b->header.failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "header");
    b->name_count = records_split(b->header.data, b->header.length, b->names, FORM_FIELDS_MAX);
    if (b->name_count < 0 || b->name_count > FORM_FIELDS_MAX)
        return plumb_err_set(err, PLUMB_E_BAD_DOCUMENT, "the header is no row of CSV");
    return 0;
}

/* The row, which lies in request->body, as a form. */
static int read_row(bulk_t *b, plumb_err_t *err)
{
    plumb_slice_t values[FORM_FIELDS_MAX];
    plumb_buf_t *row = &b->request->body;
    int rc = 0, count = records_split(row->data, row->length, values, FORM_FIELDS_MAX);
    b->form.count = 0;
    if (count != b->name_count)
        return plumb_err_set(err, PLUMB_E_BAD_DOCUMENT,
                             count < 0 ? "quotes are wrong" : "not as many values as names");
    for (int i = 0; rc == 0 && i < count; i++)
        if (values[i].length > 0)
            rc = form_add(&b->form, b->names[i], values[i], false, err);
    return rc;
}

/* Make the document of the record, in request->body. */
static int make_document(bulk_t *b, const plumb_slice_t *record, plumb_err_t *err)
{
    request_t *request = b->request;
    const form_frame_t frame = {.quiz = NULL};
    plumb_buf_clear(&request->body);
    plumb_buf_put(&request->body, record->data, record->length);
    if (request->body.failed || !request_work(request))
        return plumb_err_set(err, PLUMB_E_MEMORY, "record");
    int rc = b->records.is_csv
                 ? read_row(b, err)
                 : form_read(&b->form, FORM_JSON, NULL, &request->body, &request->work->json, err);
    if (rc < 0)
        return rc;
    plumb_buf_t *out = &request->work->message, was = request->body;
    form_document(&b->form, &frame, out);
    request->body = *out;
    *out = was;
    return request->body.failed ? plumb_err_set(err, PLUMB_E_MEMORY, "record") : 0;
}

static void take_record(bulk_t *b, const plumb_slice_t *record)
{
    plumb_err_t err = {0};
    request_again(b->request);
    if (make_document(b, record, &err) < 0)
        answer_error(b->request, err.code, err.text);
    else
        intake_post(b->request);
    report(b);
}

/* True: all of the body was read. */
static bool take_all(bulk_t *b)
{
    plumb_slice_t record;
    plumb_err_t err = {0};
    unsigned taken = 0;
    int rc;
    while ((rc = records_next(&b->records, &record, &err)) > 0) {
        if (b->records.is_csv && b->name_count == 0) {
            rc = take_header(b, &record, &err);
            if (rc < 0)
                break;
            continue;
        }
        if (taken++ == RECORDS_MAX) {
            rc = plumb_err_set(&err, PLUMB_E_TOO_LARGE, "more than %d records", RECORDS_MAX);
            break;
        }
        take_record(b, &record);
    }
    if (rc < 0)
        report_error(b, err.code, err.text);
    return rc == 0;
}

static bool is_type(const char *content_type, const char *want)
{
    size_t length = content_type == NULL ? 0 : strcspn(content_type, "; \t");
    return length == strlen(want) && strncasecmp(content_type, want, length) == 0;
}

static void answer_report(bulk_t *b, bool is_whole)
{
    request_t *request = b->request;
    request_again(request);
    request->body_read = is_whole;
    request->answer.status = 200;
    request->answer.type = "application/x-ndjson";
    request->answer.closes = !is_whole;
    plumb_buf_put(&request->answer.body, b->report.data, b->report.length);
    if (b->report.failed)
        request->answer.body.failed = true;
}

void bulk_post(request_t *request)
{
    const char *type = request->door.content_type;
    bool is_csv = is_type(type, "text/csv");
    if (!is_csv && !is_type(type, "application/x-ndjson")) {
        answer_problem(request, PLUMB_E_MEDIA_TYPE, SOURCE_HEADER, "Content-Type",
                       "want application/x-ndjson or text/csv");
        return;
    }
    if (request->door.idempotency_key != NULL) {
        answer_problem(request, PLUMB_E_BAD_REQUEST, SOURCE_HEADER, "Idempotency-Key",
                       "is for one lead, not for many");
        return;
    }
    bulk_t *b = calloc(1, sizeof *b);
    if (b == NULL) {
        answer_error(request, PLUMB_E_MEMORY, "our mistake; it is in the log");
        return;
    }
    b->request = request;
    b->records = (records_t){.read = read_more,
                             .source = b,
                             .is_csv = is_csv,
                             .record_max = (size_t)request->ingest->conf->ingest_body,
                             .total_max = TOTAL_MAX};
    if (serve_let_continue(request))
        answer_report(b, take_all(b));
    records_fini(&b->records);
    plumb_buf_fini(&b->header);
    plumb_buf_wipe(&b->report);
    free(b);
}
