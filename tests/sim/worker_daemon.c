/* A worker: everything behind its sockets is the real one; the loop is that of worker/loop.c. */
#include "peers.h"
#include "sim.h"
#include "worker_calls.h"
#include "worker_flight.h"

#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_HOUSE_MS 500
#define UNACKED_MAX ((size_t)4 * SIM_CREDIT)

typedef struct worker {
    char slot[16];
    flight_file_t file; /* outlives the process */
    flight_t *flight;
    results_t results;
    calls_t calls;
    peers_t peers;
    int64_t house_ms;
} worker_t;

static worker_t workers[SIM_WORKERS];

static worker_t *worker_of(int node)
{
    return &workers[node - WORKER];
}

static const plumb_conf_t *conf(void)
{
    static plumb_conf_t defaults;
    plumb_err_t err = {0};
    if (defaults.run_dir == NULL && plumb_conf_init(&defaults, &err) < 0)
        abort();
    return &defaults;
}

static void must(int rc, const plumb_err_t *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s\n", err->text);
    abort();
}

static void start(int node)
{
    worker_t *w = worker_of(node);
    plumb_err_t err = {0};
    size_t recovered = 0;
    if (sim.mutant == MUTANT_FLIGHT)
        memset(&w->file, 0, sizeof w->file);
    snprintf(w->slot, sizeof w->slot, "worker-%d", node - WORKER);
    w->flight = flight_of(&w->file, node);
    must(results_init(&w->results, w->flight, w->slot, conf()->result_resend, UNACKED_MAX, &err),
         &err);
    must(results_recover(&w->results, &recovered, &err), &err);
    w->calls = (calls_t){
        .net = net_of(node), .flight = w->flight, .results = &w->results, .lease = &w->peers.lease};
    must(calls_init(&w->calls, SIM_CREDIT, &err), &err);
    w->peers = (peers_t){.slot = w->slot,
                         .calls = &w->calls,
                         .kept = &w->results,
                         .flight = w->flight,
                         .credit = SIM_CREDIT,
                         .unacked_max = UNACKED_MAX,
                         .previous = w->file.instance};
    must(peers_open(&w->peers, conf(), sim_random() | 1, &err), &err);
    w->house_ms = plumb_mono_ms() + KEEP_HOUSE_MS;
    sim_trace("%s: starts, %zu results", w->slot, recovered);
}

/* Memory goes; what the file says stays. */
static void stop(int node)
{
    worker_t *w = worker_of(node);
    calls_fini(&w->calls);
    results_fini(&w->results);
    plumb_buf_fini(&w->peers.frame);
    plumb_note_space_fini(&w->peers.space);
    free(w->peers.held);
    free(w->flight);
    w->flight = NULL;
}

/* A worker that keeps nothing once it is said. */
static void forget_sent(worker_t *w)
{
    for (kept_t *kept = results_next(&w->results, NULL), *next; kept != NULL; kept = next) {
        next = results_next(&w->results, kept);
        if (kept->due_ms != INT64_MIN)
            results_ack(&w->results,
                        &(plumb_ticket_t){kept->entry.ticket.delivery, kept->entry.ticket.attempt});
    }
}

static void mutate(worker_t *w)
{
    if (sim.mutant == MUTANT_FENCE)
        w->peers.lease.fence_ms = INT64_MAX / 4;
    if (sim.mutant == MUTANT_RESEND)
        w->results.resend_ms = INT64_MAX / 4;
    if (sim.mutant == MUTANT_CUSTODY)
        forget_sent(w);
}

static void turn(int node)
{
    worker_t *w = worker_of(node);
    mutate(w);
    w->peers.work_stirred = w->peers.acks_stirred = true; /* nobody polls descriptors here */
    peers_drain(&w->peers);
    mutate(w);
    transfers_run(node);
    peers_flush(&w->peers);
    if (plumb_mono_ms() >= w->house_ms) {
        w->house_ms = plumb_mono_ms() + KEEP_HOUSE_MS;
        calls_expire(&w->calls, plumb_mono_ms());
    }
    peers_drain(&w->peers);
}

static int64_t due_ms(int node)
{
    const worker_t *w = worker_of(node);
    int64_t link_ms = peers_due_ms(&w->peers);
    int64_t own_ms = link_ms < w->house_ms ? link_ms : w->house_ms;
    int64_t calls_ms = transfers_due_ms(node);
    own_ms -= sim.stations[node].skew_ms;
    return own_ms < calls_ms ? own_ms : calls_ms;
}

void worker_lose_file(int node)
{
    memset(&worker_of(node)->file, 0, sizeof worker_of(node)->file);
}

void worker_each_record(int node, void (*each)(const plumb_ticket_t *ticket, int worker))
{
    const flight_file_t *file = &worker_of(node)->file;
    for (int slot = 0; slot < FLIGHT_SLOTS; slot++)
        if (file->records[slot].phase != FLIGHT_FREE)
            each(&file->records[slot].call.ticket, node);
}

bool worker_is_empty(int node)
{
    const worker_t *w = worker_of(node);
    if (!peers_is_idle(&w->peers))
        return false;
    for (int slot = 0; slot < FLIGHT_SLOTS; slot++)
        if (w->file.records[slot].phase != FLIGHT_FREE)
            return false;
    return true;
}

const daemon_t worker_daemon = {start, stop, turn, due_ms};
