/* tracker/jobs.h: jobs made of rows. */
#include "jobs.h"

#include "sim.h"
#include "tracker_result.h"
#include "tracker_tables.h"

#include <stdio.h>
#include <string.h>

int jobs_init(jobs_t *j, const plumb_keyring_t *keyring, plumb_err_t *err)
{
    (void)j, (void)keyring, (void)err;
    return 0;
}

void jobs_fini(jobs_t *j)
{
    (void)j;
}

int jobs_credential(jobs_t *j, store_t *s, const plumb_uuid_t *account, const plumb_uuid_t *id,
                    int32_t version, int64_t now_ms, const plumb_credential_t **found,
                    plumb_err_t *err)
{
    static plumb_credential_t credential;
    (void)j, (void)s, (void)account, (void)version, (void)now_ms;
    const credential_row_t *row = &db.credentials[db_credential(id)];
    credential = (plumb_credential_t){.enabled = row->enabled, .suspended = row->suspended};
    *found = &credential;
    return db_away(err);
}

bool jobs_is_erased(const PGresult *r, int row)
{
    (void)r, (void)row;
    return false;
}

bool jobs_is_rows_fault(int rc)
{
    (void)rc;
    return false;
}

int jobs_encode(jobs_t *j, store_t *s, const PGresult *r, int row, uint32_t attempt, uint64_t epoch,
                const plumb_credential_t *credential, plumb_buf_t *frame, plumb_err_t *err)
{
    (void)j, (void)s, (void)credential, (void)err;
    plumb_uuid_t id = sim_get_uuid(r, row, JOB_DELIVERY);
    return sim_job(frame, db_index(&id), attempt, epoch, (uint32_t)sim_get_int4(r, row, JOB_TRIES),
                   (uint32_t)sim_get_int4(r, row, JOB_CRASHES));
}

int sim_job(plumb_buf_t *frame, size_t delivery, uint32_t attempt, uint64_t epoch, uint32_t tries,
            uint32_t crashes)
{
    static const plumb_slice_t empty_map = {"\x80", 1};
    const delivery_t *d = &sim.deliveries[delivery];
    const char *channel = sim_channel(d->credential);
    char queue[32];
    plumb_err_t err = {0};
    snprintf(queue, sizeof queue, "integration-%s", channel);
    plumb_job_t job = {.ticket = {d->id, attempt},
                       .account = SIM_ACCOUNT,
                       .lead = d->id,
                       .credential = sim_credential(d->credential),
                       .epoch = epoch,
                       .priority = PLUMB_NORMAL,
                       .queue = {queue, strlen(queue)},
                       .channel = {channel, strlen(channel)},
                       .verb = {"send", 4},
                       .tries = tries,
                       .crashes = crashes,
                       .credential_version = 1,
                       .body = empty_map,
                       .secrets = empty_map};
    return plumb_job_encode(frame, &job, &err);
}
