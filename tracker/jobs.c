/* From rows to jobs. */
#include "jobs.h"

#include <sodium.h>
#include <string.h>

int jobs_init(jobs_t *j, const plumb_keyring_t *keyring, plumb_err_t *err)
{
    *j = (jobs_t){0};
    return plumb_vault_new(&j->vault, keyring, err);
}

void jobs_fini(jobs_t *j)
{
    for (size_t i = 0; i < JOBS_CREDENTIALS; i++)
        plumb_credential_fini(&j->credentials[i].credential);
    plumb_buf_wipe(&j->plain);
    plumb_buf_wipe(&j->body);
    plumb_vault_destroy(&j->vault);
}

bool jobs_is_rows_fault(int rc)
{
    return rc == -PLUMB_E_SEAL || rc == -PLUMB_E_KEY || rc == -PLUMB_E_MESSAGE ||
           rc == -PLUMB_E_BAD_JSON || rc == -PLUMB_E_INVALID || rc == -PLUMB_E_CHANNEL;
}

/* ---- credentials ---- */

static jobs_credential_t *place_of(jobs_t *j, const plumb_uuid_t *id)
{
    uint32_t hash;
    memcpy(&hash, id->b + 12, sizeof hash);
    return &j->credentials[hash % JOBS_CREDENTIALS];
}

static bool is_usable(const jobs_credential_t *kept, const plumb_uuid_t *account,
                      const plumb_uuid_t *id, int32_t version, int64_t now_ms)
{
    if (kept->read_ms == 0 || plumb_uuid_compare(&kept->credential.id, id) != 0 ||
        plumb_uuid_compare(&kept->credential.account, account) != 0)
        return false;
    int64_t age = now_ms - kept->read_ms;
    return version == 0 ? age < JOBS_FRESH_MS
                        : version == kept->credential.version && age < JOBS_KNOWN_MS;
}

int jobs_credential(jobs_t *j, store_t *s, const plumb_uuid_t *account, const plumb_uuid_t *id,
                    int32_t version, int64_t now_ms, const plumb_credential_t **found,
                    plumb_err_t *err)
{
    jobs_credential_t *kept = place_of(j, id);
    *found = &kept->credential;
    if (is_usable(kept, account, id, version, now_ms))
        return 0;
    PGresult *r = NULL;
    *found = NULL;
    int rc = store_credential(s, account, id, &r, err);
    if (rc < 0 || PQntuples(r) == 0) {
        PQclear(r);
        return rc;
    }
    plumb_credential_fini(&kept->credential);
    kept->read_ms = 0;
    rc = plumb_credential_from_row(&kept->credential, j->vault, s->db, r, 0, 0, err);
    PQclear(r);
    if (rc < 0)
        return rc;
    kept->read_ms = now_ms;
    *found = &kept->credential;
    return 0;
}

/* ---- leads ---- */

/* Open the wrapped data key.  Its id is the one that the lead's frame names. */
static int open_key(jobs_t *j, store_t *s, const plumb_lead_t *lead, const plumb_slice_t *wrapped,
                    const plumb_slice_t *sealed, plumb_key_t *key, plumb_err_t *err)
{
    plumb_key_t account_key;
    plumb_buf_t plain = {0};
    plumb_seal_place_t place = plumb_lead_place_key(&lead->account, &lead->id);
    uint32_t id = plumb_seal_key_id(wrapped->data, wrapped->length);
    if (id == 0)
        return plumb_err_set(err, PLUMB_E_SEAL, "%zu bytes that are no wrapped key",
                             wrapped->length);
    int rc = plumb_vault_key(j->vault, s->db, &lead->account, id, &account_key, err);
    if (rc < 0)
        return rc;
    rc = plumb_seal_open(&plain, &account_key, &place, wrapped->data, wrapped->length, err);
    sodium_memzero(&account_key, sizeof account_key);
    if (rc == 0 && plain.length != PLUMB_KEY_BYTES)
        rc = plumb_err_set(err, PLUMB_E_SEAL, "a data key of %zu bytes", plain.length);
    if (rc == 0) {
        memcpy(key->bytes, plain.data, PLUMB_KEY_BYTES);
        key->id = plumb_seal_key_id(sealed->data, sealed->length);
    }
    plumb_buf_wipe(&plain);
    return rc;
}

static int open_lead(jobs_t *j, plumb_lead_t *lead, const plumb_slice_t *sealed,
                     const plumb_key_t *key, plumb_err_t *err)
{
    if (sealed->data == NULL)
        return 0;
    plumb_seal_place_t place = plumb_lead_place_personal(&lead->account, &lead->id);
    int rc = plumb_seal_open(&j->plain, key, &place, sealed->data, sealed->length, err);
    return rc == 0 ? plumb_lead_personal_unpack(lead, j->plain.data, j->plain.length, err) : rc;
}

bool jobs_is_erased(const PGresult *r, int row)
{
    const int sealed_key = JOB_LEAD_FIRST + 3; /* account, id, version, key: see lib/lead.h */
    return !plumb_get_bool(r, row, JOB_HAS_LEAD) || plumb_get_null(r, row, sealed_key);
}

/* ---- jobs ---- */

static plumb_slice_t column(const PGresult *r, int row, int number)
{
    if (plumb_get_null(r, row, number))
        return (plumb_slice_t){NULL, 0};
    return (plumb_slice_t){plumb_get_text(r, row, number), plumb_get_length(r, row, number)};
}

static void read_job(plumb_job_t *job, const PGresult *r, int row)
{
    job->ticket.delivery = plumb_get_uuid(r, row, JOB_DELIVERY);
    job->lead = plumb_get_uuid(r, row, JOB_LEAD);
    job->priority = (plumb_priority_t)plumb_get_int4(r, row, JOB_PRIORITY);
    job->verb = column(r, row, JOB_VERB);
    job->trace = column(r, row, JOB_TRACE);
    job->tries = (uint32_t)plumb_get_int4(r, row, JOB_TRIES);
    job->crashes = (uint32_t)plumb_get_int4(r, row, JOB_CRASHES);
    job->checkpoint = column(r, row, JOB_CHECKPOINT);
    job->external_id = column(r, row, JOB_EXTERNAL_ID);
}

int jobs_encode(jobs_t *j, store_t *s, const PGresult *r, int row, uint32_t attempt, uint64_t epoch,
                const plumb_credential_t *credential, plumb_buf_t *frame, plumb_err_t *err)
{
    plumb_job_t job = {.ticket = {.attempt = attempt}, .epoch = epoch};
    plumb_lead_t lead;
    plumb_slice_t wrapped, sealed;
    plumb_key_t key, attempt_key;
    read_job(&job, r, row);
    plumb_credential_to_job(credential, &job);
    plumb_lead_from_row(&lead, r, row, JOB_LEAD_FIRST, &wrapped, &sealed);
    plumb_buf_clear(&j->plain);
    plumb_buf_clear(&j->body);
    int rc = open_key(j, s, &lead, &wrapped, &sealed, &key, err);
    if (rc == 0)
        rc = open_lead(j, &lead, &sealed, &key, err);
    if (rc == 0)
        rc = plumb_lead_body_pack(&j->body, &lead, NULL, err);
    if (rc == 0) {
        plumb_key_attempt(&attempt_key, &key);
        memcpy(job.attempt_key, attempt_key.bytes, sizeof job.attempt_key);
        job.body = (plumb_slice_t){j->body.data, j->body.length};
        rc = plumb_job_encode(frame, &job, err);
    }
    sodium_memzero(&key, sizeof key);
    sodium_memzero(&attempt_key, sizeof attempt_key);
    sodium_memzero(&job, sizeof job);
    return rc;
}
