/* What may go wrong, by chance. */
#include "sim.h"

#include <inttypes.h>

static void fault_kill(int node)
{
    station_t *s = &sim.stations[node];
    if (!s->up || s->fuse >= 0)
        return;
    s->fuse = (int)sim_between(0, 30);
    s->fuse_ms = sim.now_ms + sim_between(1, 3000);
    s->down_ms = sim_chance(6000) ? sim_between(100, 4000) : sim_between(4000, 20000);
    s->lose_host = node >= WORKER && sim_chance(2500);
}

static void fault_kill_any(void)
{
    fault_kill((int)sim_between(0, SIM_NODES - 1));
}

static void fault_kill_worker(void)
{
    fault_kill(WORKER + (int)sim_between(0, SIM_WORKERS - 1));
}

static void fault_kill_all(void)
{
    for (int node = 0; node < SIM_NODES; node++)
        fault_kill(node);
}

static void fault_pause(void)
{
    int node = (int)sim_between(0, SIM_NODES - 1);
    int64_t ms = sim_between(500, 25000);
    sim.stations[node].paused_ms = sim.now_ms + ms;
    if (node >= WORKER)
        sim_silent(node, ms);
    sim_trace("%s: stopped for %" PRId64 " ms", sim_name(node), ms);
}

static void cut(int from, int to, int64_t ms, bool loses)
{
    sim.links[from][to].cut_ms = sim.now_ms + ms;
    sim.links[from][to].cut_loses = loses;
    sim_trace("cut from %s to %s for %" PRId64 " ms%s", sim_name(from), sim_name(to), ms,
              loses ? ", losing" : "");
}

static void fault_cut(void)
{
    static const node_t ends[][2] = {{INGEST, BROKER}, {INGEST, TRACKER}, {BROKER, TRACKER},
                                     {WORKER, BROKER}, {WORKER, BROKER},  {WORKER, TRACKER},
                                     {WORKER, TRACKER}};
    const node_t *pair = ends[sim_between(0, sizeof ends / sizeof *ends - 1)];
    int a = (int)pair[0], b = (int)pair[1];
    int64_t ms = sim_between(500, 25000), ways = sim_between(1, 3);
    bool loses = sim_chance(5000);
    if (a == WORKER) {
        a += (int)sim_between(0, SIM_WORKERS - 1);
        sim_silent(a, ms);
    }
    if (ways & 1)
        cut(a, b, ms, loses);
    if (ways & 2)
        cut(b, a, ms, loses);
}

static void fault_reset(void)
{
    int a = (int)sim_between(0, SIM_NODES - 1), b = (int)sim_between(0, SIM_NODES - 1);
    sim_trace("reset between %s and %s", sim_name(a), sim_name(b));
    wire_reset_link(a, b);
}

static void fault_database(void)
{
    sim.db_away_ms = sim.now_ms + sim_between(200, 20000);
    sim_trace("the database is away for %" PRId64 " ms", sim.db_away_ms - sim.now_ms);
}

static void fault_commit(void)
{
    sim.commit_unknown = true;
}

static void fault_hand_over(void)
{
    sim.skip_pushes = (int)sim_between(1, 3);
}

static void fault_slow_link(void)
{
    int a = (int)sim_between(0, SIM_NODES - 1), b = (int)sim_between(0, SIM_NODES - 1);
    sim.links[a][b].delay_ms = sim_between(0, 800);
}

static void (*const faults[])(void) = {
    fault_kill_any, fault_kill_any, fault_kill_worker, fault_kill_worker, fault_kill_all,
    fault_pause,    fault_pause,    fault_cut,         fault_cut,         fault_cut,
    fault_reset,    fault_database, fault_commit,      fault_hand_over,   fault_slow_link,
};

void sim_fault(void)
{
    faults[sim_between(0, sizeof faults / sizeof *faults - 1)]();
}
