/* The tracker's loop: what arrived comes in, what is due is done. */
#include "tracker.h"

#include "clock.h"
#include "log.h"
#include "metrics.h"

#include <poll.h>
#include <string.h>

#define TURN_MS 1000      /* the longest sleep; the watchdog wants a sign each second */
#define NOTES_MAX 4096    /* taken from one socket in one turn */
#define AGAIN_MS 100      /* until the database is asked again */
#define STOP_MS 20000     /* to commit what has arrived */
#define STOP_QUIET_MS 100 /* nothing came for so long: all has arrived */

/* ---- life ---- */

static int is_ready(void *self, plumb_err_t *err)
{
    tracker_t *t = self;
    return t->ready ? 0 : plumb_err_set(err, PLUMB_E_UNAVAILABLE, "the database is away");
}

static int open_parts(tracker_t *t, plumb_err_t *err)
{
    const plumb_conf_t *conf = t->conf;
    const epochs_times_t times = {conf->epoch_dead, conf->census_wait, conf->worker_dead};
    epochs_init(&t->epochs, &times, t->now_ms);
    lost_init(&t->lost);
    audit_init(&t->audit, t->now_ms, conf->audit_every);
    sweep_init(&t->sweep, t->now_ms, conf->delivery_deadline);
    upkeep_init(&t->upkeep, t->now_ms);
    int rc = policy_init(&t->policy, conf, err);
    if (rc == 0)
        rc = results_init(&t->results, (size_t)conf->tracker_group, err);
    if (rc == 0)
        rc = feeder_init(&t->feeder, (size_t)conf->feed_group, err);
    return rc;
}

int tracker_open(tracker_t *t, plumb_err_t *err)
{
    t->conf = &t->daemon.conf;
    t->now_ms = plumb_mono_ms();
    int rc = open_parts(t, err);
    if (rc == 0)
        rc = plumb_keyring_open(&t->keyring, t->conf->keys_dir, err);
    if (rc == 0)
        rc = jobs_init(&t->jobs, t->keyring, err);
    if (rc == 0)
        rc = store_init(&t->store, t->conf, err);
    if (rc == 0)
        rc = plumb_daemon_admin(&t->daemon, t->conf->tracker_name, is_ready, t, err);
    if (rc == 0)
        rc = links_open(&t->links, t->conf, err);
    if (rc == 0)
        plumb_log_event(LOG_NOTICE, "tracker_started", "name=%s", t->conf->tracker_name);
    return rc;
}

void tracker_close(tracker_t *t)
{
    links_close(&t->links);
    plumb_daemon_close(&t->daemon);
    results_fini(&t->results);
    feeder_fini(&t->feeder);
    audit_fini(&t->audit);
    lost_fini(&t->lost);
    channels_fini(&t->channels);
    brokers_fini(&t->brokers);
    epochs_fini(&t->epochs);
    jobs_fini(&t->jobs);
    store_fini(&t->store);
    plumb_keyring_destroy(&t->keyring);
}

/* ---- the database ---- */

static bool is_away(int rc)
{
    return rc == -PLUMB_E_DB_AWAY || rc == -PLUMB_E_DB_UNKNOWN || rc == -PLUMB_E_DATABASE;
}

void tracker_database_failed(tracker_t *t, int rc, const plumb_err_t *err)
{
    if (!is_away(rc)) {
        plumb_log_event(LOG_WARNING, "work_failed", "reason=\"%s\"", err->text);
        return;
    }
    if (t->database)
        plumb_log_event(LOG_WARNING, "database_away", "reason=\"%s\"", err->text);
    t->database = false;
    t->ready = false;
    t->database_at_ms = plumb_mono_ms() + AGAIN_MS;
}

/* Ask whether the database is back; its own back-off says how often it is really tried. */
static void ask_database(tracker_t *t)
{
    plumb_err_t err;
    if (t->database || t->now_ms < t->database_at_ms)
        return;
    t->database_at_ms = t->now_ms + AGAIN_MS;
    if (store_ready(&t->store, &err) < 0)
        return;
    t->database = true;
    plumb_log_event(LOG_NOTICE, "database_here", "connections=%llu",
                    (unsigned long long)plumb_db_generation(t->store.db));
}

/* ---- coming in ---- */

static void refuse(const char *reason, const plumb_err_t *err)
{
    plumb_metric_add(PLUMB_M_FRAMES_REFUSED, reason, 1);
    plumb_log_event(LOG_WARNING, "frame_refused", "reason=\"%s\"", err->text);
}

static void take_recalled(tracker_t *t, const plumb_note_t *note)
{
    for (size_t i = 0; i < note->held_count; i++)
        recall_answered(&t->recall, &note->held[i].ticket);
}

static void take_note(tracker_t *t, const plumb_note_t *note)
{
    char name[NAME_SIZE];
    switch (note->type) {
    case PLUMB_MSG_BEACON:
        brokers_beacon(t, note);
        break;
    case PLUMB_MSG_STANDS:
        brokers_ask(t, note);
        break;
    case PLUMB_MSG_INVENTORY:
        brokers_inventory(t, note);
        break;
    case PLUMB_MSG_LOST:
    case PLUMB_MSG_UNACKED:
        lost_note(t, note);
        break;
    case PLUMB_MSG_MISSING:
        audit_missing(t, note);
        break;
    case PLUMB_MSG_RECALLED:
        take_recalled(t, note);
        break;
    case PLUMB_MSG_HERE:
        audit_here(t, note);
        break;
    case PLUMB_MSG_CHANNELS:
        slice_text(name, sizeof name, &note->name);
        epochs_heard(&t->epochs, name, t->now_ms);
        channels_note(t, note);
        break;
    default:
        plumb_metric_add(PLUMB_M_FRAMES_REFUSED, "unexpected", 1);
    }
}

static void take_frame(tracker_t *t, zmq_msg_t *frame)
{
    plumb_err_t err = {0};
    plumb_msg_type_t type;
    plumb_note_t note;
    plumb_result_t result;
    const void *data = zmq_msg_data(frame);
    size_t length = zmq_msg_size(frame);
    int rc = plumb_msg_check(data, length, &type, &err);
    if (rc == 0 && type == PLUMB_MSG_RESULT)
        rc = plumb_result_decode(&result, data, length, &err);
    else if (rc == 0)
        rc = plumb_note_decode(&note, &t->links.space, data, length, &err);
    if (rc < 0)
        refuse("malformed", &err);
    else if (type == PLUMB_MSG_RESULT)
        results_take(t, frame, &result);
    else
        take_note(t, &note);
}

/* Take what has arrived on one socket.  Results beyond a group wait there while they can be
 * recorded soon; while they cannot, they are let go: their workers have them. */
static size_t drain(tracker_t *t, zsock_t *sock, bool all)
{
    zmq_msg_t frame;
    size_t count = 0;
    bool holds = sock == t->links.results && t->database && !all;
    while (count < NOTES_MAX && !(holds && results_full(&t->results)) &&
           plumb_sock_receive(sock, &frame) == 1) {
        take_frame(t, &frame);
        zmq_msg_close(&frame);
        count++;
    }
    return count;
}

static size_t drain_all(tracker_t *t, bool all)
{
    size_t count = drain(t, t->links.beacon, all);
    count += drain(t, t->links.control, all);
    return count + drain(t, t->links.results, all);
}

/* After a pause of our own nobody is judged before everything that waits was heard. */
static void catch_up(tracker_t *t)
{
    plumb_log_event(LOG_NOTICE, "stood_still", "longer_than_ms=%d", STALL_MS);
    for (int rounds = 0; rounds < 64 && drain_all(t, true) > 0; rounds++)
        plumb_daemon_alive();
    t->now_ms = plumb_mono_ms();
    epochs_restart(&t->epochs, t->now_ms);
    audit_restart(t);
}

/* ---- work ---- */

static void work(tracker_t *t)
{
    static int (*const parts[])(tracker_t *, plumb_err_t *) = {
        results_flush, brokers_work, lost_work,     sweep_work,
        feeder_work,   audit_work,   channels_work, upkeep_work};
    plumb_err_t err = {0};
    ask_database(t);
    for (size_t i = 0; t->database && i < sizeof parts / sizeof *parts; i++) {
        int rc = parts[i](t, &err);
        if (rc < 0)
            tracker_database_failed(t, rc, &err);
    }
    recall_work(t);
    if (t->database && !t->ready && t->brokers.loaded) {
        t->ready = true;
        plumb_daemon_ready("recording");
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int sleep_ms(const tracker_t *t)
{
    int64_t next = t->now_ms + TURN_MS;
    if (!t->database)
        next = earlier(next, t->database_at_ms);
    else if (t->results.count > 0)
        next = t->now_ms + 1;
    if (t->database)
        next = earlier(earlier(next, t->feeder.look_ms),
                       earlier(t->lost.at_ms, audit_next_ms(&t->audit)));
    next = earlier(next, earlier(recall_next_ms(&t->recall), t->sweep.orphans_ms));
    int64_t now_ms = plumb_mono_ms();
    return next <= now_ms ? 0 : (int)(next - now_ms); /* "at once" may be any time in the past */
}

static void wait_for_work(tracker_t *t, int wait_ms)
{
    zmq_pollitem_t items[] = {{zsock_resolve(t->links.results), 0, ZMQ_POLLIN, 0},
                              {zsock_resolve(t->links.beacon), 0, ZMQ_POLLIN, 0},
                              {zsock_resolve(t->links.control), 0, ZMQ_POLLIN, 0},
                              {NULL, t->daemon.signal_fd, ZMQ_POLLIN, 0}};
    if (zmq_poll(items, 4, wait_ms) > 0 && (items[3].revents & ZMQ_POLLIN) &&
        plumb_daemon_signalled(&t->daemon))
        t->stopping = true;
}

static size_t turn(tracker_t *t, int wait_ms)
{
    wait_for_work(t, wait_ms);
    t->now_ms = plumb_mono_ms();
    if (epochs_tick(&t->epochs, t->now_ms))
        catch_up(t);
    size_t count = drain_all(t, false);
    work(t);
    plumb_daemon_alive();
    return count;
}

int tracker_run(tracker_t *t, plumb_err_t *err)
{
    (void)err;
    while (!t->stopping)
        turn(t, sleep_ms(t));
    plumb_daemon_stopping();
    int64_t until_ms = plumb_mono_ms() + STOP_MS;
    while (plumb_mono_ms() < until_ms &&
           (turn(t, STOP_QUIET_MS) > 0 || t->results.count > 0 || t->feeder.out_count > 0))
        continue;
    plumb_log_event(LOG_NOTICE, "tracker_stopped", "unrecorded=%zu", t->results.count);
    return 0;
}
