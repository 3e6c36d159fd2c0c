/* The tracker's loop: what arrived comes in, what is due is done. */
#include "tracker.h"

#include "clock.h"
#include "count.h"
#include "log.h"
#include "metrics.h"

#include <poll.h>
#include <string.h>

#define TURN_MS 1000           /* the longest sleep; the watchdog wants a sign each second */
#define NOTES_MAX 4096         /* taken from one socket in one turn */
#define AGAIN_MS 100           /* until the database is asked again */
#define PART_AGAIN_MS 50       /* until a part that failed is tried again, at first … */
#define PART_AGAIN_MAX_MS 5000 /* … and at most */
#define REFUSED_EVERY_MS 1000
#define STOP_MS 15000     /* to commit what has arrived; the sockets may linger for 5 s after */
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

/* Said once, until it is back. */
static void note_away(tracker_t *t, const plumb_err_t *err)
{
    t->database = false;
    t->ready = false;
    if (t->away_since_ms != 0)
        return;
    t->away_since_ms = t->now_ms;
    plumb_log_event(LOG_WARNING, "database_away", "reason=\"%s\"", err->text);
}

static void note_here(tracker_t *t)
{
    t->database = true;
    plumb_log_event(LOG_NOTICE, "database_here", "connections=%llu",
                    (unsigned long long)plumb_db_generation(t->store.db));
    /* After a longer absence nobody's word in the tables is fresh: nobody is judged by it. */
    if (t->away_since_ms != 0 && t->now_ms - t->away_since_ms > STALL_MS)
        epochs_restart(&t->epochs, t->now_ms);
    t->away_since_ms = 0;
}

/* Its own back-off says how often a connection is really tried. */
static void ask_database(tracker_t *t)
{
    plumb_err_t err = {0};
    if (t->database || t->now_ms < t->database_at_ms)
        return;
    t->database_at_ms = t->now_ms + AGAIN_MS;
    if (store_ready(&t->store, &err) < 0)
        note_away(t, &err);
    else
        note_here(t);
}

/* ---- coming in ---- */

/* All are counted, one a second is told of: somebody may send a million. */
static void refuse(tracker_t *t, const char *reason, const plumb_err_t *err)
{
    plumb_metric_add(PLUMB_M_FRAMES_REFUSED, reason, 1);
    if (t->now_ms < t->refused_told_ms)
        return;
    t->refused_told_ms = t->now_ms + REFUSED_EVERY_MS;
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
    plumb_note_t note;
    plumb_result_t result;
    const void *data = zmq_msg_data(frame);
    size_t length = zmq_msg_size(frame);
    plumb_msg_type_t type = plumb_msg_claims(data, length);
    int rc = type == PLUMB_MSG_RESULT
                 ? plumb_result_decode(&result, data, length, &err)
                 : plumb_note_decode(&note, &t->links.space, data, length, &err);
    if (rc < 0)
        refuse(t, "malformed", &err);
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
    bool holds =
        sock == t->links.results && !all && t->database && t->parts[PART_RESULTS].wait_ms == 0;
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

static int (*const parts[PARTS])(tracker_t *, plumb_err_t *) = {
    [PART_RESULTS] = results_flush,  [PART_BROKERS] = brokers_work,
    [PART_LOST] = lost_work,         [PART_SWEEP] = sweep_work,
    [PART_FEEDER] = feeder_work,     [PART_AUDIT] = audit_work,
    [PART_CHANNELS] = channels_work, [PART_UPKEEP] = upkeep_work,
    [PART_ROTATION] = rotation_work};

/* What failed waits longer each time; the others go on without it. */
static void part_failed(tracker_t *t, part_state_t *part, const plumb_err_t *err)
{
    part->wait_ms = part->wait_ms == 0 ? PART_AGAIN_MS : 2 * part->wait_ms;
    if (part->wait_ms > PART_AGAIN_MAX_MS)
        part->wait_ms = PART_AGAIN_MAX_MS;
    part->at_ms = plumb_mono_ms() + part->wait_ms;
    if (part == &t->parts[PART_RESULTS])
        t->ready = false;
    plumb_log_event(LOG_WARNING, "work_failed", "reason=\"%s\"", err->text);
}

/* False: this turn is over.  Where one part met a lock, the next would too, and results wait. */
static bool run_part(tracker_t *t, part_t which)
{
    part_state_t *part = &t->parts[which];
    plumb_err_t err = {0};
    if (t->now_ms < part->at_ms)
        return true;
    int rc = parts[which](t, &err);
    plumb_daemon_alive();
    if (rc == 0) {
        part->wait_ms = 0;
        return true;
    }
    if (rc == -PLUMB_E_DB_AWAY || rc == -PLUMB_E_DB_UNKNOWN) {
        note_away(t, &err);
        return false;
    }
    part_failed(t, part, &err);
    return rc != -PLUMB_E_DB_CONFLICT;
}

static void work(tracker_t *t)
{
    ask_database(t);
    for (unsigned i = 0; t->database && i < PARTS && run_part(t, (part_t)i); i++)
        continue;
    recall_work(t);
    results_lag(&t->results, t->now_ms);
    if (t->database && !t->ready && t->brokers.loaded && t->parts[PART_RESULTS].wait_ms == 0) {
        t->ready = true;
        plumb_daemon_ready("recording");
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t due_ms(const tracker_t *t, part_t part)
{
    switch (part) {
    case PART_RESULTS:
        return results_due_ms(&t->results);
    case PART_LOST:
        return t->results.count > 0 ? INT64_MAX : t->lost.at_ms;
    case PART_SWEEP:
        return t->sweep.orphans_ms;
    case PART_FEEDER:
        return t->feeder.look_ms;
    case PART_AUDIT:
        return audit_next_ms(&t->audit);
    case PART_ROTATION:
        return t->rotation.at_ms;
    case PART_CHANNELS:
        return t->channels.count > 0 ? 0 : INT64_MAX;
    case PART_UPKEEP: /* for all but the counters each turn will do */
        return t->upkeep.counters_ms;
    default:
        return INT64_MAX;
    }
}

static int64_t work_ms(const tracker_t *t)
{
    int64_t next = INT64_MAX;
    for (unsigned i = 0; i < PARTS; i++) {
        int64_t due = due_ms(t, (part_t)i);
        next = earlier(next, due > t->parts[i].at_ms ? due : t->parts[i].at_ms);
    }
    return t->database ? next : t->database_at_ms;
}

static int sleep_ms(const tracker_t *t)
{
    int64_t next = earlier(t->now_ms + TURN_MS, earlier(work_ms(t), recall_next_ms(&t->recall)));
    int64_t now_ms = plumb_mono_ms();
    return next <= now_ms ? 0 : (int)(next - now_ms); /* "at once" may be any time in the past */
}

/* While results are gathered, another one is no reason to wake up. */
static void wait_for_work(tracker_t *t, int wait_ms)
{
    int64_t rest_ms = t->results.rest_until_ms - plumb_mono_ms();
    bool rests = rest_ms > 0;
    if (rests && rest_ms < wait_ms)
        wait_ms = (int)rest_ms;
    zmq_pollitem_t items[] = {{zsock_resolve(t->links.results), 0, rests ? 0 : ZMQ_POLLIN, 0},
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
