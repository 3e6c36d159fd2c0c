/* A run: deliveries, faults by chance, then quiet; and what must have held. */
#include "sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAULTS_MS 60000  /* they begin within */
#define QUIET_MS 240000  /* everything has settled after, at the latest */
#define CHATTER_MS 75000 /* until the broker has asked for the last ack that was lost */
#define FAULTS_MAX 8
#define GIVEN_UP_MS 8000   /* whoever cannot be heard for so long may be given up … */
#define AFTERMATH_MS 60000 /* … for so long */
#define PINGS_MS 4000      /* in which every ping may be lost by chance */

sim_t sim;

void sim_fail(const char *format, ...)
{
    if (sim.failed)
        return;
    va_list args;
    va_start(args, format);
    int at = snprintf(sim.why, sizeof sim.why, "at %" PRId64 " ms: ", sim.now_ms);
    vsnprintf(sim.why + at, sizeof sim.why - (size_t)at, format, args);
    va_end(args);
    sim.failed = true;
}

void sim_trace(const char *format, ...)
{
    static int wanted = -1;
    if (wanted < 0)
        wanted = getenv("PLUMB_SIM_TRACE") != NULL;
    if (!wanted)
        return;
    va_list args;
    va_start(args, format);
    printf("%8" PRId64 " ", sim.now_ms);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

/* ---- chance ---- */

uint64_t sim_random(void) /* splitmix64 */
{
    uint64_t z = sim.random += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

int64_t sim_between(int64_t least, int64_t most)
{
    return least + (int64_t)(sim_random() % (uint64_t)(most - least + 1));
}

bool sim_chance(unsigned of_10000)
{
    return of_10000 > 0 && sim_random() % 10000 < of_10000;
}

/* ---- stations ---- */

static const daemon_t *daemon_of(int node)
{
    static const daemon_t *const daemons[] = {&ingest_daemon, &broker_daemon, &tracker_daemon};
    return node < WORKER ? daemons[node] : &worker_daemon;
}

const char *sim_name(int node)
{
    static const char *const names[SIM_NODES] = {"ingest",   "broker",   "tracker",
                                                 "worker-0", "worker-1", "worker-2"};
    return names[node];
}

/* For `ms` from now the worker cannot be heard, and it was not since its last frame came: the
 * broker counts from that one.  Short silences add up. */
void sim_silent(int node, int64_t ms)
{
    station_t *s = &sim.stations[node];
    int64_t since_ms = s->heard_ms < sim.now_ms ? s->heard_ms : sim.now_ms;
    since_ms = since_ms > sim.now_ms - PINGS_MS ? since_ms : sim.now_ms - PINGS_MS;
    bool follows = sim.now_ms <= s->bad_until_ms || s->bad_since_ms == INT64_MIN;
    if (sim.now_ms + ms - since_ms < GIVEN_UP_MS && !follows) {
        s->bad_since_ms = INT64_MIN; /* one more makes it long */
        s->bad_until_ms = sim.now_ms + ms + 10000;
        return;
    }
    if (sim.now_ms > s->bad_until_ms)
        s->bad_since_ms = since_ms + GIVEN_UP_MS;
    if (sim.now_ms + ms + AFTERMATH_MS > s->bad_until_ms)
        s->bad_until_ms = sim.now_ms + ms + AFTERMATH_MS;
}

static void bring_up(int node)
{
    station_t *s = &sim.stations[node];
    s->up = true;
    s->dying = false;
    s->fuse = -1;
    s->ran_ms = sim.now_ms - 1;
    s->paused_ms = 0;
    wire_connect(node);
    sim.node = node;
    daemon_of(node)->start(node);
    s->due_ms = sim.now_ms;
}

static void kill_node(int node)
{
    station_t *s = &sim.stations[node];
    s->dying = true;
    if (node >= WORKER) {
        sim_excuse_open(node);
        sim_silent(node, s->down_ms);
        if (s->lose_host) /* known as soon as its successor says hello */
            s->bad_since_ms = INT64_MIN;
        if (s->lose_host && s->bad_until_ms < sim.now_ms + s->down_ms + AFTERMATH_MS)
            s->bad_until_ms = sim.now_ms + s->down_ms + AFTERMATH_MS;
    }
    sim_trace("%s: killed for %" PRId64 " ms%s", sim_name(node), s->down_ms,
              s->lose_host ? ", with its host" : "");
    sim.node = node;
    daemon_of(node)->stop(node);
    wire_drop(node, true);
    if (s->lose_host && node >= WORKER) {
        worker_each_record(node, sim_forget);
        worker_lose_file(node);
    }
    *s = (station_t){.up_ms = sim.now_ms + s->down_ms,
                     .fuse = -1,
                     .skew_ms = s->skew_ms,
                     .heard_ms = s->heard_ms,
                     .bad_since_ms = s->bad_since_ms,
                     .bad_until_ms = s->bad_until_ms};
}

static int64_t wants_ms(int node)
{
    const station_t *s = &sim.stations[node];
    if (!s->up)
        return s->up_ms;
    int64_t next = wire_due_ms(node);
    next = s->due_ms < next ? s->due_ms : next;
    next = next > s->ran_ms ? next : s->ran_ms + 1;
    if (next < s->paused_ms)
        next = s->paused_ms;
    if (s->fuse >= 0 && s->fuse_ms < next)
        next = s->fuse_ms;
    return next > sim.now_ms ? next : sim.now_ms;
}

static void run_node(int node)
{
    station_t *s = &sim.stations[node];
    if (!s->up) {
        bring_up(node);
        return;
    }
    if (s->fuse >= 0 && sim.now_ms >= s->fuse_ms) {
        kill_node(node);
        return;
    }
    sim.node = node;
    s->ran_ms = sim.now_ms;
    daemon_of(node)->turn(node);
    if (s->dying)
        kill_node(node);
    else
        s->due_ms = daemon_of(node)->due_ms(node);
}

/* ---- a run ---- */

static void set_up(uint64_t seed, mutant_t mutant)
{
    sim = (sim_t){.seed = seed, .random = seed * 2 + 1, .mutant = mutant};
    sim.loss = sim_chance(3000) ? (unsigned)sim_between(10, 500) : 0;
    sim.doubling = sim_chance(3000) ? 2000 : 0;
    sim.bad_calls = sim_chance(6000) ? (unsigned)sim_between(5, 60) : 0;
    sim.delivery_count = (size_t)sim_between(3, SIM_DELIVERIES);
    for (size_t i = 0; i < sim.delivery_count; i++) {
        delivery_t *d = &sim.deliveries[i];
        for (size_t at = 0; at < 15; at++)
            d->id.b[at] = (uint8_t)sim_random();
        d->id.b[15] = (uint8_t)i;
        d->credential = (int)sim_between(0, SIM_CREDENTIALS - 1);
        d->born_ms = sim_between(100, FAULTS_MS / 2);
    }
    for (int a = 0; a < SIM_NODES; a++)
        for (int b = 0; b < SIM_NODES; b++)
            sim.links[a][b].delay_ms = sim_chance(500) ? sim_between(0, 200) : 0;
    for (int node = 0; node < SIM_NODES; node++) {
        sim.stations[node].up_ms = sim_between(0, 2000);
        sim.stations[node].skew_ms = sim_between(1000000, 100000000);
        sim.stations[node].fuse = -1;
        sim.stations[node].bad_until_ms = -1;
        if (node >= WORKER)
            worker_lose_file(node);
    }
    db_reset();
}

static void be_quiet(void)
{
    sim.loss = sim.doubling = sim.bad_calls = 0;
    sim.commit_unknown = false;
    sim.skip_pushes = 0;
    for (int a = 0; a < SIM_NODES; a++)
        for (int b = 0; b < SIM_NODES; b++)
            sim.links[a][b].delay_ms = 0;
    sim_trace("faults are over");
}

/* Let every daemon run until that time. */
static void run_until(int64_t end_ms)
{
    while (!sim.failed) {
        int next = 0;
        int64_t next_ms = INT64_MAX;
        for (int node = 0; node < SIM_NODES; node++) {
            int64_t wants = wants_ms(node);
            if (wants < next_ms) {
                next = node;
                next_ms = wants;
            }
        }
        if (next_ms > end_ms)
            break;
        sim.now_ms = next_ms;
        run_node(next);
    }
    sim.now_ms = end_ms;
}

static bool is_over(void)
{
    for (size_t i = 0; i < sim.delivery_count; i++)
        if (!db_is_settled(i))
            return false;
    for (int node = 0; node < SIM_NODES; node++)
        if (!sim.stations[node].up || sim.stations[node].fuse >= 0 ||
            sim.stations[node].paused_ms > sim.now_ms)
            return false;
    for (int node = WORKER; node < SIM_NODES; node++)
        if (!worker_is_empty(node))
            return false;
    return tracker_is_empty();
}

/* The broker may wait for an ack, the tracker have a question of its that came just now. */
static bool is_talking(void)
{
    return broker_holds() || !tracker_is_empty();
}

static void check_end(void)
{
    char text[128];
    for (size_t i = 0; i < sim.delivery_count; i++) {
        const delivery_t *d = &sim.deliveries[i];
        bool yes = false, known = false;
        for (size_t n = 0; n < d->arrival_count; n++) {
            const arrival_t *a = &d->arrivals[n];
            yes = yes || a->answer == ANSWER_YES;
            known = known || (a->answer == ANSWER_YES && a->told);
        }
        if (!db_is_settled(i))
            sim_fail("delivery %zu is still %s", i, db_describe(i, text, sizeof text));
        if (db_is_delivered(i) && !yes)
            sim_fail("delivery %zu is delivered, the destination knows nothing of it", i);
        if (known && !db_took_success(i))
            sim_fail("delivery %zu arrived, yet it is %s", i, db_describe(i, text, sizeof text));
    }
    for (int node = WORKER; node < SIM_NODES; node++)
        if (!sim.failed && !worker_is_empty(node))
            sim_fail("%s still holds something", sim_name(node));
    if (!sim.failed && !tracker_is_empty())
        sim_fail("the tracker still holds something");
    if (!sim.failed && !broker_is_empty())
        sim_fail("the broker still holds something");
}

static void tear_down(void)
{
    for (int node = 0; node < SIM_NODES; node++) {
        sim.node = node;
        sim.stations[node].dying = true;
        if (sim.stations[node].up)
            daemon_of(node)->stop(node);
    }
    wire_reset();
}

bool sim_run(uint64_t seed, mutant_t mutant)
{
    set_up(seed, mutant);
    int64_t count = sim_between(0, FAULTS_MAX), at_ms = 0;
    for (int64_t left = count; left > 0 && !sim.failed; left--) {
        at_ms += sim_between(0, INT64_C(2) * FAULTS_MS / (count + 1));
        run_until(at_ms);
        sim_fault();
    }
    run_until(at_ms > FAULTS_MS ? at_ms : FAULTS_MS);
    be_quiet();
    int64_t end_ms = sim.now_ms + QUIET_MS;
    while (!sim.failed && sim.now_ms < end_ms && !is_over())
        run_until(sim.now_ms + 1000);
    end_ms = sim.now_ms + CHATTER_MS;
    while (!sim.failed && sim.now_ms < end_ms && is_talking())
        run_until(sim.now_ms + 1000);
    if (!sim.failed)
        check_end();
    tear_down();
    return !sim.failed;
}
