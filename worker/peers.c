/* Sockets to broker and tracker. */
#include "peers.h"

#include "clock.h"
#include "log.h"
#include "metrics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MS 100            /* after a full socket */
#define ANNOUNCE_MS 30000       /* channel notes are repeated */
#define ANNOUNCE_CENSUS_MS 5000 /* … for a tracker that may have just started, no more often */
#define BATCH 256               /* messages of one socket before others get their turn */

/* ---- opening ---- */

static zsock_t *connect_to(const plumb_conf_t *conf, plumb_sock_kind_t kind, const char *endpoint,
                           const char *name, const char *identity, plumb_err_t *err)
{
    char text[256];
    if (plumb_conf_endpoint(conf, endpoint, name, text, sizeof text, err) < 0)
        return NULL;
    return plumb_sock_connect(kind, text, identity, err);
}

int peers_open(peers_t *peers, const plumb_conf_t *conf, uint64_t instance, plumb_err_t *err)
{
    lease_init(&peers->lease, instance, conf->fence, conf->ping_every, plumb_boot_ms());
    peers->work_stirred = peers->acks_stirred = true;
    peers->held = malloc(PLUMB_HELD_MAX * sizeof *peers->held);
    if (peers->held == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "open sockets");
    peers->work =
        connect_to(conf, PLUMB_SOCK_DEALER, conf->broker_work, "broker.work", peers->slot, err);
    if (peers->work != NULL)
        peers->results =
            connect_to(conf, PLUMB_SOCK_PUSH, conf->tracker_results, "tracker.results", NULL, err);
    if (peers->results != NULL)
        peers->acks =
            connect_to(conf, PLUMB_SOCK_SUB, conf->tracker_acks, "tracker.acks", NULL, err);
    return peers->acks != NULL ? 0 : plumb_err_add(err, "worker '%s'", peers->slot);
}

void peers_close(peers_t *peers)
{
    zsock_destroy(&peers->work);
    zsock_destroy(&peers->results);
    zsock_destroy(&peers->acks);
    plumb_buf_fini(&peers->frame);
    plumb_note_space_fini(&peers->space);
    free(peers->held);
    peers->held = NULL;
}

/* ---- saying ---- */

static bool send_note(peers_t *peers, zsock_t *sock, const plumb_note_t *note)
{
    plumb_err_t err = {0};
    if (plumb_note_encode(&peers->frame, note, &err) < 0) {
        plumb_log_event(LOG_ERR, "note_not_sent", "type=%s reason=\"%s\"",
                        plumb_msg_name(note->type), err.text);
        return false;
    }
    peers->work_stirred = peers->work_stirred || sock == peers->work;
    if (plumb_sock_send(sock, peers->frame.data, peers->frame.length))
        return true;
    plumb_metric_add(PLUMB_M_SENDS_REFUSED, plumb_msg_name(note->type), 1);
    return false;
}

static plumb_note_t note_from(const peers_t *peers, plumb_msg_type_t type)
{
    return (plumb_note_t){.type = type,
                          .name = {peers->slot, strlen(peers->slot)},
                          .instance = peers->lease.instance};
}

/* What is held, into peers->held: begun calls and results; `all`: assigned ones too. */
static size_t list_held(peers_t *peers, bool all)
{
    size_t count = 0;
    for (const call_t *call = peers->calls->first; call != NULL && count < PLUMB_HELD_MAX;
         call = call->next) {
        bool begun = call_is_begun(call);
        if (begun || all)
            peers->held[count++] =
                (plumb_held_t){.ticket = call->entry.ticket,
                               .phase = begun ? PLUMB_PHASE_SENT : PLUMB_PHASE_ASSIGNED};
    }
    for (const kept_t *kept = NULL; (kept = results_next(peers->kept, kept)) != NULL;)
        if (count < PLUMB_HELD_MAX)
            peers->held[count++] = (plumb_held_t){
                .ticket = kept->entry.ticket, .phase = PLUMB_PHASE_ANSWERED, .done = true};
    return count;
}

static uint32_t capacity(const peers_t *peers)
{
    return lease_capacity(peers->credit, results_count(peers->kept), peers->unacked_max,
                          peers->stopping);
}

/* Our file's heir names us from now on. */
static void own_file(peers_t *peers)
{
    if (!peers->owned)
        flight_own(peers->flight, peers->lease.instance);
    peers->owned = true;
}

#define QUEUES_MAX 256

static bool say_hello(peers_t *peers, int64_t now_ms)
{
    plumb_slice_t queues[QUEUES_MAX];
    plumb_note_t note = note_from(peers, PLUMB_MSG_HELLO);
    for (plugin_t *p = plugins_first(peers->plugins); p != NULL && note.queue_count < QUEUES_MAX;
         p = p->next)
        queues[note.queue_count++] = (plumb_slice_t){p->queue, strlen(p->queue)};
    note.queues = queues;
    note.previous = peers->owned ? peers->lease.instance : peers->previous;
    note.clock_ms = now_ms;
    note.credit = capacity(peers);
    note.held_count = list_held(peers, true);
    note.held = peers->held;
    if (!send_note(peers, peers->work, &note))
        return false;
    if (peers->previous == 0) /* a new file: it tells of nobody else */
        own_file(peers);
    return true;
}

static bool say_ping(peers_t *peers, int64_t now_ms)
{
    plumb_note_t note = note_from(peers, PLUMB_MSG_PING);
    note.clock_ms = now_ms;
    note.credit = capacity(peers);
    return send_note(peers, peers->work, &note);
}

static void beat(peers_t *peers)
{
    int64_t now_ms = plumb_boot_ms();
    lease_act_t act = lease_due(&peers->lease, now_ms);
    if (act == LEASE_NOTHING)
        return;
    if (act == LEASE_HELLO ? say_hello(peers, now_ms) : say_ping(peers, now_ms))
        lease_sent(&peers->lease, act, now_ms);
    else
        lease_unsent(&peers->lease, now_ms);
}

/* Say what was gathered in `note`, if anything; it is empty then. */
static bool say_done(peers_t *peers, plumb_note_t *note)
{
    size_t count = note->held_count;
    if (count > 0 && !send_note(peers, peers->work, note))
        return false;
    for (size_t i = 0; i < count; i++) /* what was acked goes with its DONE */
        results_told(peers->kept, results_find(peers->kept, &note->held[i].ticket));
    note->held_count = 0;
    return true;
}

/* May it be said together with what is gathered? */
static bool goes_with(const plumb_note_t *note, const kept_t *kept)
{
    return note->held_count == 0 ||
           (note->held_count < PLUMB_HELD_MAX && note->outcome == kept->outcome &&
            note->retry_after_ms == kept->retry_after_ms);
}

/* In the order they were made, since the broker counts failures in a row.  A broker that does not
 * know us would take our DONE for somebody else's. */
static bool tell_all(peers_t *peers)
{
    if (peers->lease.greeting || peers->kept->untold == 0)
        return true;
    plumb_note_t note = note_from(peers, PLUMB_MSG_DONE);
    bool good = true;
    note.held = peers->held;
    for (kept_t *kept = NULL; good && (kept = results_next(peers->kept, kept)) != NULL;) {
        if (kept->told)
            continue;
        good = goes_with(&note, kept) || say_done(peers, &note);
        note.outcome = kept->outcome;
        note.retry_after_ms = kept->retry_after_ms;
        if (good)
            peers->held[note.held_count++] =
                (plumb_held_t){.ticket = kept->entry.ticket, .phase = PLUMB_PHASE_ANSWERED};
    }
    return good && say_done(peers, &note);
}

static bool send_results(peers_t *peers, int64_t now_ms)
{
    for (kept_t *kept; (kept = results_due(peers->kept, now_ms)) != NULL;) {
        if (!plumb_sock_send(peers->results, kept->frame.data, kept->frame.length)) {
            plumb_metric_add(PLUMB_M_SENDS_REFUSED, plumb_msg_name(PLUMB_MSG_RESULT), 1);
            return false;
        }
        results_sent(peers->kept, kept, now_ms);
    }
    return true;
}

/* What cannot be said is left out of the next HELLO's list, which says the same. */
static void say_returned(peers_t *peers)
{
    calls_t *calls = peers->calls;
    for (size_t at = 0; at < calls->returned_count; at += PLUMB_HELD_MAX) {
        plumb_note_t note = note_from(peers, PLUMB_MSG_RETURN);
        size_t left = calls->returned_count - at;
        note.held = calls->returned + at;
        note.held_count = left < PLUMB_HELD_MAX ? left : PLUMB_HELD_MAX;
        if (!send_note(peers, peers->work, &note))
            lease_greet(&peers->lease);
    }
    calls->returned_count = 0;
}

static bool say_channel(peers_t *peers, const char *text)
{
    plumb_note_t note = note_from(peers, PLUMB_MSG_CHANNELS);
    note.text = (plumb_slice_t){text, strlen(text)};
    return send_note(peers, peers->results, &note);
}

static bool say_channels(peers_t *peers, int64_t now_ms)
{
    bool good = true;
    if (now_ms < peers->announce_ms)
        return true;
    for (plugin_t *p = plugins_first(peers->plugins); good && p != NULL; p = p->next)
        good = say_channel(peers, p->note);
    const char *gone;
    for (size_t i = 0; good && (gone = plugins_gone_note(peers->plugins, i)) != NULL; i++)
        good = say_channel(peers, gone);
    if (good) {
        peers->announced_ms = now_ms;
        peers->announce_ms = now_ms + ANNOUNCE_MS;
    }
    return good;
}

void peers_flush(peers_t *peers)
{
    int64_t now_ms = plumb_mono_ms();
    beat(peers);
    if (peers->calls->returned_count > 0)
        say_returned(peers);
    if (now_ms < peers->retry_ms)
        return;
    bool sent = send_results(peers, now_ms);
    bool told = tell_all(peers);
    bool announced = say_channels(peers, now_ms);
    if (!sent || !told || !announced)
        peers->retry_ms = now_ms + AGAIN_MS;
}

int64_t peers_due_ms(const peers_t *peers)
{
    int64_t now_ms = plumb_mono_ms();
    if (peers->lease.due_ms == INT64_MIN)
        return now_ms;
    int64_t due_ms = now_ms + peers->lease.due_ms - plumb_boot_ms();
    int64_t results_ms = results_due_ms(peers->kept);
    if (peers->kept->untold > 0 && !peers->lease.greeting)
        results_ms = INT64_MIN;
    if (peers->announce_ms < results_ms)
        results_ms = peers->announce_ms;
    if (results_ms < peers->retry_ms)
        results_ms = peers->retry_ms;
    return due_ms < results_ms ? due_ms : results_ms;
}

void peers_channels_changed(peers_t *peers)
{
    peers->announce_ms = 0;
    lease_greet(&peers->lease);
}

/* ---- hearing the broker ---- */

static void on_event(peers_t *peers, lease_event_t event)
{
    switch (event) {
    case LEASE_IGNORED:
        break;
    case LEASE_WELCOMED:
        plumb_log_event(LOG_NOTICE, "welcomed", "epoch=%" PRIu64 " calls=%zu results=%zu",
                        peers->lease.epoch, calls_count(peers->calls), results_count(peers->kept));
        own_file(peers); /* before the first job; until then the broker may know our predecessor */
        calls_resume(peers->calls);
        break;
    case LEASE_RENEWED:
        calls_resume(peers->calls);
        break;
    case LEASE_LOST:
        plumb_log_event(LOG_WARNING, "lease_lost", "epoch=%" PRIu64 " calls=%zu results=%zu",
                        peers->lease.epoch, calls_count(peers->calls), results_count(peers->kept));
        plumb_metric_add(PLUMB_M_WORKER_FENCED, "", 1);
        calls_orphan(peers->calls);
        results_untell_all(peers->kept);
        break;
    }
    bool known = peers->lease.answered_ms != INT64_MIN;
    atomic_store(&peers->answered_ms, known ? peers->lease.answered_ms : 0);
}

static void on_recall(peers_t *peers, const plumb_note_t *note)
{
    plumb_note_t answer = note_from(peers, PLUMB_MSG_RECALLED);
    for (size_t i = 0; i < note->held_count; i++)
        if (calls_recall(peers->calls, &note->held[i].ticket))
            peers->held[answer.held_count++] = (plumb_held_t){.ticket = note->held[i].ticket};
    answer.held = peers->held;
    if (answer.held_count > 0 && !send_note(peers, peers->work, &answer))
        lease_greet(&peers->lease); /* not on the list any more: it comes again */
}

static void on_job(peers_t *peers, const plumb_job_t *job)
{
    /* Before the WELCOME the broker gives it out again, since it is not on our list. */
    if (!lease_takes(&peers->lease, job->epoch))
        return;
    plumb_held_t held = {.ticket = job->ticket};
    plumb_note_t note = note_from(peers, PLUMB_MSG_RETURN);
    note.held = &held;
    note.held_count = 1;
    bool taken = !peers->stopping && calls_take(peers->calls, job) != TAKE_REFUSED;
    if (!taken && !send_note(peers, peers->work, &note))
        lease_greet(&peers->lease);
}

static void on_broker_note(peers_t *peers, const plumb_note_t *note)
{
    switch (note->type) {
    case PLUMB_MSG_WELCOME:
        on_event(peers, lease_welcome(&peers->lease, note->epoch, note->clock_ms, note->credit));
        break;
    case PLUMB_MSG_PONG:
        on_event(peers, lease_pong(&peers->lease, note->epoch, note->clock_ms));
        break;
    case PLUMB_MSG_FENCED:
        on_event(peers, lease_fenced(&peers->lease));
        break;
    case PLUMB_MSG_RECALL:
        on_recall(peers, note);
        break;
    default:
        plumb_metric_add(PLUMB_M_FRAMES_REFUSED, "type", 1);
    }
}

/* ---- hearing the tracker ---- */

static void say_inventory(peers_t *peers)
{
    plumb_note_t note = note_from(peers, PLUMB_MSG_INVENTORY);
    note.epoch = lease_stands(&peers->lease, plumb_boot_ms()) && !peers->lease.greeting
                     ? peers->lease.epoch
                     : 0;
    note.held_count = list_held(peers, false);
    note.held = peers->held;
    send_note(peers, peers->results, &note); /* lost: the census is repeated */
}

static void on_census(peers_t *peers)
{
    int64_t now_ms = plumb_mono_ms();
    say_inventory(peers);
    if (now_ms - peers->announced_ms >= ANNOUNCE_CENSUS_MS)
        peers->announce_ms = now_ms;
}

static void on_tracker_note(peers_t *peers, const plumb_note_t *note)
{
    switch (note->type) {
    case PLUMB_MSG_ACKS:
        /* With an epoch it answers that broker, who gave us up: our result is not recorded yet. */
        for (size_t i = 0; note->epoch == 0 && i < note->held_count; i++)
            results_ack(peers->kept, &note->held[i].ticket);
        break;
    case PLUMB_MSG_CENSUS:
        on_census(peers);
        break;
    case PLUMB_MSG_ADOPT:
        calls_adopt(peers->calls, note->epoch, note->held, note->held_count);
        break;
    case PLUMB_MSG_UNACKED: /* an answer to a broker */
        break;
    default:
        plumb_metric_add(PLUMB_M_FRAMES_REFUSED, "type", 1);
    }
}

/* ---- frames ---- */

static void refuse(const plumb_err_t *err)
{
    plumb_log_event(LOG_WARNING, "frame_refused", "reason=\"%s\"", err->text);
    plumb_metric_add(PLUMB_M_FRAMES_REFUSED, "malformed", 1);
}

/* What a job carries is checked with its call, which can tell what is wrong with it: a frame that
 * is refused here is asked for again and again. */
static void on_work_frame(peers_t *peers, const void *data, size_t length)
{
    plumb_err_t err = {0};
    plumb_job_t job;
    plumb_note_t note;
    bool is_job = plumb_msg_claims(data, length) == PLUMB_MSG_JOB;
    int rc = is_job ? plumb_job_decode_to_pass_on(&job, data, length, &err)
                    : plumb_note_decode(&note, &peers->space, data, length, &err);
    if (rc < 0)
        refuse(&err);
    else if (is_job)
        on_job(peers, &job);
    else
        on_broker_note(peers, &note);
}

static void on_ack_frame(peers_t *peers, const void *data, size_t length)
{
    plumb_err_t err = {0};
    plumb_note_t note;
    if (plumb_note_decode(&note, &peers->space, data, length, &err) < 0)
        refuse(&err);
    else
        on_tracker_note(peers, &note);
}

/* Asking a socket in vain costs two system calls, so only one that was stirred is asked. */
static bool drain(peers_t *peers, zsock_t *sock, bool *stirred,
                  void (*take)(peers_t *peers, const void *data, size_t length))
{
    zmq_msg_t frame;
    int count = 0;
    if (!*stirred)
        return false;
    while (count < BATCH && plumb_sock_receive(sock, &frame)) {
        take(peers, zmq_msg_data(&frame), zmq_msg_size(&frame));
        zmq_msg_close(&frame);
        count++;
    }
    *stirred = count == BATCH;
    return count > 0;
}

bool peers_drain(peers_t *peers)
{
    bool acks = drain(peers, peers->acks, &peers->acks_stirred, on_ack_frame);
    bool work = drain(peers, peers->work, &peers->work_stirred, on_work_frame);
    return acks || work;
}

/* ---- stopping ---- */

void peers_stop(peers_t *peers)
{
    if (peers->stopping)
        return;
    peers->stopping = true;
    calls_give_back(peers->calls);
    peers->lease.due_ms = INT64_MIN; /* say at once that there is no more credit */
}

bool peers_is_idle(const peers_t *peers)
{
    return calls_count(peers->calls) == 0 && results_count(peers->kept) == 0 &&
           peers->calls->returned_count == 0;
}
