/* Jobs of key_jobs: one step each time, and a rest after it. */
#include "rotation.h"

#include "clock.h"
#include "log.h"
#include "resealing.h"
#include "tracker.h"

#include <inttypes.h>
#include <sodium.h>

#define IDLE_MS 1000     /* until jobs are looked for again */
#define REST_MIN_MS 10   /* after a step, … */
#define REST_SHARE 9     /* … and so many times what it took: a tenth of one processor; … */
#define REST_MAX_MS 1000 /* … at most this: where the machine is busy a step takes long */
#define MISSING_MS 10000 /* until a master key is looked for again that this tracker lacks */

/* ---- one account ---- */

static int make_key(tracker_t *t, key_job_t *job, plumb_err_t *err)
{
    plumb_key_t key;
    plumb_buf_t wrapped = {0};
    int rc = store_next_key(&t->store, &job->account, &job->key, &job->expected, err);
    if (rc < 0)
        return rc;
    plumb_key_new(&key, (uint32_t)job->key);
    rc = plumb_keyring_wrap(t->keyring, &wrapped, &job->account, &key, err);
    sodium_memzero(&key, sizeof key);
    if (rc == 0)
        rc = store_add_key(&t->store, &job->account, job->key, &wrapped, err);
    plumb_buf_fini(&wrapped);
    return rc;
}

/* What a page came to, and where the next one begins. */
static void advance(key_job_t *job, const resealing_t *r, int rows, size_t written)
{
    job->seen += rows;
    job->older += r->older;
    job->unopened += r->unopened;
    job->changed += (int64_t)written;
    if (rows == RESEALING_PAGE)
        return;
    job->place++;
    job->at_id = (plumb_uuid_t){0};
    job->at_key = 0;
}

static void tell_unopened(const key_job_t *job, const char *table, const resealing_t *r)
{
    char id[PLUMB_UUID_TEXT];
    if (r->unopened > 0)
        plumb_log_event(LOG_ERR, "sealed_values_closed", "account=%s where=%s count=%" PRId64,
                        plumb_uuid_text(&job->account, id), table, r->unopened);
}

static int walk(tracker_t *t, key_job_t *job, plumb_err_t *err)
{
    const sealed_column_t *column = &sealed_columns[job->place];
    resealing_t resealing = {0};
    PGresult *page = NULL;
    size_t written = 0;
    job->begins = job->place == 0 && job->seen == 0;
    int rc = store_sealed_page(&t->store, column, job, RESEALING_PAGE, &page, err);
    if (rc == 0)
        rc = resealing_sealed(&resealing, t->jobs.vault, t->store.db, column, &job->account,
                              job->key, page, err);
    if (rc == 0 && resealing.count > 0)
        rc = store_write_sealed(&t->store, column, &job->account, page, resealing.list,
                                resealing.count, &resealing.frames, &written, err);
    if (rc == 0) {
        int rows = PQntuples(page);
        tell_unopened(job, column->purpose, &resealing);
        if (rows > 0)
            job->at_id = plumb_get_uuid(page, rows - 1, PAGE_ID);
        advance(job, &resealing, rows, written);
    }
    resealing_fini(&resealing);
    PQclear(page);
    return rc;
}

static void next_pass(key_job_t *job, int64_t wait_ms)
{
    job->pass++;
    job->place = 0;
    job->seen = job->older = job->unopened = 0;
    job->wait_ms = wait_ms;
    job->note = "waits until no daemon can seal under an older version";
}

/* Older versions go when a pass met none of them that began when nobody could seal under them any
 * more. */
static int end_pass(tracker_t *t, key_job_t *job, plumb_err_t *err)
{
    size_t removed = 0;
    bool late = job->pass_age_ms >= t->conf->keys_linger;
    if (!late || job->older > job->unopened) {
        next_pass(job, late ? 0 : t->conf->keys_linger);
        return 0;
    }
    job->finished = true;
    job->note = "some values do not open: older versions stay";
    if (job->older > 0)
        return 0;
    job->note = "done";
    return store_remove_keys(&t->store, &job->account, job->key, &removed, err);
}

static int step_account(tracker_t *t, key_job_t *job, plumb_err_t *err)
{
    if (job->key == 0)
        return make_key(t, job, err);
    if (job->place < (int32_t)sealed_column_count)
        return walk(t, job, err);
    return end_pass(t, job, err);
}

/* ---- the keys of all accounts ---- */

static int walk_wrapped(tracker_t *t, key_job_t *job, plumb_err_t *err)
{
    wrapped_table_t table = (wrapped_table_t)job->place;
    uint32_t master = plumb_keyring_newest(t->keyring);
    resealing_t resealing = {0};
    PGresult *page = NULL;
    size_t written = 0;
    int rc = store_wrapped_page(&t->store, table, job, master, RESEALING_PAGE, &page, err);
    if (rc == 0)
        rc = resealing_wrapped(&resealing, t->keyring, table, page, err);
    if (rc == 0 && resealing.count > 0)
        rc = store_write_wrapped(&t->store, table, page, resealing.list, resealing.count,
                                 &resealing.frames, &written, err);
    if (rc == 0) {
        int rows = PQntuples(page);
        tell_unopened(job, "keys", &resealing);
        if (rows > 0) {
            job->at_id = plumb_get_uuid(page, rows - 1, WRAPPED_ACCOUNT);
            job->at_key = plumb_get_int4(page, rows - 1, WRAPPED_VERSION);
        }
        advance(job, &resealing, rows, written);
    }
    resealing_fini(&resealing);
    PQclear(page);
    return rc;
}

static int step_master(tracker_t *t, key_job_t *job, plumb_err_t *err)
{
    if (plumb_keyring_newest(t->keyring) < (uint32_t)job->key) {
        plumb_log_event(LOG_WARNING, "master_key_missing", "id=%" PRId32, job->key);
        job->note = "the tracker lacks this master key: copy it there and restart it";
        job->wait_ms = MISSING_MS;
        return 0;
    }
    job->begins = job->place == 0 && job->seen == 0;
    if (job->place < WRAPPED_TABLES)
        return walk_wrapped(t, job, err);
    job->finished = true;
    job->note = job->unopened > 0 ? "some keys do not open: they are as they were" : "done";
    return 0;
}

/* ---- steps ---- */

static void tell_finished(const key_job_t *job)
{
    char account[PLUMB_UUID_TEXT];
    bool all = plumb_uuid_is_nil(&job->account);
    plumb_log_event(LOG_NOTICE, "keys_rotated",
                    "account=%s key=%" PRId32 " changed=%" PRId64 " closed=%" PRId64,
                    all ? "all" : plumb_uuid_text(&job->account, account), job->key, job->changed,
                    job->unopened);
}

static int step(tracker_t *t, bool *found, plumb_err_t *err)
{
    key_job_t job;
    int rc = store_begin(&t->store, err);
    if (rc == 0)
        rc = store_key_job(&t->store, &job, found, err);
    if (rc < 0 || !*found) {
        store_rollback(&t->store);
        return rc;
    }
    rc = plumb_uuid_is_nil(&job.account) ? step_master(t, &job, err) : step_account(t, &job, err);
    if (rc == 0)
        rc = store_write_key_job(&t->store, &job, err);
    if (rc == 0)
        rc = store_commit(&t->store, err);
    if (rc < 0)
        store_rollback(&t->store);
    else if (job.finished)
        tell_finished(&job);
    return rc;
}

int rotation_work(tracker_t *t, plumb_err_t *err)
{
    bool got = false, found = false;
    if (t->now_ms < t->rotation.at_ms || t->stopping)
        return 0;
    int64_t began_ms = plumb_mono_ms();
    int rc = store_try_lock(&t->store, LOCK_KEYS, &got, err);
    if (rc < 0)
        return rc;
    if (got) {
        plumb_err_t ignored;
        rc = step(t, &found, err);
        store_unlock(&t->store, LOCK_KEYS, &ignored); /* a lost connection has let go of it */
    }
    int64_t now_ms = plumb_mono_ms(), rest_ms = (now_ms - began_ms) * REST_SHARE;
    if (rest_ms < REST_MIN_MS)
        rest_ms = REST_MIN_MS;
    if (rest_ms > REST_MAX_MS)
        rest_ms = REST_MAX_MS;
    t->rotation.at_ms = now_ms + (found ? rest_ms : IDLE_MS);
    return rc;
}
