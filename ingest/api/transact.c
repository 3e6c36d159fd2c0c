/* Transactions of requests. */
#include "transact.h"

#include "../checks.h"
#include "../negotiate.h"

#include <sodium.h>

#define TIME_MS 5000
#define TRIES 3 /* of a transaction that met another one */

static int try_once(change_t *c, transact_run_t *run, const void *context, plumb_err_t *err)
{
    plumb_db_t *db = c->reader->db;
    problems_clear(&c->request->problems);
    plumb_buf_clear(&c->request->answer.body);
    int rc = plumb_db_begin(db, TIME_MS, err);
    if (rc < 0)
        return rc;
    rc = run(c, context, err);
    if (rc == 0)
        return plumb_db_commit(db, TIME_MS, err);
    plumb_db_rollback(db);
    return rc;
}

static int try_some(change_t *c, transact_run_t *run, const void *context, plumb_err_t *err)
{
    plumb_buf_t *headers = &c->request->answer.headers;
    size_t head = headers->length; /* what was said before stands whatever becomes of it */
    int rc = -PLUMB_E_DB_CONFLICT;
    for (int i = 0; i < TRIES && rc == -PLUMB_E_DB_CONFLICT; i++) {
        rc = try_once(c, run, context, err);
        if (rc < 0)
            headers->length = head;
    }
    return rc;
}

/* The account's index key is made outside of a transaction, which may be undone. */
static int prepare_keys(const change_t *c, plumb_err_t *err)
{
    plumb_key_t key;
    int rc = plumb_vault_index_key(c->request->ingest->vault, c->reader->db,
                                   &c->request->identity.account, &key, err);
    sodium_memzero(&key, sizeof key);
    return rc;
}

static void answer(request_t *request, int rc, int status, const plumb_err_t *err)
{
    if (rc == 0) {
        request->answer.status = status;
        if (status == 204)
            plumb_buf_clear(&request->answer.body);
    } else if (request->problems.count > 0) {
        answer_problems(request);
    } else {
        answer_failure(request, err);
    }
}

/* Nothing here takes a parameter. */
static bool check_query(request_t *request)
{
    query_parameter_t parameter;
    const char *query = request->door.query;
    if (query_next(&query, &parameter) == 0)
        return true;
    answer_problem(request, PLUMB_E_BAD_PARAMETER, SOURCE_PARAMETER, parameter.name,
                   "there is no such parameter here");
    return false;
}

void transact(request_t *request, transact_run_t *run, const void *context, int status)
{
    plumb_err_t err = {0};
    change_t c = {
        .request = request, .at = "/data", .if_match = mg_get_header(request->conn, "If-Match")};
    if (!check_query(request) || !checks_charge(request))
        return;
    int rc = readers_take(request->ingest->readers, &c.reader, &err);
    if (rc == 0)
        rc = prepare_keys(&c, &err);
    if (rc == 0)
        rc = try_some(&c, run, context, &err);
    readers_give(request->ingest->readers, c.reader);
    answer(request, rc, status, &err);
    change_fini(&c);
}

int transact_read(change_t *change, uint32_t *data)
{
    request_t *request = change->request;
    api_input_t in = {.json = &request->work->json,
                      .texts = &request->texts,
                      .problems = &request->problems,
                      .at = "/data"};
    return api_input_document(&in, &request->body, data) ? 0 : -(int)request->problems.first;
}
