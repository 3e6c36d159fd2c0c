/* POST /api/v1/leads: check, prepare, commit, answer. */
#include "checks.h"
#include "clock.h"
#include "datakey.h"
#include "handlers.h"
#include "idempotency.h"
#include "lead_keys.h"
#include "log.h"
#include "metrics.h"
#include "pack.h"
#include "resource.h"
#include "route.h"
#include "shape.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* What is made of a request for its commit. */
typedef struct making {
    request_t *request;
    plumb_lead_t *lead;
    int64_t now_ms; /* PostgreSQL's clock */
    plumb_key_t key;
    plumb_key_t attempt_key;
    char created[PLUMB_TIME_TEXT];
    char original[PLUMB_UUID_TEXT]; /* whose duplicate it is */
    bool is_test;
    integration_t integration;
    bool has_body; /* request->work->plain holds the lead as channels see it */
} making_t;

static plumb_slice_t slice(const char *text)
{
    return (plumb_slice_t){text, strlen(text)};
}

static plumb_slice_t slice_of(const plumb_buf_t *buf)
{
    return (plumb_slice_t){buf->data, buf->length};
}

/* ---- deliveries ---- */

/* Why the target gets nothing; NULL: it does. */
static const char *reason_to_skip(const making_t *m, const target_t *target)
{
    if (!target->credential.enabled)
        return "credential_disabled";
    if (target->overridden)
        return "quiz_has_its_own";
    if (m->is_test && !target->credential.accepts_tests)
        return "test_lead";
    return NULL;
}

/* The same, or why it waits: `held`. */
static const char *reason_not_to_send(const making_t *m, const target_t *target, bool *held)
{
    const char *reason = reason_to_skip(m, target);
    *held = reason == NULL && m->request->blocked;
    return *held ? "lead_blocked" : reason;
}

/* The lead as channels see it, made once for all its jobs. */
static int need_body(making_t *m, plumb_err_t *err)
{
    if (m->has_body)
        return 0;
    plumb_buf_clear(&m->request->work->plain);
    m->has_body = true;
    plumb_key_attempt(&m->attempt_key, &m->key);
    return plumb_lead_body_pack(&m->request->work->plain, m->lead, &m->request->work->json, err);
}

/* Encode the job of a delivery that is to be pushed after the commit. */
static int make_job(making_t *m, const target_t *target, const plumb_uuid_t *delivery,
                    uint64_t epoch, plumb_err_t *err)
{
    request_t *request = m->request;
    int rc = need_body(m, err);
    if (rc < 0)
        return rc;
    plumb_job_t job = {.ticket = {*delivery, 1},
                       .account = m->lead->account,
                       .lead = m->lead->id,
                       .epoch = epoch,
                       .priority = PLUMB_NORMAL,
                       .verb = slice("send"),
                       .trace = slice(request->traceparent),
                       .is_ours = true,
                       .body = slice_of(&request->work->plain)};
    plumb_credential_to_job(&target->credential, &job);
    memcpy(job.attempt_key, m->attempt_key.bytes, sizeof job.attempt_key);
    rc = plumb_job_encode(&request->work->message, &job, err);
    sodium_memzero(job.attempt_key, sizeof job.attempt_key);
    return rc;
}

static void keep_job(request_t *request)
{
    size_t length = request->work->message.length;
    plumb_buf_put(&request->prepared.jobs, &length, sizeof length);
    plumb_buf_put(&request->prepared.jobs, request->work->message.data, length);
}

/* May the delivery go to the broker with the commit (T1)?  Then its job is kept. */
static int try_queue(making_t *m, const target_t *target, delivery_record_t *record,
                     plumb_err_t *err)
{
    handover_t *handover = m->request->ingest->handover;
    const plumb_credential_t *credential = &target->credential;
    uint64_t epoch;
    if (target->delay_ms > 0 || target->is_closed || credential->suspended)
        return 0;
    handover_way_t way =
        handover_way(handover, credential->queue, &credential->id, plumb_mono_ms(), &epoch);
    int rc = way == HANDOVER_OPEN ? make_job(m, target, &record->id, epoch, err) : 0;
    if (rc < 0)
        return rc;
    if (way == HANDOVER_OPEN && !handover_reserve(handover, m->request->work->message.length))
        way = HANDOVER_FULL;
    m->request->prepared.is_crowded |= way == HANDOVER_FULL;
    if (way != HANDOVER_OPEN)
        return 0;
    keep_job(m->request);
    record->state = slice("queued");
    record->attempt = 1;
    record->epoch = epoch;
    return 0;
}

static int make_delivery(making_t *m, const target_t *target, plumb_err_t *err)
{
    const plumb_conf_t *conf = m->request->ingest->conf;
    prepared_t *prepared = &m->request->prepared;
    bool held = false;
    const char *reason = reason_not_to_send(m, target, &held);
    delivery_record_t record = {
        .account = &m->lead->account,
        .lead = &m->lead->id,
        .id = plumb_uuid_at(m->now_ms),
        .credential = target->credential.id,
        .channel = slice(target->credential.channel),
        .state = slice(reason == NULL ? "pending"
                       : held         ? "held"
                                      : "skipped"),
        .due_ms = m->now_ms + target->delay_ms,
        .deadline_ms = m->now_ms + target->delay_ms + conf->delivery_deadline,
        .created_ms = m->now_ms,
    };
    if (reason != NULL) {
        record.reason = slice(reason);
    } else {
        int rc = try_queue(m, target, &record, err);
        if (rc < 0)
            return rc;
    }
    integration_count(&m->integration, record.state.data);
    pack_delivery(&prepared->deliveries, &record);
    prepared->delivery_count++;
    return 0;
}

/* ---- the lead ---- */

/* Wrap a fresh data key and seal what is personal under it. */
static int seal_lead(making_t *m, plumb_err_t *err)
{
    request_t *request = m->request;
    plumb_seal_place_t key_place = plumb_lead_place_key(&m->lead->account, &m->lead->id);
    plumb_seal_place_t place = plumb_lead_place_personal(&m->lead->account, &m->lead->id);
    plumb_key_new(&m->key, DATA_KEY_ID);
    plumb_buf_clear(&request->work->sealed_key);
    plumb_buf_clear(&request->work->sealed);
    plumb_buf_clear(&request->work->plain);
    int rc = plumb_seal(&request->work->sealed_key, &request->quiz->key, &key_place, m->key.bytes,
                        sizeof m->key.bytes, err);
    if (rc == 0)
        rc = plumb_lead_personal_pack(&request->work->plain, m->lead, err);
    if (rc == 0)
        rc = plumb_seal(&request->work->sealed, &m->key, &place, request->work->plain.data,
                        request->work->plain.length, err);
    return rc;
}

/* What a repeat under the same key is answered from, with the repeat itself. */
static void keep_answer(making_t *m, lead_record_t *record)
{
    request_t *request = m->request;
    if (request->door.idempotency_key == NULL)
        return;
    request->prepared.is_keyed = true;
    record->route = slice(request->route->name);
    record->key = slice(request->door.idempotency_key);
    record->request_hash =
        (plumb_slice_t){(const char *)request->body_hash, sizeof request->body_hash};
    record->integration_status = slice(integration_name(integration_status(&m->integration)));
}

static int make_record(making_t *m, plumb_err_t *err)
{
    request_t *request = m->request;
    lead_record_t record = {.lead = m->lead,
                            .created_ms = m->now_ms,
                            .sealed_key = slice_of(&request->work->sealed_key),
                            .sealed = slice_of(&request->work->sealed),
                            .trace = slice_of(&request->work->trace),
                            .traceparent = slice(request->traceparent),
                            .blind = &request->blind,
                            .body = request->prepared.keys.body,
                            .blocked = request->blocked,
                            .verification = request->verification};
    keep_answer(m, &record);
    pack_lead(&request->prepared.record, &record);
    request->prepared.lead = m->lead->id;
    if (request->prepared.record.failed || request->prepared.deliveries.failed ||
        request->prepared.jobs.failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "prepare a lead");
    return 0;
}

/* Ids and times come from PostgreSQL's clock: a wrong one here changes nothing. */
static int stamp(making_t *m, plumb_err_t *err)
{
    plumb_lead_t *lead = m->lead;
    m->now_ms = committers_now_ms(m->request->ingest->committers);
    if (m->now_ms == 0)
        return plumb_err_set(err, PLUMB_E_DB_AWAY, "the database was not reached yet");
    lead->id = plumb_uuid_at(m->now_ms);
    resource_stamp(lead, m->now_ms, m->created);
    resource_mark(lead, true, &(plumb_uuid_t){{0}}, m->original);
    m->is_test = lead->value[PLUMB_LEAD_IS_TEST].data[0] == 't';
    return 0;
}

static int prepare(making_t *m, plumb_err_t *err)
{
    const quiz_t *quiz = m->request->quiz;
    request_t *request = m->request;
    prepared_clear(&request->prepared);
    int rc = stamp(m, err);
    if (rc == 0 && request->door.idempotency_key != NULL)
        rc = idempotency_hash(request, err);
    if (rc == 0)
        rc = lead_keys_gather(request, m->is_test, err);
    if (rc == 0)
        rc = seal_lead(m, err);
    if (rc == 0)
        lead_keys_trace(request, m->is_test);
    for (size_t i = 0; rc == 0 && i < quiz->target_count; i++)
        rc = make_delivery(m, &quiz->targets[i], err);
    if (rc == 0)
        rc = resource_document(&request->answer.body, m->lead, integration_status(&m->integration),
                               err);
    if (rc == 0)
        rc = make_record(m, err);
    return rc;
}

/* ---- the outcome ---- */

/* The answer was written before the commit: write it anew with what that decided. */
static bool tell_decision(making_t *m, const plumb_uuid_t *original)
{
    plumb_err_t err = {0};
    request_t *request = m->request;
    resource_mark(m->lead, request->prepared.fate.paid, original, m->original);
    if (resource_document(&request->answer.body, m->lead, integration_status(&m->integration),
                          &err) == 0)
        return true;
    answer_failure(request, &err);
    return false;
}

static void answer_created(making_t *m)
{
    request_t *request = m->request;
    const lead_fate_t *fate = &request->prepared.fate;
    char id[PLUMB_UUID_TEXT];
    plumb_metric_add(PLUMB_M_LEADS_ACCEPTED, "api", 1);
    if ((!fate->paid || !plumb_uuid_is_nil(&fate->original)) && !tell_decision(m, &fate->original))
        return;
    request->answer.status = 201;
    request->answer.type = NULL;
    plumb_buf_text(&request->answer.headers, "Location: /api/v1/leads/");
    plumb_buf_text(&request->answer.headers, plumb_uuid_text(&m->lead->id, id));
    plumb_buf_text(&request->answer.headers, "\r\n");
}

/* An identical lead was there: it has all that this one brings, so the answer is made of this one.
 */
static void answer_same(making_t *m)
{
    request_t *request = m->request;
    const lead_fate_t *fate = &request->prepared.fate;
    m->lead->id = fate->original;
    resource_stamp(m->lead, plumb_uuid_unix_ms(&fate->original), m->created);
    if (!tell_decision(m, &fate->root))
        return;
    request->answer.status = 200;
    request->answer.type = NULL;
}

/* The person is there, and the quiz takes nobody twice. */
static void answer_twice(request_t *request)
{
    static const char parent[] = "/data/attributes/", field[] = "data.";
    char pointer[POINTER_MAX + sizeof parent], name[POINTER_MAX];
    const char *key = request->prepared.fate.key;
    bool is_field = strncmp(key, field, sizeof field - 1) == 0;
    shape_pointer(name, is_field ? key + sizeof field - 1 : key);
    snprintf(pointer, sizeof pointer, "%s%s%s", parent, is_field ? "data/" : "",
             name + sizeof parent - 1);
    answer_problem(request, PLUMB_E_CONFLICT, SOURCE_POINTER, pointer,
                   "there is a lead of this person");
}

/* Somebody was first under this key.  True: the answer is made; false: the row was too old and is
 * gone. */
static bool answer_known(request_t *request)
{
    checks_uncharge(request);
    return idempotency_replay(request) == REPLAY_ANSWERED;
}

static void commit(making_t *m)
{
    request_t *request = m->request;
    request_rest(request);
    for (int try = 0; try < 2; try++) {
        switch (committers_commit(request->ingest->committers, &request->prepared)) {
        case COMMIT_DONE:
            answer_created(m);
            return;
        case COMMIT_KNOWN:
            if (answer_known(request))
                return;
            break; /* once more, with the way free */
        case COMMIT_SAME:
            answer_same(m);
            return;
        case COMMIT_TWICE:
            answer_twice(request);
            return;
        case COMMIT_REFUSED:
            answer_error(request, PLUMB_E_DB_VALUE, "the database refuses a value of this lead");
            return;
        case COMMIT_FAILED:
            answer_error(request, PLUMB_E_INTERNAL, "our mistake; it is in the log");
            return;
        default:
            answer_error(request, PLUMB_E_DB_AWAY, "try again in a moment");
            return;
        }
    }
    answer_error(request, PLUMB_E_DB_CONFLICT, "try again in a moment");
}

static void take_lead(request_t *request)
{
    making_t m = {.request = request, .lead = &request->lead};
    plumb_err_t err = {0};
    if (prepare(&m, &err) < 0)
        answer_failure(request, &err);
    else
        commit(&m);
    sodium_memzero(&m.key, sizeof m.key);
    sodium_memzero(&m.attempt_key, sizeof m.attempt_key);
}

static void count_refusal(const request_t *request)
{
    plumb_code_t code = request->problems.first;
    if (request->answer.status >= 400)
        plumb_metric_add(PLUMB_M_LEADS_REJECTED,
                         code == PLUMB_OK ? "internal" : plumb_code_slug(code), 1);
}

void intake_post(request_t *request)
{
    const char *key = request->door.idempotency_key;
    running_t *running = request->ingest->running;
    if (idempotency_check_key(request) && checks_run(request)) {
        int slot = key == NULL ? -1
                               : running_enter(running, &request->identity.account,
                                               request->route->name, key);
        if (key != NULL && slot < 0)
            answer_error(request, PLUMB_E_RUNNING, "the first request of this key still runs");
        else
            take_lead(request);
        running_leave(running, slot);
    }
    count_refusal(request);
}
