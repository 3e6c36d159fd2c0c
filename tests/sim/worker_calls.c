/* worker/plugins.h and worker/net.h: two channels, and a destination that answers by chance.
 *
 * A call may begin with a look-up; only its POST is what must not be repeated. */
#include "worker_calls.h"

#include "call.h"
#include "calls.h"
#include "sim.h"

#include "plumb/channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_TIMEOUT_MS 30000

/* ---- channels ---- */

static bool looks_first(const plumb_call_t *call)
{
    return (call->delivery[strlen(call->delivery) - 1] & 1) != 0;
}

static plumb_step_t send_step(plumb_call_t *call)
{
    if (call->stage == 2)
        return plumb_end(call, plumb_outcome_of_status(call->reply->status));
    bool looks = call->stage == 0 && looks_first(call);
    plumb_request(call, looks ? "GET" : "POST", "https://receiver.example/");
    return plumb_ask(call, looks ? 1 : 2);
}

static const plumb_field_t no_fields[] = {{0}};

#define CHANNEL(code_, flags_)                                                                     \
    {                                                                                              \
        .code = code_, .queue = "integration-" code_, .refs = 1, .generation = 1,                  \
        .note = (char[]){"{\"code\":\"" code_ "\",\"title\":\"t\",\"version\":\"1\","              \
                         "\"present\":true,\"fields\":[],\"limits\":{}}"},                         \
        .lib.table = {PLUMB_CHANNEL_HEAD, .code = code_,       .title = "t",     .version = "1",   \
                      .flags = flags_,    .fields = no_fields, .send = send_step},                 \
    }
static plugin_t channels[] = {CHANNEL("keyed", PLUMB_CHANNEL_RESENDS), CHANNEL("plain", 0)};

plugin_t *plugins_first(const plugins_t *plugins)
{
    (void)plugins;
    channels[0].next = &channels[1];
    return &channels[0];
}

plugin_t *plugins_find(const plugins_t *plugins, const char *code, size_t length)
{
    for (plugin_t *p = plugins_first(plugins); p != NULL; p = p->next)
        if (strlen(p->code) == length && memcmp(p->code, code, length) == 0)
            return p;
    return NULL;
}

const char *plugins_gone_note(const plugins_t *plugins, size_t index)
{
    (void)plugins, (void)index;
    return NULL;
}

plugin_t *plugin_hold(plugin_t *plugin)
{
    return plugin;
}

void plugin_release(plugin_t *plugin)
{
    (void)plugin;
}

/* ---- lanes ---- */

struct net {
    int node;
    transfer_t *transfers;
};
static net_t nets[SIM_WORKERS];

net_t *net_of(int node)
{
    nets[node - WORKER].node = node;
    return &nets[node - WORKER];
}

/* A lane is its worker's network: there is nothing else to know of it. */
lane_t *lane_hold(net_t *net, const plumb_uuid_t *credential)
{
    (void)credential;
    return (lane_t *)(void *)net;
}

void lane_release(lane_t *lane)
{
    (void)lane;
}

json_t *lane_fields(lane_t *lane, const plugin_t *plugin, plumb_slice_t secrets, const char **why)
{
    static json_t *none;
    (void)lane, (void)plugin, (void)secrets, (void)why;
    if (none == NULL)
        none = json_object();
    return none;
}

const redact_t *lane_secrets(const lane_t *lane)
{
    static const redact_t none;
    (void)lane;
    return &none;
}

const char *lane_vet(lane_t *lane, const char *url, bool mail)
{
    (void)lane, (void)url, (void)mail;
    return NULL;
}

/* ---- transfers ---- */

struct transfer {
    transfer_t *next;
    net_t *net;
    call_t *owner;
    int64_t due_ms;
    bool over;
    CURLcode code; /* of its end */
    sent_t sent;
    char retry_after[16];
};

transfer_t *transfer_start(lane_t *lane, ask_t *ask, const char *agent, void *owner)
{
    net_t *net = (net_t *)(void *)lane;
    transfer_t *t = calloc(1, sizeof *t);
    (void)ask, (void)agent;
    if (t == NULL)
        abort();
    *t = (transfer_t){.net = net, .owner = owner, .due_ms = sim.now_ms + sim_between(0, 20)};
    if (sim_chance(1000)) /* a slow handshake */
        t->due_ms += sim_between(0, 5000);
    transfer_t **last = &net->transfers;
    while (*last != NULL)
        last = &(*last)->next;
    *last = t;
    return t;
}

void transfer_release(transfer_t *transfer)
{
    if (transfer == NULL)
        return;
    transfer_t **at = &transfer->net->transfers;
    while (*at != transfer)
        at = &(*at)->next;
    *at = transfer->next;
    free(transfer);
}

const plumb_buf_t *transfer_body(const transfer_t *transfer)
{
    static const plumb_buf_t none;
    (void)transfer;
    return &none;
}

bool transfer_truncated(const transfer_t *transfer)
{
    (void)transfer;
    return false;
}

const char *transfer_header(const transfer_t *transfer, const char *name)
{
    bool asked = strcmp(name, "Retry-After") == 0 && transfer->retry_after[0] != '\0';
    return asked ? transfer->retry_after : NULL;
}

bool transfer_next_header(const transfer_t *transfer, void **at, const char **name,
                          const char **value)
{
    (void)transfer, (void)at, (void)name, (void)value;
    return false;
}

void transfer_timings(const transfer_t *transfer, plumb_timings_t *timings)
{
    (void)transfer;
    *timings = (plumb_timings_t){.total_us = 1};
}

/* ---- the destination ---- */

/* How it takes a request: weights of a bad call. */
static const struct fate {
    unsigned weight;
    CURLcode code;
    int status;
    int retry_after_s; /* at most */
    answer_t answer;
} fates[] = {
    {30, CURLE_OK, 500, 0, ANSWER_NO},
    {10, CURLE_OK, 503, 4, ANSWER_NO},
    {15, CURLE_OK, 429, 4, ANSWER_NO},
    {2, CURLE_OK, 410, 0, ANSWER_NO},
    {2, CURLE_OK, 400, 0, ANSWER_NO},
    {3, CURLE_OK, 401, 0, ANSWER_NO},
    {15, CURLE_OPERATION_TIMEDOUT, 0, 0, ANSWER_NONE},
    {23, CURLE_GOT_NOTHING, 0, 0, ANSWER_NONE},
};

static const struct fate *pick_fate(void)
{
    static const struct fate good = {1, CURLE_OK, 200, 0, ANSWER_YES};
    if (sim_between(0, 99) >= sim.bad_calls)
        return &good;
    int64_t at = sim_between(0, 99);
    const struct fate *fate = fates;
    for (; at >= fate->weight; fate++)
        at -= fate->weight;
    return fate;
}

static void end(transfer_t *t)
{
    t->over = true;
    t->sent.code = t->code;
    call_done(t->owner, &t->sent);
}

/* The first byte leaves. */
static void leave(transfer_t *t)
{
    const struct fate *fate = pick_fate();
    bool posts = strcmp(t->owner->ask.method, "POST") == 0;
    t->sent.bytes_left = true;
    t->code = fate->code;
    t->sent.status = fate->status;
    t->sent.head_complete = fate->status > 0;
    if (fate->retry_after_s > 0)
        snprintf(t->retry_after, sizeof t->retry_after, "%d",
                 (int)sim_between(1, fate->retry_after_s));
    t->due_ms = sim.now_ms + (sim_chance(2000) ? sim_between(0, 28000) : sim_between(1, 200));
    if (t->code == CURLE_OPERATION_TIMEDOUT)
        t->due_ms = sim.now_ms + CALL_TIMEOUT_MS;
    if (!posts && t->code == CURLE_OK)
        t->sent.status = 200;
    if (posts)
        sim_arrives(&t->owner->entry.ticket, t->net->node, fate->answer);
}

static void connected(transfer_t *t)
{
    if (sim_chance(sim.bad_calls * 10)) {
        t->code = CURLE_COULDNT_CONNECT;
        end(t);
    } else if (!call_may_send(t->owner)) {
        t->sent.fenced = true;
        t->code = CURLE_ABORTED_BY_CALLBACK;
        end(t);
    } else if (!sim.stations[t->net->node].dying) {
        leave(t);
    }
}

static transfer_t *find_due(const net_t *net)
{
    for (transfer_t *t = net->transfers; t != NULL; t = t->next)
        if (!t->over && t->due_ms <= sim.now_ms)
            return t;
    return NULL;
}

void transfers_run(int node)
{
    const net_t *net = &nets[node - WORKER];
    transfer_t *t;
    while (!sim.stations[node].dying && (t = find_due(net)) != NULL) {
        if (t->sent.bytes_left)
            end(t);
        else
            connected(t);
    }
}

int64_t transfers_due_ms(int node)
{
    int64_t due_ms = INT64_MAX;
    for (const transfer_t *t = nets[node - WORKER].transfers; t != NULL; t = t->next)
        if (!t->over && t->due_ms < due_ms)
            due_ms = t->due_ms;
    return due_ms;
}
