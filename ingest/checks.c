/* The check table. */
#include "checks.h"

#include "count.h"
#include "log.h"
#include "shape.h"

#include <string.h>

/* ---- 1: token and address; the server asked for both before the body was read ---- */

static check_verdict_t check_token(request_t *request, const char **reason)
{
    const identity_t *identity = &request->identity;
    *reason = !plumb_uuid_is_nil(&identity->quiz)      ? "quiz"
              : !plumb_uuid_is_nil(&identity->project) ? "project"
                                                       : "account";
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

/* To another one than this. */
static bool is_bound_elsewhere(const plumb_uuid_t *to, const plumb_uuid_t *id)
{
    return !plumb_uuid_is_nil(to) && plumb_uuid_compare(to, id) != 0;
}

static bool may_use(const identity_t *identity, const quiz_t *quiz)
{
    return !is_bound_elsewhere(&identity->project, &quiz->project) &&
           !is_bound_elsewhere(&identity->quiz, &quiz->id);
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
    if (!quiz->is_known || !may_use(identity, quiz)) {
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
    bool raw = request->quiz != NULL && !request->quiz->settings.normalise;
    *reason = raw ? "off" : NULL;
    if (raw)
        shape_bound(&request->lead, &request->problems);
    else
        shape_normalise(&request->lead, &request->texts, &request->problems);
    if (request->problems.count > before)
        return CHECK_REFUSED;
    return raw ? CHECK_SKIPPED : CHECK_PASSED;
}

/* ---- 7, 8, 9: only the commit sees what others commit at the same time ---- */

static check_verdict_t check_in_commit(request_t *request, const char **reason)
{
    (void)request;
    *reason = NULL;
    return CHECK_LATER;
}

/* ---- turned off ---- */

static bool unverified_allowed(const quiz_settings_t *s)
{
    return !s->phone_verification;
}

static bool repeats_allowed(const quiz_settings_t *s)
{
    return s->identical_window_seconds == 0;
}

static bool duplicates_allowed(const quiz_settings_t *s)
{
    return s->duplicate_policy == DUPLICATE_ALLOW;
}

static bool free_of_charge(const quiz_settings_t *s)
{
    return !s->payment;
}

static bool unblocked(const quiz_settings_t *s)
{
    return !s->blocklist;
}

static bool unplaced(const quiz_settings_t *s)
{
    return !s->geo;
}

/* ---- the table ---- */

/* clang-format off */
static const check_t checks[] = {
    /* name, turned off, by, refuses with, gathers, function */
    {"token", NULL, NULL, PLUMB_E_UNAUTHENTICATED, false, check_token},
    {"shape", NULL, NULL, PLUMB_E_INVALID, false, check_shape},
    {"ownership", NULL, NULL, PLUMB_E_INVALID, true, check_ownership},
    {"normalise", NULL, "normalise", PLUMB_E_INVALID, true, check_normal_forms},
    {"verification", unverified_allowed, "phoneVerification", PLUMB_E_UNVERIFIED, false, check_verification},
    {"limits", NULL, NULL, PLUMB_E_RATE_LIMITED, false, check_limits},
    {"identical", repeats_allowed, "identical.windowSeconds", PLUMB_OK, false, check_in_commit},
    {"duplicate", duplicates_allowed, "duplicates.policy", PLUMB_E_CONFLICT, false, check_in_commit},
    {"payment", free_of_charge, "payment", PLUMB_OK, false, check_in_commit},
    {"blocklist", unblocked, "blocklist", PLUMB_OK, false, check_blocklist},
    {"geo", unplaced, "geo", PLUMB_OK, false, check_geo},
};
/* clang-format on */

const check_t *checks_rows(size_t *count)
{
    *count = PLUMB_COUNT(checks);
    return checks;
}

static const char *const verdicts[] = {
    [CHECK_PASSED] = "passed",   [CHECK_MARKED] = "marked", [CHECK_SKIPPED] = "skipped",
    [CHECK_REFUSED] = "refused", [CHECK_ENDED] = "refused",
};

/* Short, since every lead carries it. */
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

/* One row, unless the quiz has turned it off. */
static check_verdict_t run_row(request_t *request, const check_t *check)
{
    const char *reason = "off";
    check_verdict_t verdict = CHECK_SKIPPED;
    const quiz_t *quiz = request->quiz;
    if (quiz == NULL || check->is_off == NULL || !check->is_off(&quiz->settings))
        verdict = check->run(request, &reason);
    if (verdict != CHECK_LATER && verdict != CHECK_ENDED)
        leave_trace(&request->work->trace, check->name, verdict, reason);
    return verdict;
}

bool checks_run(request_t *request)
{
    bool refused = false;
    plumb_buf_clear(&request->work->trace);
    plumb_buf_text(&request->work->trace, "[");
    for (size_t i = 0; i < PLUMB_COUNT(checks); i++) {
        if (refused && !checks[i].gathers)
            break;
        check_verdict_t verdict = run_row(request, &checks[i]);
        if (verdict == CHECK_ENDED)
            return false;
        refused = refused || verdict == CHECK_REFUSED;
    }
    plumb_buf_text(&request->work->trace, "]");
    if (refused)
        answer_problems(request);
    return !refused;
}
