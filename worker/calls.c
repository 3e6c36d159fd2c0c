/* The set of calls: what comes in, what is given back, what waits for the lease. */
#include "calls.h"

#include "clock.h"
#include "host.h"
#include "log.h"
#include "msg_check.h"
#include "msg_fields.h"
#include "views.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNUSED_MAX 32
#define BODY_KEPT_MAX 16384 /* a larger buffer is given back with its call */

int calls_init(calls_t *calls, size_t expected, plumb_err_t *err)
{
    if (tickets_init(&calls->by_ticket, expected) != 0)
        return plumb_err_set(err, PLUMB_E_MEMORY, "calls");
    return 0;
}

size_t calls_count(const calls_t *calls)
{
    return calls->by_ticket.count;
}

bool call_is_begun(const call_t *call)
{
    return call->requests > 0;
}

void call_set_state(call_t *call, call_state_t state)
{
    call->calls->waiting -= call->state != CALL_FLYING;
    call->calls->waiting += state != CALL_FLYING;
    call->state = state;
}

/* ---- memory ---- */

static call_t *take_memory(calls_t *calls)
{
    call_t *call = calls->unused;
    if (call == NULL)
        return calloc(1, sizeof *call);
    calls->unused = call->next;
    calls->unused_count--;
    return call;
}

static void free_memory(call_t *call)
{
    ask_fini(&call->ask);
    ask_fini(&call->last);
    arena_fini(&call->arena);
    plumb_buf_wipe(&call->secrets);
    plumb_buf_fini(&call->body);
    free(call);
}

/* Buffers stay with it for the next call. */
static void give_memory(calls_t *calls, call_t *call)
{
    ask_clear(&call->ask);
    ask_clear(&call->last);
    arena_clear(&call->arena);
    if (call->secrets.length > 0)
        explicit_bzero(call->secrets.data, call->secrets.length);
    plumb_buf_clear(&call->secrets);
    if (call->body.capacity > BODY_KEPT_MAX)
        plumb_buf_fini(&call->body);
    plumb_buf_clear(&call->body);
    plumb_buf_fini(&call->given_checkpoint);
    if (calls->unused_count == UNUSED_MAX) {
        free_memory(call);
        return;
    }
    ask_t ask = call->ask, last = call->last;
    arena_t arena = call->arena;
    plumb_buf_t secrets = call->secrets, body = call->body;
    explicit_bzero(call->attempt_key, sizeof call->attempt_key);
    *call = (call_t){.ask = ask, .last = last, .arena = arena, .secrets = secrets, .body = body};
    call->next = calls->unused;
    calls->unused = call;
    calls->unused_count++;
}

void calls_remove(calls_t *calls, call_t *call)
{
    calls->waiting -= call->state != CALL_FLYING;
    *(call->before != NULL ? &call->before->next : &calls->first) = call->next;
    *(call->next != NULL ? &call->next->before : &calls->last) = call->before;
    tickets_remove(&calls->by_ticket, &call->entry);
    transfer_release(call->transfer);
    views_fini(call);
    json_decref(call->api.fields);
    json_decref(call->refreshed);
    lane_release(call->lane);
    plugin_release(call->plugin);
    give_memory(calls, call);
}

/* Nothing of it has left the machine. */
static void drop(calls_t *calls, call_t *call)
{
    flight_free(calls->flight, call->slot);
    calls_remove(calls, call);
}

void calls_fini(calls_t *calls)
{
    while (calls->first != NULL)
        calls_remove(calls, calls->first); /* its flight record tells the next start */
    while (calls->unused != NULL) {
        call_t *call = calls->unused;
        calls->unused = call->next;
        free_memory(call);
    }
    tickets_fini(&calls->by_ticket);
    free(calls->returned);
    plumb_buf_fini(&calls->text);
    plumb_buf_fini(&calls->scratch);
    plumb_buf_fini(&calls->sealed);
    plumb_buf_fini(&calls->sealed_fields);
    unpack_space_fini(&calls->lead);
}

/* ---- coming in ---- */

static void copy_text(char *out, size_t size, plumb_slice_t text)
{
    size_t length = text.length < size ? text.length : size - 1;
    if (length > 0)
        memcpy(out, text.data, length);
    out[length] = '\0';
}

static void fill(call_t *call, const plumb_job_t *job)
{
    call->entry.ticket = job->ticket;
    call->account = job->account;
    call->lead = job->lead;
    call->credential = job->credential;
    call->credential_version = job->credential_version;
    call->epoch = job->epoch;
    memcpy(call->attempt_key, job->attempt_key, sizeof call->attempt_key);
    call->started_us = plumb_mono_us();
    call->started_ms = plumb_wall_ms();
    plumb_uuid_text(&job->ticket.delivery, call->delivery);
    copy_text(call->known_id, sizeof call->known_id, job->external_id);
    plumb_buf_put(&call->secrets, job->secrets.data, job->secrets.length);
    plumb_buf_put(&call->body, job->body.data, job->body.length);
    if (job->checkpoint.length > 0)
        plumb_buf_put(&call->given_checkpoint, job->checkpoint.data, job->checkpoint.length);
    call->api = (plumb_call_t){.host = &host_services,
                               .host_private = call,
                               .attempt = job->ticket.attempt,
                               .delivery = call->delivery,
                               .external_id = call->known_id,
                               .now = call->started_ms / 1000};
}

static int note_flight(calls_t *calls, const call_t *call)
{
    flight_call_t record;
    memset(&record, 0, sizeof record); /* what lies between members is part of its sum */
    record.ticket = call->entry.ticket;
    record.account = call->account;
    record.lead = call->lead;
    record.credential = call->credential;
    record.credential_version = call->credential_version;
    record.resends = (call->plugin->lib.table.flags & PLUMB_CHANNEL_RESENDS) != 0;
    record.started_ms = call->started_ms;
    memcpy(record.channel, call->plugin->code, sizeof record.channel);
    return flight_take(calls->flight, &record);
}

static void enter(calls_t *calls, call_t *call)
{
    call->calls = calls;
    call->before = calls->last;
    call->next = NULL;
    *(calls->last != NULL ? &calls->last->next : &calls->first) = call;
    calls->last = call;
    tickets_add(&calls->by_ticket, &call->entry);
    call->state = CALL_WAITING;
    calls->waiting++;
}

static bool is_map(const plumb_buf_t *packed)
{
    return plumb_msg_walk_map(packed->data, packed->length, PLUMB_MSG_PACKED_DEPTH_MAX, NULL) == 0;
}

/* What keeps a call from its first step: a sentence, and the outcome; NULL: nothing. */
static const char *check_job(call_t *call, const plumb_job_t *job, plumb_outcome_t *outcome)
{
    *outcome = PLUMB_OUT_bug;
    if (call->body.failed || call->secrets.failed || call->given_checkpoint.failed)
        return "out of memory";
    if (!is_map(&call->body))
        return "the job's lead cannot be read";
    if (!is_map(&call->secrets))
        return "the job's credential cannot be read";
    if (!host_verb(&call->api.verb, job->verb))
        return "the job asks for something unknown";
    call->step = host_step(&call->plugin->lib.table, call->api.verb);
    *outcome = PLUMB_OUT_permanent;
    return call->step == NULL ? "the channel cannot do this" : NULL;
}

/* Go on as far as the lease lets it. */
static void advance(call_t *call)
{
    if (!lease_lets(call->calls->lease, call->epoch, plumb_boot_ms()))
        return;
    if (call->state == CALL_HELD)
        call_send(call);
    else if (call->state == CALL_WAITING)
        call_run(call);
}

take_t calls_take(calls_t *calls, const plumb_job_t *job)
{
    kept_t *kept = results_find(calls->results, &job->ticket);
    if (kept != NULL)
        results_untell(calls->results, kept); /* the broker does not know that it is done */
    if (kept != NULL || tickets_find(&calls->by_ticket, &job->ticket) != NULL)
        return TAKE_KNOWN;
    plugin_t *plugin = plugins_find(calls->plugins, job->channel.data, job->channel.length);
    lane_t *lane = plugin != NULL ? lane_hold(calls->net, &job->credential) : NULL;
    call_t *call = lane != NULL ? take_memory(calls) : NULL;
    if (call == NULL) {
        lane_release(lane);
        return TAKE_REFUSED;
    }
    call->plugin = plugin_hold(plugin);
    call->lane = lane;
    fill(call, job);
    enter(calls, call);
    call->slot = note_flight(calls, call);
    if (call->slot < 0) {
        calls_remove(calls, call);
        return TAKE_REFUSED;
    }
    plumb_outcome_t outcome;
    const char *why = check_job(call, job, &outcome);
    if (why == NULL) {
        advance(call);
        return TAKE_BEGUN;
    }
    snprintf(call->detail, sizeof call->detail, "%s", why);
    call_finish(call, outcome, NULL);
    return TAKE_BEGUN;
}

/* ---- the lease ---- */

/* Calls that end meanwhile leave the list, and none is added: `next` is taken before. */
void calls_resume(calls_t *calls)
{
    if (calls->waiting == 0)
        return;
    for (call_t *call = calls->first, *next; call != NULL; call = next) {
        next = call->next;
        advance(call);
    }
}

void calls_orphan(calls_t *calls)
{
    for (call_t *call = calls->first, *next; call != NULL; call = next) {
        next = call->next;
        call->epoch = 0;
        if (!call_is_begun(call))
            drop(calls, call);
    }
}

static call_t *find(const calls_t *calls, const plumb_ticket_t *ticket)
{
    return (call_t *)(void *)tickets_find(&calls->by_ticket, ticket);
}

void calls_adopt(calls_t *calls, uint64_t epoch, const plumb_held_t *held, size_t count)
{
    if (epoch != calls->lease->epoch)
        return;
    for (size_t i = 0; i < count; i++) {
        call_t *call = find(calls, &held[i].ticket);
        if (call != NULL)
            call->epoch = epoch;
    }
    calls_resume(calls);
}

bool calls_recall(calls_t *calls, const plumb_ticket_t *ticket)
{
    call_t *call = find(calls, ticket);
    if (call == NULL || call_is_begun(call))
        return false;
    drop(calls, call);
    return true;
}

/* ---- the end ---- */

/* Without memory for it, it is not said: the broker learns from the next HELLO's list. */
static void note_returned(calls_t *calls, const plumb_ticket_t *ticket)
{
    if (calls->returned_count == calls->returned_capacity) {
        size_t capacity = calls->returned_capacity == 0 ? 16 : calls->returned_capacity * 2;
        plumb_held_t *grown = realloc(calls->returned, capacity * sizeof *grown);
        if (grown == NULL) {
            lease_greet(calls->lease);
            return;
        }
        calls->returned = grown;
        calls->returned_capacity = capacity;
    }
    calls->returned[calls->returned_count++] = (plumb_held_t){.ticket = *ticket};
}

void calls_give_back(calls_t *calls)
{
    for (call_t *call = calls->first, *next; call != NULL; call = next) {
        next = call->next;
        if (call_is_begun(call))
            continue;
        note_returned(calls, &call->entry.ticket);
        drop(calls, call);
    }
}

/* A begun call is ended for a reason of ours. */
static void end_open(call_t *call, const char *why)
{
    snprintf(call->detail, sizeof call->detail, "%s", why);
    call_finish(call, call->state == CALL_FLYING ? PLUMB_OUT_ambiguous : PLUMB_OUT_retry,
                &call->ask);
}

void calls_cut(calls_t *calls)
{
    calls_give_back(calls);
    while (calls->first != NULL)
        end_open(calls->first, "the worker stopped before the call was over");
}

void calls_expire(calls_t *calls, int64_t now_ms)
{
    if (calls->waiting == 0)
        return;
    for (call_t *call = calls->first, *next; call != NULL; call = next) {
        next = call->next;
        if (call->state == CALL_HELD && call_is_begun(call) && now_ms >= call->wait_until_ms)
            end_open(call, "the worker lost its broker between two requests");
    }
}
