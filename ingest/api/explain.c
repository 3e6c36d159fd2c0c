/* GET /api/v1/leads/{id}/explain: what each check said of the lead, and for each service that it
 * might go to, why it was or was not sent. */
#include "../handlers.h"
#include "count.h"
#include "reading.h"

#include <string.h>

#define EXPLAIN_MS 5000

static const plumb_stmt_t select_trace = {
    .name = "ingest_explain_checks",
    .params = 2,
    .sql = "SELECT e.entry->>0, e.entry->>1, e.entry->>2 FROM leads t CROSS JOIN LATERAL "
           "json_array_elements(t.trace) WITH ORDINALITY e (entry, place) "
           "WHERE t.account_id = $1 AND t.id = $2 ORDER BY e.place"};

/* Deliveries, then the connected services that have none. */
static const plumb_stmt_t select_services = {
    .name = "ingest_explain_services",
    .params = 2,
    .sql =
        "WITH d AS MATERIALIZED (SELECT * FROM deliveries WHERE account_id = $1 AND id BETWEEN "
        "plumb_id_low($2) AND plumb_id_high($2) AND lead_id = $2) "
        "SELECT d.id::text, d.credential_id::text, c.name, d.channel, d.state::text, d.outcome, "
        "d.reason FROM d LEFT JOIN credentials c ON c.account_id = $1 AND c.id = d.credential_id "
        "UNION ALL SELECT NULL, c.id::text, c.name, c.channel, NULL, NULL, "
        "CASE WHEN NOT k.enabled THEN 'link_disabled' WHEN NOT c.enabled THEN "
        "'credential_disabled' ELSE 'connected_later' END "
        "FROM leads t JOIN credential_links k ON k.account_id = $1 AND k.project_id = t.project_id "
        "AND (k.quiz_id IS NULL OR k.quiz_id = t.quiz_id) "
        "JOIN credentials c ON c.account_id = $1 AND c.id = k.credential_id "
        "WHERE t.account_id = $1 AND t.id = $2 "
        "AND NOT EXISTS (SELECT FROM d WHERE d.credential_id = c.id) ORDER BY 1 NULLS LAST, 2"};

enum {
    SERVICE_DELIVERY,
    SERVICE_CREDENTIAL,
    SERVICE_NAME,
    SERVICE_CHANNEL,
    SERVICE_STATE,
    SERVICE_OUTCOME,
    SERVICE_REASON
};

/* In words: what a reason means, else what a state does. */
static const struct {
    const char *word, *why;
} words[] = {
    {"lead_blocked", "not sent: the blocklist stops the lead; unblocking it sends it"},
    {"lead_duplicate", "not sent: a lead of the same person came before it"},
    {"lead_unpaid", "not sent: no plan covers the lead yet; a top-up sends it"},
    {"test_lead", "not sent: a test lead, and the credential takes none"},
    {"quiz_has_its_own", "not sent: the quiz has a credential of this channel of its own"},
    {"retries_used_up", "given up: tried as often as the schedule says"},
    {"bug", "given up: the channel's plugin broke its contract"},
    {"permanent", "given up: the service refuses it for good"},
    {"cannot_open", "given up: the credential or the lead cannot be opened"},
    {"erased", "given up: the person was erased"},
    {"credential_deleted", "given up: its credential is gone"},
    {"credential_suspended", "waits: the credential is suspended"},
    {"credential_disabled", "not sent: the credential is switched off"},
    {"link_disabled", "not sent: the connection to the project or quiz is switched off"},
    {"connected_later", "not sent: connected after the lead came"},
    {"deadline", "given up: its time was over"},
    {"pending", "waits for its turn"},
    {"queued", "is on its way"},
    {"held", "waits for somebody to release it"},
    {"ambiguous", "the service may have it: waits to be told"},
    {"delivered", "sent"},
    {"failed", "given up"},
    {"skipped", "not sent"},
    {"canceled", "not sent: canceled"},
};

static const char *find_why(const char *word)
{
    for (size_t i = 0; i < PLUMB_COUNT(words); i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].why;
    return NULL;
}

static const char *why_of(const PGresult *rows, int row)
{
    const char *why = find_why(plumb_get_text(rows, row, SERVICE_REASON));
    if (why == NULL)
        why = find_why(plumb_get_text(rows, row, SERVICE_STATE));
    return why == NULL ? "" : why;
}

/* The first columns of a row as members. */
static void put_texts(plumb_buf_t *out, const PGresult *rows, int row, const char *const *names,
                      size_t count)
{
    plumb_buf_put(out, "{", 1);
    for (size_t i = 0; i < count; i++) {
        api_put_member(out, names[i]);
        if (plumb_get_null(rows, row, (int)i))
            plumb_buf_put(out, "null", 4);
        else
            plumb_buf_json(out, plumb_get_text(rows, row, (int)i),
                           plumb_get_length(rows, row, (int)i));
    }
}

static void put_document(const reading_t *r, plumb_buf_t *out, const PGresult *checks,
                         const PGresult *services)
{
    static const char *const of_check[] = {"check", "verdict", "reason"};
    static const char *const of_service[] = {"deliveryId", "credentialId", "name",  "channel",
                                             "state",      "outcome",      "reason"};
    char id[PLUMB_UUID_TEXT];
    plumb_buf_printf(out,
                     DOCUMENT_HEAD "{\"type\":\"explanations\",\"id\":\"%s\","
                                   "\"attributes\":{\"checks\":[",
                     plumb_uuid_text(&r->request->id, id));
    for (int i = 0; i < PQntuples(checks); i++) {
        plumb_buf_text(out, i > 0 ? "," : "");
        put_texts(out, checks, i, of_check, PLUMB_COUNT(of_check));
        plumb_buf_put(out, "}", 1);
    }
    plumb_buf_text(out, "],\"services\":[");
    for (int i = 0; i < PQntuples(services); i++) {
        plumb_buf_text(out, i > 0 ? "," : "");
        put_texts(out, services, i, of_service, PLUMB_COUNT(of_service));
        api_put_member(out, "why");
        plumb_buf_json_text(out, why_of(services, i));
        plumb_buf_put(out, "}", 1);
    }
    plumb_buf_printf(out,
                     "]},\"relationships\":{\"lead\":{\"data\":{\"type\":\"leads\",\"id\":\"%s\"},"
                     "\"links\":{\"related\":\"/api/v1/leads/%s\"}}}},\"links\":{",
                     id, id);
    reading_put_self(r, out);
    plumb_buf_text(out, "}}");
}

static int run(reading_t *r, const plumb_stmt_t *stmt, PGresult **rows, plumb_err_t *err)
{
    plumb_params_clear(r->reader->params);
    plumb_param_uuid(r->reader->params, &r->request->identity.account);
    plumb_param_uuid(r->reader->params, &r->request->id);
    return plumb_db_exec(r->reader->db, stmt, r->reader->params, EXPLAIN_MS, rows, err);
}

static int explain(reading_t *r, plumb_err_t *err)
{
    PGresult *checks = NULL, *services = NULL;
    int rc = store_one(&r->request->ingest->store, r->reader, r->type, &r->request->identity,
                       &r->request->id, &r->rows, err);
    if (rc == 0 && PQntuples(r->rows) == 0)
        rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, "there is no such resource");
    if (rc == 0)
        rc = run(r, &select_trace, &checks, err);
    if (rc == 0)
        rc = run(r, &select_services, &services, err);
    if (rc == 0)
        put_document(r, &r->request->answer.body, checks, services);
    PQclear(checks);
    PQclear(services);
    return rc;
}

void api_explain(request_t *request)
{
    reading_t r;
    plumb_err_t err = {0};
    if (reading_begin(&r, request, &api_types[API_LEADS], 0)) {
        request->answer.status = 200;
        if (explain(&r, &err) < 0)
            answer_failure(request, &err);
    }
    reading_end(&r);
}
