/* Links, clocks and sockets.
 *
 * A link is one direction between two processes: frames on it stay in order, each later than the
 * one before; those of different links pass each other freely.  What ZeroMQ loses is what lies in
 * the pipes of a process that dies and what is sent while nobody is connected; the loss of single
 * frames comes on top of that. */
#include "sim.h"

#include "clock.h"
#include "sock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- frames ---- */

bool sim_acts(int node)
{
    station_t *s = &sim.stations[node];
    if (s->fuse >= 0 && s->fuse-- == 0)
        s->dying = true;
    return s->dying;
}

static void put(int to, inbox_t inbox, frame_t *frame)
{
    frame_t **at = &sim.stations[to].inbox[inbox];
    while (*at != NULL && (*at)->at_ms <= frame->at_ms)
        at = &(*at)->next;
    frame->next = *at;
    *at = frame;
}

static void enqueue(int from, int to, inbox_t inbox, int64_t at_ms, const void *data, size_t length)
{
    frame_t *frame = malloc(sizeof *frame + length);
    if (frame == NULL)
        abort();
    *frame = (frame_t){.at_ms = at_ms, .from = from, .length = length};
    memcpy(frame->data, data, length);
    put(to, inbox, frame);
}

int wire_send(int from, int to, inbox_t inbox, const void *data, size_t length)
{
    link_t *link = &sim.links[from][to];
    if (sim_acts(from))
        return 1;
    if (!sim.stations[to].up || sim.now_ms < link->from_ms)
        return 0;
    bool cut = sim.now_ms < link->cut_ms;
    if ((cut && link->cut_loses) || sim_chance(sim.loss))
        return 1;
    int64_t at_ms = (cut ? link->cut_ms : sim.now_ms) + link->delay_ms + sim_between(0, 3);
    at_ms = at_ms > link->last_ms ? at_ms : link->last_ms;
    link->last_ms = at_ms;
    if (to == BROKER)
        sim.stations[from].heard_ms = at_ms;
    enqueue(from, to, inbox, at_ms, data, length);
    if (inbox == IN_RESULTS && sim_chance(sim.doubling))
        enqueue(from, to, inbox, at_ms + sim_between(0, 3000), data, length);
    return 1;
}

frame_t *wire_take(int node, inbox_t inbox)
{
    frame_t **first = &sim.stations[node].inbox[inbox], *frame = *first;
    if (frame == NULL || frame->at_ms > sim.now_ms)
        return NULL;
    *first = frame->next;
    return frame;
}

int64_t wire_due_ms(int node)
{
    int64_t due_ms = INT64_MAX;
    for (int i = 0; i < INBOXES; i++) {
        const frame_t *first = sim.stations[node].inbox[i];
        if (first != NULL && first->at_ms < due_ms)
            due_ms = first->at_ms;
    }
    return due_ms;
}

/* Drop the frames of `from` (below 0: of anybody) that arrive after `after_ms`. */
static void drop(int to, int from, int64_t after_ms)
{
    for (int i = 0; i < INBOXES; i++) {
        for (frame_t **at = &sim.stations[to].inbox[i]; *at != NULL;) {
            frame_t *frame = *at;
            if ((from >= 0 && frame->from != from) || frame->at_ms <= after_ms) {
                at = &frame->next;
                continue;
            }
            *at = frame->next;
            free(frame);
        }
    }
}

void wire_drop(int node, bool all)
{
    drop(node, -1, INT64_MIN);
    for (int to = 0; all && to < SIM_NODES; to++)
        drop(to, node, sim.now_ms + sim_between(0, 4)); /* what the kernel has comes through */
}

void wire_reset_link(int a, int b)
{
    drop(a, b, sim.now_ms);
    drop(b, a, sim.now_ms);
}

void wire_connect(int node)
{
    for (int other = 0; other < SIM_NODES; other++) {
        int64_t from_ms = sim.now_ms + sim_between(0, 300);
        sim.links[node][other].from_ms = sim.links[other][node].from_ms = from_ms;
    }
}

void wire_reset(void)
{
    for (int node = 0; node < SIM_NODES; node++)
        wire_drop(node, false);
}

/* ---- lib/clock.h ---- */

int64_t plumb_mono_ms(void)
{
    return sim.now_ms + sim.stations[sim.node].skew_ms;
}

int64_t plumb_mono_us(void)
{
    return 1000 * plumb_mono_ms();
}

int64_t plumb_boot_ms(void)
{
    return plumb_mono_ms();
}

int64_t plumb_wall_ms(void)
{
    return INT64_C(1800000000000) + sim.now_ms;
}

char *plumb_time_text(int64_t unix_ms, char *out)
{
    snprintf(out, PLUMB_TIME_TEXT, "%lld", (long long)unix_ms);
    return out;
}

/* ---- lib/sock.h ---- */

/* A socket is a place in this table: who has it, and where what is sent on it goes or where what
 * comes in lies. */
static const struct {
    const char *name; /* end of its endpoint */
    plumb_sock_kind_t kind;
    inbox_t inbox;
    int to; /* WORKER: everybody who listens to the tracker */
} sockets[] = {
    {"broker.work", PLUMB_SOCK_DEALER, IN_WORK, BROKER},
    {"tracker.results", PLUMB_SOCK_PUSH, IN_RESULTS, TRACKER},
    {"tracker.acks", PLUMB_SOCK_SUB, IN_ACKS, -1},
    {"tracker.acks", PLUMB_SOCK_PUB, IN_ACKS, WORKER},
    {"broker.jobs", PLUMB_SOCK_PUSH, IN_JOBS, BROKER},
    {"broker.control", PLUMB_SOCK_DEALER, IN_CONTROL, BROKER},
    {"broker.beacon", PLUMB_SOCK_SUB, IN_BEACON, -1},
    {"tracker.results", PLUMB_SOCK_PULL, IN_RESULTS, -1},
};
#define SOCKETS (sizeof sockets / sizeof *sockets)

static char places[SOCKETS]; /* their addresses stand for sockets */

static zsock_t *socket_for(plumb_sock_kind_t kind, const char *endpoint)
{
    const char *name = strrchr(endpoint, '/') + 1;
    for (size_t i = 0; i < SOCKETS; i++)
        if (sockets[i].kind == kind && strcmp(sockets[i].name, name) == 0)
            return (zsock_t *)(void *)&places[i];
    abort();
}

static size_t place_of(const zsock_t *sock)
{
    return (size_t)((const char *)(const void *)sock - places);
}

zsock_t *plumb_sock_bind(plumb_sock_kind_t kind, const char *endpoint, plumb_err_t *err)
{
    (void)err;
    return socket_for(kind, endpoint);
}

zsock_t *plumb_sock_connect(plumb_sock_kind_t kind, const char *endpoint, const char *identity,
                            plumb_err_t *err)
{
    (void)identity;
    (void)err;
    return socket_for(kind, endpoint);
}

/* What a mutant does not say. */
static bool is_muted(const void *data, size_t length)
{
    static const struct {
        mutant_t mutant;
        plumb_msg_type_t type;
    } muted[] = {{MUTANT_AUDIT, PLUMB_MSG_AUDIT},
                 {MUTANT_CENSUS, PLUMB_MSG_INVENTORY},
                 {MUTANT_UNRECORDED, PLUMB_MSG_UNACKED}};
    plumb_msg_type_t type = PLUMB_MSG_COUNT;
    plumb_err_t err;
    for (size_t i = 0; i < sizeof muted / sizeof *muted; i++)
        if (sim.mutant == muted[i].mutant && plumb_msg_check(data, length, &type, &err) == 0 &&
            type == muted[i].type)
            return true;
    return false;
}

int plumb_sock_send(zsock_t *sock, const void *data, size_t length)
{
    size_t place = place_of(sock);
    if (is_muted(data, length))
        return 1;
    if (sockets[place].to != WORKER)
        return wire_send(sim.node, sockets[place].to, sockets[place].inbox, data, length);
    wire_send(sim.node, BROKER, IN_ACKS, data, length);
    for (int i = 0; i < SIM_WORKERS; i++)
        wire_send(sim.node, WORKER + i, IN_ACKS, data, length);
    return 1;
}

int plumb_sock_send_to(zsock_t *router, const void *identity, size_t identity_length,
                       const void *data, size_t length)
{
    (void)router, (void)identity, (void)identity_length, (void)data, (void)length;
    abort(); /* the broker's, which is driven by its ports */
}

int plumb_sock_receive(zsock_t *sock, zmq_msg_t *msg)
{
    frame_t *frame = wire_take(sim.node, sockets[place_of(sock)].inbox);
    if (frame == NULL)
        return 0;
    if (zmq_msg_init_size(msg, frame->length) != 0)
        abort();
    memcpy(zmq_msg_data(msg), frame->data, frame->length);
    free(frame);
    return 1;
}

int plumb_sock_receive_from(zsock_t *router, zmq_msg_t *identity, zmq_msg_t *msg)
{
    (void)router, (void)identity, (void)msg;
    abort();
}
