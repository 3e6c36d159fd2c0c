/* A group that the database refuses is tried again: after a conflict whole, because of a bad row in
 * halves. */
#include "group.h"

#include "daemon.h"
#include "log.h"
#include "metrics.h"

#include <poll.h>
#include <sodium.h>

#define CONFLICTS_MAX 3

/* Keep what the tables need, drop what may be malformed. */
static void strip(plumb_result_t *result)
{
    plumb_slice_t none = {0};
    result->detail = result->external_id = result->checkpoint = result->exchange = none;
    result->worker = none;
    result->started_ms = 0;
}

static int give_up(attempt_write_t *w, const plumb_err_t *err)
{
    char id[PLUMB_UUID_TEXT];
    plumb_log_event(LOG_ERR, "result_refused", "delivery=%s attempt=%u reason=\"%s\"",
                    plumb_uuid_text(&w->result->ticket.delivery, id), w->result->ticket.attempt,
                    err->text);
    plumb_metric_add(PLUMB_M_FRAMES_REFUSED, "unrecordable", 1);
    w->done = w->refused = true;
    return 0;
}

static int try_again(tracker_t *t, record_fn record, attempt_write_t *list, size_t count,
                     plumb_err_t *err)
{
    int rc = record(t, list, count, err);
    for (int tries = 1; rc == -PLUMB_E_DB_CONFLICT && tries < CONFLICTS_MAX; tries++) {
        plumb_daemon_alive(); /* each try may have waited for a lock */
        poll(NULL, 0, 1 + (int)randombytes_uniform(20 * (uint32_t)tries));
        rc = record(t, list, count, err);
    }
    return rc;
}

int group_replay(tracker_t *t, record_fn record, attempt_write_t *list, size_t count,
                 plumb_err_t *err)
{
    int rc = try_again(t, record, list, count, err);
    if (rc != -PLUMB_E_DB_VALUE)
        return rc;
    if (count > 1) {
        rc = group_replay(t, record, list, count / 2, err);
        return rc < 0 ? rc : group_replay(t, record, list + count / 2, count - count / 2, err);
    }
    char id[PLUMB_UUID_TEXT];
    plumb_log_event(LOG_WARNING, "result_stripped", "delivery=%s reason=\"%s\"",
                    plumb_uuid_text(&list->result->ticket.delivery, id), err->text);
    strip(list->result);
    rc = try_again(t, record, list, 1, err);
    return rc == -PLUMB_E_DB_VALUE ? give_up(list, err) : rc;
}
