/* The tracker: its real loop, turn by turn, from which the sleep is taken out. */
#include "sim.h"

#include "../../tracker/loop.c" // NOLINT(bugprone-suspicious-include): one turn of it is static

#include <stdlib.h>

#undef zsock_resolve

static tracker_t *tracker;

/* ---- seams of the loop ---- */

int sim_poll(zmq_pollitem_t *items, int count, long wait_ms);
int sim_poll(zmq_pollitem_t *items, int count, long wait_ms)
{
    (void)items, (void)count, (void)wait_ms;
    return 0;
}

uint64_t sim_db_generation(const plumb_db_t *db)
{
    (void)db;
    return 1;
}

void sim_daemon_alive(void) {}

void upkeep_init(upkeep_t *u, int64_t now_ms)
{
    (void)now_ms;
    u->counters_ms = INT64_MAX; /* never: the tables of counters are not simulated */
}

int upkeep_work(tracker_t *t, plumb_err_t *err)
{
    (void)t, (void)err;
    return 0;
}

int rotation_work(tracker_t *t, plumb_err_t *err)
{
    (void)err;
    t->rotation.at_ms = INT64_MAX; /* never: keys are not simulated */
    return 0;
}

/* ---- life ---- */

static const plumb_conf_t *conf(void)
{
    static const char *const settings[] = {"retry.schedule=500ms,1s,2s,4s,8s,15s,20s,20s,20s,20s",
                                           "tracker.group=16", "tracker.feed_group=16",
                                           "retry.jitter=20"};
    static plumb_conf_t own;
    plumb_err_t err = {0};
    if (own.run_dir != NULL)
        return &own;
    int rc = plumb_conf_init(&own, &err);
    for (size_t i = 0; rc == 0 && i < PLUMB_COUNT(settings); i++)
        rc = plumb_conf_set(&own, settings[i], "sim", &err);
    if (rc < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return &own;
}

static void start(int node)
{
    plumb_err_t err = {0};
    (void)node;
    tracker = calloc(1, sizeof *tracker);
    if (tracker == NULL)
        abort();
    tracker->conf = conf();
    tracker->now_ms = plumb_mono_ms();
    if (open_parts(tracker, &err) < 0 || links_open(&tracker->links, tracker->conf, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    sim_trace("tracker: starts");
}

static void stop(int node)
{
    (void)node;
    results_fini(&tracker->results);
    feeder_fini(&tracker->feeder);
    audit_fini(&tracker->audit);
    lost_fini(&tracker->lost);
    channels_fini(&tracker->channels);
    brokers_fini(&tracker->brokers);
    epochs_fini(&tracker->epochs);
    plumb_buf_fini(&tracker->links.frame);
    plumb_note_space_fini(&tracker->links.space);
    free(tracker);
    tracker = NULL;
}

/* A tracker that says "recorded" on arrival. */
static void ack_what_waits(void)
{
    for (const frame_t *f = sim.stations[TRACKER].inbox[IN_RESULTS];
         f != NULL && f->at_ms <= sim.now_ms; f = f->next) {
        plumb_result_t result;
        plumb_err_t err;
        if (plumb_result_decode(&result, f->data, f->length, &err) == 0)
            links_ack(&tracker->links, &(plumb_held_t){.ticket = result.ticket}, 1);
    }
}

static void one_turn(int node)
{
    (void)node;
    if (sim.mutant == MUTANT_EARLY_ACK)
        ack_what_waits();
    turn(tracker, 0);
}

static int64_t next_ms(int node)
{
    (void)node;
    return sim.now_ms + sleep_ms(tracker);
}

bool tracker_is_empty(void)
{
    return tracker->results.count == 0 && tracker->feeder.out_count == 0 &&
           tracker->lost.tickets.count == 0 && tracker->recall.count == 0;
}

const daemon_t tracker_daemon = {start, stop, one_turn, next_ms};
