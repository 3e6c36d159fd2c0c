/* One call's way: step, request, answer, step, …, result. */
#include "calls.h"

#include "clock.h"
#include "exchange.h"
#include "fields.h"
#include "lead.h"
#include "log.h"
#include "metrics.h"
#include "seal.h"
#include "views.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX_MS 30000 /* how long a begun call waits to be adopted */

static void say(call_t *call, const char *sentence)
{
    snprintf(call->detail, sizeof call->detail, "%s", sentence);
}

static void end_because(call_t *call, plumb_outcome_t outcome, const char *sentence)
{
    say(call, sentence);
    call_finish(call, outcome, call->requests > 0 ? &call->last : NULL);
}

/* ---- the result ---- */

static plumb_slice_t slice_of(const char *text)
{
    return text != NULL ? (plumb_slice_t){text, strlen(text)} : (plumb_slice_t){0};
}

/* Both stay in the flight file while the call lives, so both must fit there. */
static bool fits(const char *checkpoint)
{
    return checkpoint == NULL || strlen(checkpoint) <= FLIGHT_CHECKPOINT_MAX;
}

static bool is_success(plumb_outcome_t outcome)
{
    return outcome == PLUMB_OUT_ok || outcome == PLUMB_OUT_duplicate;
}

static flight_note_t note_of(call_t *call, plumb_outcome_t outcome, const char *checkpoint)
{
    int64_t took = plumb_mono_us() - call->started_us;
    call->timings.total_us = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
    bool resends = (call->plugin->lib.table.flags & PLUMB_CHANNEL_RESENDS) != 0;
    bool waits = outcome == PLUMB_OUT_retry || outcome == PLUMB_OUT_throttled;
    return (flight_note_t){.outcome = outcome,
                           .resend = outcome == PLUMB_OUT_ambiguous && resends,
                           .status = (uint16_t)call->status,
                           .requests = call->requests,
                           .retry_after_ms = waits ? call->retry_after_ms : 0,
                           .timings = call->timings,
                           .detail = slice_of(call->detail),
                           .external_id = slice_of(call->external_id),
                           .checkpoint = slice_of(checkpoint)};
}

/* Seal `text` into `out`; empty when that cannot be done. */
static plumb_slice_t seal(const call_t *call, plumb_buf_t *out, const plumb_seal_place_t *place,
                          const plumb_buf_t *text)
{
    plumb_key_t key = {.id = PLUMB_ATTEMPT_KEY_ID};
    plumb_err_t err = {0};
    plumb_buf_clear(out);
    memcpy(key.bytes, call->attempt_key, sizeof key.bytes);
    int rc = text->failed ? -1 : plumb_seal(out, &key, place, text->data, text->length, &err);
    explicit_bzero(&key, sizeof key);
    if (rc < 0 || out->failed)
        return (plumb_slice_t){0};
    return (plumb_slice_t){out->data, out->length};
}

static plumb_slice_t seal_exchange(call_t *call, const ask_t *ask, plumb_outcome_t outcome)
{
    if (ask == NULL || ask->url.length == 0)
        return (plumb_slice_t){0};
    exchange_t exchange = {.ask = ask,
                           .transfer = call->transfer,
                           .status = call->status,
                           .secrets = lane_secrets(call->lane),
                           .hide_path = fields_has_secret_url(&call->plugin->lib.table),
                           .brief = is_success(outcome)};
    plumb_seal_place_t place =
        plumb_lead_place_exchange(&call->account, &call->entry.ticket.delivery);
    plumb_buf_clear(&call->calls->text);
    exchange_write(&call->calls->text, &call->calls->scratch, &exchange);
    return seal(call, &call->calls->sealed, &place, &call->calls->text);
}

static plumb_slice_t seal_refreshed(call_t *call)
{
    char *text = call->refreshed != NULL ? json_dumps(call->refreshed, JSON_COMPACT) : NULL;
    if (text == NULL)
        return (plumb_slice_t){0};
    plumb_seal_place_t place = plumb_credential_place(&call->account, &call->credential);
    plumb_buf_clear(&call->calls->text);
    plumb_buf_text(&call->calls->text, text);
    free(text);
    return seal(call, &call->calls->sealed_fields, &place, &call->calls->text);
}

static void report(const call_t *call, const flight_note_t *note)
{
    char label[sizeof call->plugin->code + 32];
    const char *outcome = plumb_outcome_name(note->outcome);
    stpcpy(stpcpy(stpcpy(label, call->plugin->code), ","), outcome);
    plumb_metric_add(PLUMB_M_ATTEMPTS, label, 1);
    plumb_metric_observe_ms(PLUMB_M_ATTEMPT_SECONDS, call->plugin->code,
                            (double)note->timings.total_us / 1000);
    plumb_log_event(is_success(note->outcome) ? LOG_DEBUG : LOG_INFO, "delivery_done",
                    "delivery=%s channel=%s attempt=%u outcome=%s status=%u ms=%u detail=\"%s\"",
                    call->delivery, call->plugin->code, call->entry.ticket.attempt, outcome,
                    note->status, note->timings.total_us / 1000, call->detail);
}

void call_finish(call_t *call, plumb_outcome_t outcome, const ask_t *ask)
{
    calls_t *calls = call->calls;
    flight_call_t record = {.ticket = call->entry.ticket,
                            .account = call->account,
                            .lead = call->lead,
                            .credential = call->credential,
                            .credential_version = call->credential_version,
                            .started_ms = call->started_ms};
    plumb_err_t err = {0};
    char *checkpoint = is_success(outcome) ? NULL : view_checkpoint_text(call);
    if (!fits(checkpoint)) {
        outcome = PLUMB_OUT_bug;
        say(call, "a checkpoint above 480 bytes");
        free(checkpoint);
        checkpoint = NULL;
    }
    flight_note_t note = note_of(call, outcome, checkpoint);
    plumb_slice_t exchange = seal_exchange(call, ask, outcome), refreshed = seal_refreshed(call);
    if (results_add(calls->results, call->slot, &record, &note, exchange, refreshed, &err) < 0)
        plumb_log_event(LOG_ERR, "result_not_kept", "delivery=%s reason=\"%s\"", call->delivery,
                        err.text);
    report(call, &note);
    free(checkpoint);
    calls_remove(calls, call);
}

/* ---- requests ---- */

/* A request is ready: note that nothing is out, with what was learned so far. */
static bool note_ready(call_t *call)
{
    flight_t *flight = call->calls->flight;
    char *checkpoint = view_checkpoint_text(call);
    bool good = fits(checkpoint);
    if (good && call->requests == 0 && checkpoint == NULL) {
        flight_phase(flight, call->slot, FLIGHT_ASSIGNED);
    } else if (good) {
        flight_note_t note = {.requests = call->requests, .checkpoint = slice_of(checkpoint)};
        flight_note(flight, call->slot, call->requests > 0 ? FLIGHT_BETWEEN : FLIGHT_ASSIGNED,
                    &note);
    }
    free(checkpoint);
    return good;
}

static void hold(call_t *call)
{
    call->wait_until_ms = plumb_mono_ms() + HELD_MAX_MS;
    call_set_state(call, CALL_HELD);
}

void call_send(call_t *call)
{
    static const char about[] = "plumb/" PLUMB_VERSION " (+https://plumb.example/";
    char agent[sizeof about + sizeof call->plugin->code];
    stpcpy(stpcpy(stpcpy(agent, about), call->plugin->code), ")");
    call->transfer = transfer_start(call->lane, &call->ask, agent, call);
    if (call->transfer == NULL) {
        end_because(call, PLUMB_OUT_retry, "out of memory");
        return;
    }
    call_set_state(call, CALL_FLYING);
}

static void ask_for(call_t *call, unsigned next_stage)
{
    const char *wrong = ask_complete(&call->ask);
    if (wrong == NULL && !note_ready(call))
        wrong = "a checkpoint above 480 bytes";
    if (wrong == NULL && call->steps == CALL_STEPS_MAX)
        wrong = "more than 32 steps";
    if (wrong != NULL) {
        end_because(call, PLUMB_OUT_bug, wrong);
        return;
    }
    wrong = lane_vet(call->lane, call->ask.url.data, call->ask.mail);
    if (wrong != NULL) {
        end_because(call, PLUMB_OUT_retry, wrong);
        return;
    }
    call->api.stage = next_stage;
    if (lease_lets(call->calls->lease, call->epoch, plumb_boot_ms()))
        call_send(call);
    else
        hold(call);
}

bool call_may_send(void *self)
{
    call_t *call = self;
    if (!lease_lets(call->calls->lease, call->epoch, plumb_boot_ms()))
        return false;
    flight_phase(call->calls->flight, call->slot, FLIGHT_SENT);
    call->requests++;
    return true;
}

/* ---- steps ---- */

/* The fields, on the first step; false: they are not good. */
static bool open_fields(call_t *call)
{
    const char *why = NULL;
    if (call->api.fields != NULL)
        return true;
    plumb_slice_t secrets = {call->secrets.data, call->secrets.length};
    call->api.fields = json_incref(lane_fields(call->lane, call->plugin, secrets, &why));
    if (call->api.fields == NULL)
        say(call, why);
    return call->api.fields != NULL;
}

/* Inside the plugin.  Its phase is noted before, so that a crash blames this delivery alone. */
static bool step(call_t *call, plumb_step_t *next)
{
    const calls_t *calls = call->calls;
    flight_phase(calls->flight, call->slot, call->requests == 0 ? FLIGHT_PLUGIN : FLIGHT_JUDGING);
    watchdog_enter(calls->watchdog, call->plugin->code, &call->entry.ticket.delivery);
    bool good = open_fields(call);
    if (good)
        *next = call->step(&call->api);
    watchdog_leave(calls->watchdog);
    arena_clear(&call->arena);
    unpack_space_trim(&call->calls->lead);
    call->steps++;
    return good;
}

static void forget_reply(call_t *call)
{
    transfer_release(call->transfer);
    call->transfer = NULL;
    view_forget_reply(call);
    call->reply = (plumb_reply_t){0};
    call->api.reply = NULL;
}

void call_run(call_t *call)
{
    plumb_step_t next = {0};
    if (!step(call, &next)) {
        call_finish(call, PLUMB_OUT_credentials, NULL);
        return;
    }
    if (call->ask.broken != NULL) {
        end_because(call, PLUMB_OUT_bug, call->ask.broken);
    } else if (!next.ends) {
        forget_reply(call);
        ask_for(call, next.next_stage);
    } else if ((unsigned)next.outcome >= PLUMB_OUT_COUNT) {
        end_because(call, PLUMB_OUT_bug, "an outcome that does not exist");
    } else {
        call_finish(call, next.outcome, call->requests > 0 ? &call->last : NULL);
    }
}

/* ---- answers ---- */

static void read_reply(call_t *call, const sent_t *sent)
{
    const plumb_buf_t *body = transfer_body(call->transfer);
    bool heeds = (sent->status == 429 || sent->status == 503) && !sent->mail;
    const char *after = heeds ? transfer_header(call->transfer, "Retry-After") : NULL;
    call->reply = (plumb_reply_t){.status = sent->status,
                                  .body = body->data != NULL ? body->data : "",
                                  .length = body->length,
                                  .truncated = transfer_truncated(call->transfer)};
    if (after != NULL)
        call->reply.retry_after_ms = outcome_retry_after(after, plumb_wall_ms() / 1000);
    call->retry_after_ms = call->reply.retry_after_ms;
    call->api.reply = &call->reply;
}

/* The request becomes the last one; the next is put together in its old place. */
static void turn_asks(call_t *call)
{
    ask_t old = call->last;
    call->last = call->ask;
    call->ask = old;
    ask_clear(&call->ask);
}

void call_done(void *self, const sent_t *sent)
{
    call_t *call = self;
    const char *sentence;
    verdict_t verdict = outcome_judge(sent, &sentence);
    transfer_timings(call->transfer, &call->timings);
    call->status = sent->status;
    switch (verdict) {
    case VERDICT_REPLY:
        turn_asks(call);
        read_reply(call, sent);
        call_run(call);
        break;
    case VERDICT_AGAIN:
        transfer_release(call->transfer);
        call->transfer = NULL;
        hold(call);
        break;
    case VERDICT_RETRY:
    case VERDICT_AMBIGUOUS:
        say(call, sentence);
        call_finish(call, verdict == VERDICT_RETRY ? PLUMB_OUT_retry : PLUMB_OUT_ambiguous,
                    &call->ask);
        break;
    }
}
