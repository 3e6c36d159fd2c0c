/* RESULT. */
#include "msg.h"

#include "msg_fields.h"

/* clang-format off */
#define NEEDED(...) PLUMB_MSG_FIELD(plumb_result_t, true, __VA_ARGS__)
#define MAYBE(...) PLUMB_MSG_FIELD(plumb_result_t, false, __VA_ARGS__)
static const plumb_msg_field_t fields[] = {
    NEEDED("delivery",          UUID,      ticket.delivery),
    NEEDED("attempt",           U32,       ticket.attempt, .max = PLUMB_MSG_ATTEMPT_MAX),
    NEEDED("account",           UUID,      account),
    NEEDED("lead",              UUID,      lead),
    NEEDED("credential",        UUID,      credential),
    MAYBE( "worker",            TEXT,      worker, .max = PLUMB_MSG_NAME_MAX),
    NEEDED("outcome",           ENUM,      outcome, .max = PLUMB_OUT_COUNT - 1, .names = plumb_outcome_names),
    MAYBE( "blamed",            BOOL,      blamed),
    MAYBE( "resend",            BOOL,      resend),
    MAYBE( "status",            U16,       status, .max = INT16_MAX),
    MAYBE( "retryAfterMs",      I64,       retry_after_ms),
    MAYBE( "timings",           TIMINGS,   timings),
    MAYBE( "startedMs",         I64,       started_ms),
    MAYBE( "requests",          U16,       requests, .max = INT16_MAX),
    MAYBE( "detail",            TEXT,      detail),
    MAYBE( "externalId",        TEXT,      external_id),
    MAYBE( "checkpoint",        TEXT,      checkpoint),
    MAYBE( "exchange",          BIN,       exchange),
    MAYBE( "refreshed",         BIN,       refreshed),
    MAYBE( "credentialVersion", U32,       credential_version, .max = INT32_MAX),
    {0}};
/* clang-format on */

int plumb_result_encode(plumb_buf_t *out, const plumb_result_t *result, plumb_err_t *err)
{
    return plumb_msg_write(out, PLUMB_MSG_RESULT, fields, result, err);
}

int plumb_result_decode(plumb_result_t *result, const void *frame, size_t length, plumb_err_t *err)
{
    plumb_msg_target_t target = {.record = result,
                                 .fields = fields,
                                 .types = PLUMB_MSG_BIT(PLUMB_MSG_RESULT),
                                 .want = "'result'"};
    plumb_msg_type_t type = PLUMB_MSG_COUNT;
    *result = (plumb_result_t){0};
    int rc = plumb_msg_read(&target, &type, frame, length, err);
    if (rc < 0)
        *result = (plumb_result_t){0};
    return rc;
}
