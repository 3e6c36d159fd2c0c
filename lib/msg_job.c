/* JOB. */
#include "msg.h"

#include "msg_fields.h"

#include <string.h>

static const char *const priorities[PLUMB_PRIORITIES] = {
    [PLUMB_HIGH] = "high", [PLUMB_NORMAL] = "normal", [PLUMB_LOW] = "low"};

/* clang-format off */
#define AT(member) offsetof(plumb_job_t, member)
#define NEEDED(...) PLUMB_MSG_FIELD(plumb_job_t, true, __VA_ARGS__)
#define MAYBE(...) PLUMB_MSG_FIELD(plumb_job_t, false, __VA_ARGS__)
static const plumb_msg_field_t fields[] = {
    /* these two stay first: plumb_job_restamp */
    NEEDED("attempt",           STAMP32,   ticket.attempt, .max = PLUMB_MSG_ATTEMPT_MAX),
    NEEDED("epoch",             STAMP64,   epoch, .max = INT64_MAX),
    NEEDED("delivery",          UUID,      ticket.delivery),
    NEEDED("account",           UUID,      account),
    NEEDED("lead",              UUID,      lead),
    NEEDED("credential",        UUID,      credential),
    NEEDED("priority",          ENUM,      priority, .max = PLUMB_PRIORITIES - 1, .names = priorities),
    NEEDED("queue",             TEXT,      queue, .max = PLUMB_MSG_NAME_MAX),
    NEEDED("channel",           TEXT,      channel, .max = PLUMB_MSG_NAME_MAX),
    NEEDED("verb",              TEXT,      verb, .max = PLUMB_MSG_NAME_MAX),
    MAYBE( "trace",             TEXT,      trace, .max = PLUMB_MSG_NAME_MAX),
    MAYBE( "throttles",         THROTTLES, throttles, .max = PLUMB_THROTTLES_MAX, .second = AT(throttle_count)),
    NEEDED("key",               KEY,       attempt_key),
    MAYBE( "tries",             U32,       tries, .max = INT32_MAX),
    MAYBE( "crashes",           U32,       crashes, .max = INT32_MAX),
    MAYBE( "credentialVersion", U32,       credential_version, .max = INT32_MAX),
    MAYBE( "body",              PACKED,    body, .second = AT(is_ours)),
    MAYBE( "secrets",           PACKED,    secrets, .second = AT(is_ours)),
    MAYBE( "mapping",           TEXT,      mapping),
    MAYBE( "checkpoint",        TEXT,      checkpoint),
    MAYBE( "externalId",        TEXT,      external_id),
    {0}};
/* clang-format on */

int plumb_job_encode(plumb_buf_t *out, const plumb_job_t *job, plumb_err_t *err)
{
    return plumb_msg_write(out, PLUMB_MSG_JOB, fields, job, err);
}

static int decode(plumb_job_t *job, bool passes_on, const void *frame, size_t length,
                  plumb_err_t *err)
{
    plumb_msg_target_t target = {.record = job,
                                 .fields = fields,
                                 .types = PLUMB_MSG_BIT(PLUMB_MSG_JOB),
                                 .want = "'job'",
                                 .passes_on = passes_on};
    plumb_msg_type_t type = PLUMB_MSG_COUNT;
    *job = (plumb_job_t){0};
    int rc = plumb_msg_read(&target, &type, frame, length, err);
    if (rc < 0)
        *job = (plumb_job_t){0};
    return rc;
}

int plumb_job_decode(plumb_job_t *job, const void *frame, size_t length, plumb_err_t *err)
{
    return decode(job, false, frame, length, err);
}

int plumb_job_decode_to_pass_on(plumb_job_t *job, const void *frame, size_t length,
                                plumb_err_t *err)
{
    return decode(job, true, frame, length, err);
}

/* How each job begins, around the two numbers. */
static const char before_attempt[] = "\xa1v\x01\xa1t\xa3job\xa7"
                                     "attempt\xce";
static const char before_epoch[] = "\xa5"
                                   "epoch\xcf";
enum {
    HEAD = 3, /* of the map */
    ATTEMPT_AT = HEAD + sizeof before_attempt - 1,
    EPOCH_AT = ATTEMPT_AT + 4 + sizeof before_epoch - 1,
};

int plumb_job_restamp(void *frame, size_t length, uint32_t attempt, uint64_t epoch,
                      plumb_err_t *err)
{
    uint8_t *at = frame;
    if (length < EPOCH_AT + 8 ||
        memcmp(at + HEAD, before_attempt, sizeof before_attempt - 1) != 0 ||
        memcmp(at + ATTEMPT_AT + 4, before_epoch, sizeof before_epoch - 1) != 0)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "restamp: not a job");
    if (attempt > PLUMB_MSG_ATTEMPT_MAX || epoch > INT64_MAX)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "restamp: attempt or epoch too large");
    for (unsigned i = 0; i < 4; i++)
        at[ATTEMPT_AT + i] = (uint8_t)(attempt >> (24 - 8 * i));
    for (unsigned i = 0; i < 8; i++)
        at[EPOCH_AT + i] = (uint8_t)(epoch >> (56 - 8 * i));
    return 0;
}
