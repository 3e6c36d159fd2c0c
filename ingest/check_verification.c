/* Check 5: was the phone verified, where the quiz asks for it? */
#include "checks.h"
#include "idempotency.h"
#include "store_verifications.h"

static int look_up(request_t *request, int64_t phone_term, plumb_err_t *err)
{
    reader_t *reader = NULL;
    int rc = readers_take(request->ingest->readers, &reader, err);
    if (rc == 0)
        rc = store_verification_of(reader, &request->identity.account, phone_term,
                                   &request->verification, err);
    readers_give(request->ingest->readers, reader);
    return rc;
}

check_verdict_t check_verification(request_t *request, const char **reason)
{
    const plumb_slice_t *phone = &request->lead.value[PLUMB_LEAD_PHONE];
    plumb_err_t err = {0};
    int64_t term;
    *reason = NULL;
    if (plumb_blind_phone(&term, &request->quiz->index_key, phone->data, phone->length) &&
        look_up(request, term, &err) < 0) {
        answer_failure(request, &err);
        return CHECK_ENDED;
    }
    if (!plumb_uuid_is_nil(&request->verification))
        return CHECK_PASSED;
    if (request->door.idempotency_key != NULL && idempotency_replay(request) == REPLAY_ANSWERED)
        return CHECK_ENDED; /* it was, when the lead was taken */
    problems_add(&request->problems, PLUMB_E_UNVERIFIED, SOURCE_POINTER,
                 phone->data != NULL ? "/data/attributes/phone" : "/data/attributes",
                 "the phone was not verified");
    return CHECK_REFUSED;
}
