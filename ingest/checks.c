/* The check table. */
#include "checks.h"

#include "count.h"
#include "log.h"
#include "shape.h"

#include <string.h>

/* ---- 1: token and address; the server asked for both before the body was read ---- */

static check_verdict_t check_token(request_t *request, const char **reason)
{
    *reason = plumb_uuid_is_nil(&request->identity.project) ? "account" : "project";
    return CHECK_PASSED;
}

/* ---- 2: shape and attributes ---- */

static check_verdict_t check_shape(request_t *request, const char **reason)
{
    *reason = NULL;
    if (!shape_read(&request->lead, &request->work->json, &request->texts, &request->body,
                    &request->problems)) {
        answer_problems(request);
        return CHECK_ENDED;
    }
    request->lead.account = request->identity.account;
    return request->problems.count > 0 ? CHECK_REFUSED : CHECK_PASSED;
}

/* ---- 3: user, project and quiz ---- */

/* One sentence for all that can be wrong: it never tells that another account's id exists. */
static void unknown_id(request_t *request, plumb_lead_attr_t attr)
{
    char pointer[POINTER_MAX];
    shape_pointer(pointer, plumb_lead_attrs[attr].name);
    problems_add(&request->problems, PLUMB_E_INVALID, SOURCE_POINTER, pointer,
                 "there is none such, or it is not active, or does not belong to the others");
}

static bool read_id(const request_t *request, plumb_lead_attr_t attr, plumb_uuid_t *id)
{
    const plumb_slice_t *value = &request->lead.value[attr];
    return value->data != NULL && plumb_uuid_parse(id, value->data, value->length);
}

static void match(request_t *request, plumb_lead_attr_t attr, const plumb_uuid_t *want,
                  bool is_active)
{
    plumb_uuid_t id;
    if (read_id(request, attr, &id) && (plumb_uuid_compare(&id, want) != 0 || !is_active))
        unknown_id(request, attr);
}

static bool may_use(const identity_t *identity, const plumb_uuid_t *project)
{
    return plumb_uuid_is_nil(&identity->project) ||
           plumb_uuid_compare(&identity->project, project) == 0;
}

static check_verdict_t check_ownership(request_t *request, const char **reason)
{
    plumb_uuid_t id;
    plumb_err_t err = {0};
    *reason = NULL;
    if (!read_id(request, PLUMB_LEAD_QUIZ_ID, &id))
        return CHECK_SKIPPED; /* complained of already */
    const identity_t *identity = &request->identity;
    if (catalog_quiz(request->ingest->catalog, &identity->account, &id, &request->quiz, &err) < 0) {
        answer_failure(request, &err);
        return CHECK_ENDED;
    }
    unsigned before = request->problems.count;
    const quiz_t *quiz = request->quiz;
    if (!quiz->is_known || !may_use(identity, &quiz->project)) {
        unknown_id(request, PLUMB_LEAD_QUIZ_ID);
    } else {
        match(request, PLUMB_LEAD_PROJECT_ID, &quiz->project, quiz->project_active);
        match(request, PLUMB_LEAD_USER_ID, &quiz->user, quiz->user_active);
    }
    return request->problems.count > before ? CHECK_REFUSED : CHECK_PASSED;
}

/* ---- 4: normalising ---- */

static check_verdict_t check_normal_forms(request_t *request, const char **reason)
{
    unsigned before = request->problems.count;
    shape_normalise(&request->lead, &request->texts, &request->problems);
    *reason = NULL;
    return request->problems.count > before ? CHECK_REFUSED : CHECK_PASSED;
}

/* ---- the table ---- */

static const check_t checks[] = {
    {"token", false, check_token},        {"shape", false, check_shape},
    {"ownership", true, check_ownership}, {"normalise", true, check_normal_forms},
    {"limits", false, check_limits},
};

static const char *const verdicts[] = {[CHECK_PASSED] = "passed",
                                       [CHECK_SKIPPED] = "skipped",
                                       [CHECK_REFUSED] = "refused",
                                       [CHECK_ENDED] = "refused"};

/* ["shape","passed"] or ["token","passed","account"]: short, since every lead carries it. */
static void leave_trace(plumb_buf_t *trace, const char *name, check_verdict_t verdict,
                        const char *reason)
{
    plumb_buf_text(trace, trace->length > 1 ? ",[\"" : "[\"");
    plumb_buf_text(trace, name);
    plumb_buf_text(trace, "\",\"");
    plumb_buf_text(trace, verdicts[verdict]);
    if (reason != NULL) {
        plumb_buf_text(trace, "\",\"");
        plumb_buf_text(trace, reason);
    }
    plumb_buf_text(trace, "\"]");
}

bool checks_run(request_t *request)
{
    bool refused = false;
    plumb_buf_clear(&request->work->trace);
    plumb_buf_text(&request->work->trace, "[");
    for (size_t i = 0; i < PLUMB_COUNT(checks); i++) {
        const char *reason;
        if (refused && !checks[i].gathers)
            break;
        check_verdict_t verdict = checks[i].run(request, &reason);
        if (verdict == CHECK_ENDED)
            return false;
        refused = refused || verdict == CHECK_REFUSED;
        leave_trace(&request->work->trace, checks[i].name, verdict, reason);
    }
    plumb_buf_text(&request->work->trace, "]");
    if (refused)
        answer_problems(request);
    return !refused;
}
