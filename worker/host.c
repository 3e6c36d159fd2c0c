/* Services for plugins.  Each works on the memory of its call only. */
#include "host.h"

#include "log.h"
#include "views.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static call_t *call_of(plumb_call_t *api)
{
    return api->host_private;
}

static void request(plumb_call_t *api, const char *method, const char *url)
{
    ask_request(&call_of(api)->ask, method, url);
}

static void header(plumb_call_t *api, const char *name, const char *value)
{
    ask_header(&call_of(api)->ask, name, value);
}

static void body(plumb_call_t *api, const char *content_type, const plumb_part_t *parts,
                 size_t count)
{
    ask_body(&call_of(api)->ask, content_type, parts, count);
}

static void mail(plumb_call_t *api, const char *url, const char *from, const char *user,
                 const char *password)
{
    ask_mail(&call_of(api)->ask, url, from, user, password);
}

static void mail_to(plumb_call_t *api, const char *address)
{
    ask_mail_to(&call_of(api)->ask, address);
}

static void timeout(plumb_call_t *api, int64_t ms)
{
    ask_timeout(&call_of(api)->ask, ms);
}

static const char *reply_header(plumb_call_t *api, const char *name)
{
    const call_t *call = call_of(api);
    const char *value = call->transfer != NULL ? transfer_header(call->transfer, name) : NULL;
    return value != NULL ? value : "";
}

/* Copy into a fixed text, without the credential's secrets. */
static void put_clean(const call_t *call, char *out, size_t size, const char *text)
{
    plumb_buf_t clean = {0};
    redact_put(lane_secrets(call->lane), &clean, text, strlen(text), size - 1);
    snprintf(out, size, "%s", clean.data != NULL ? clean.data : "");
    plumb_buf_fini(&clean);
}

static void external_id(plumb_call_t *api, const char *id)
{
    call_t *call = call_of(api);
    size_t length = id != NULL ? strlen(id) : SIZE_MAX;
    if (length > FLIGHT_EXTERNAL_MAX)
        call->ask.broken = "an external id above 255 bytes";
    else
        memcpy(call->external_id, id, length + 1);
}

static void detail(plumb_call_t *api, const char *sentence)
{
    call_t *call = call_of(api);
    if (sentence != NULL)
        put_clean(call, call->detail, sizeof call->detail, sentence);
}

static void retry_after(plumb_call_t *api, int64_t ms)
{
    static const int64_t day_ms = INT64_C(24) * 3600 * 1000;
    call_of(api)->retry_after_ms = ms < 0 ? 0 : ms > day_ms ? day_ms : ms;
}

static void credential_update(plumb_call_t *api, json_t *fields)
{
    call_t *call = call_of(api);
    json_decref(call->refreshed);
    call->refreshed = json_incref(fields);
}

static void log_sentence(plumb_call_t *api, const char *sentence)
{
    const call_t *call = call_of(api);
    char clean[256];
    put_clean(call, clean, sizeof clean, sentence != NULL ? sentence : "");
    plumb_log_event(LOG_INFO, "channel_says", "delivery=%s channel=%s text=\"%s\"", call->delivery,
                    call->plugin->code, clean);
}

/* ---- texts: memory of the step, "" when there is none left (and the call is a bug then) ---- */

static char *take_text(call_t *call, size_t size)
{
    static char nothing[1];
    char *text = arena_take(&call->arena, size);
    if (text == NULL) {
        call->ask.broken = "out of memory";
        return nothing;
    }
    text[0] = '\0';
    return text;
}

static char *format(plumb_call_t *api, const char *form, ...) __attribute__((format(printf, 2, 3)));

/* Written where it will stand; a second time only when it is longer than the room there. */
static char *format(plumb_call_t *api, const char *form, ...)
{
    call_t *call = call_of(api);
    va_list args, again;
    size_t room = 0;
    char *at = arena_peek(&call->arena, 1, &room);
    va_start(args, form);
    va_copy(again, args);
    int length = at != NULL ? vsnprintf(at, room, form, args) : -1;
    va_end(args);
    size_t size = length >= 0 ? (size_t)length + 1 : 1;
    char *text = size <= room && length >= 0 ? arena_take(&call->arena, size) : NULL;
    if (text == NULL) {
        text = take_text(call, size);
        if (length > 0 && call->ask.broken == NULL)
            vsnprintf(text, size, form, again);
    }
    va_end(again);
    return text;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static char *escape_url(plumb_call_t *api, const char *text, size_t length)
{
    static const char digits[] = "0123456789ABCDEF";
    call_t *call = call_of(api);
    char *out = take_text(call, length * 3 + 1), *at = out;
    for (size_t i = 0; i < length && call->ask.broken == NULL; i++) {
        unsigned char c = (unsigned char)text[i];
        if (is_unreserved(text[i])) {
            *at++ = text[i];
        } else {
            *at++ = '%';
            *at++ = digits[c >> 4];
            *at++ = digits[c & 15];
        }
    }
    *at = '\0';
    return out;
}

static char *base64(plumb_call_t *api, const void *data, size_t length)
{
    call_t *call = call_of(api);
    size_t size = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
    char *out = take_text(call, size);
    if (call->ask.broken == NULL)
        sodium_bin2base64(out, size, data, length, sodium_base64_VARIANT_ORIGINAL);
    return out;
}

static ptrdiff_t unbase64(plumb_call_t *api, const char *text, size_t length, void *out,
                          size_t size)
{
    (void)api;
    size_t decoded = 0;
    int variant = memchr(text, '=', length) != NULL ? sodium_base64_VARIANT_ORIGINAL
                                                    : sodium_base64_VARIANT_ORIGINAL_NO_PADDING;
    const char *end = NULL;
    if (sodium_base642bin(out, size, text, length, NULL, &decoded, &end, variant) != 0 ||
        end != text + length)
        return -1;
    return (ptrdiff_t)decoded;
}

static void hmac_sha256(const void *key, size_t key_length, const plumb_part_t *parts, size_t count,
                        uint8_t out[32])
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, key_length);
    for (size_t i = 0; i < count; i++)
        crypto_auth_hmacsha256_update(&state, parts[i].data, parts[i].length);
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof state);
}

/* ---- looking at the call ---- */

static const char *lead_text(plumb_call_t *api, const char *name)
{
    return view_lead_text(call_of(api), name);
}

static plumb_part_t lead_json(plumb_call_t *api)
{
    return view_lead_json(call_of(api));
}

static json_t *lead_tree(plumb_call_t *api)
{
    return view_lead_tree(call_of(api));
}

static json_t *mapped(plumb_call_t *api)
{
    return view_mapped(call_of(api));
}

static json_t *checkpoint(plumb_call_t *api)
{
    return view_checkpoint(call_of(api));
}

static json_t *reply_json(plumb_call_t *api)
{
    return view_reply_json(call_of(api));
}

const plumb_host_t host_services = {
    .request = request,
    .header = header,
    .body = body,
    .mail = mail,
    .mail_to = mail_to,
    .reply_header = reply_header,
    .external_id = external_id,
    .detail = detail,
    .retry_after = retry_after,
    .credential_update = credential_update,
    .log = log_sentence,
    .format = format,
    .escape_url = escape_url,
    .base64 = base64,
    .unbase64 = unbase64,
    .hmac_sha256 = hmac_sha256,
    .timeout = timeout,
    .lead_text = lead_text,
    .lead_json = lead_json,
    .lead_tree = lead_tree,
    .mapped = mapped,
    .checkpoint = checkpoint,
    .reply_json = reply_json,
};

/* ---- verbs ---- */

bool host_verb(plumb_verb_t *verb, plumb_slice_t name)
{
    static const char *const names[] = {[PLUMB_VERB_SEND] = "send",
                                        [PLUMB_VERB_UPDATE] = "update",
                                        [PLUMB_VERB_PROBE] = "probe",
                                        [PLUMB_VERB_TEST] = "test",
                                        [PLUMB_VERB_REFRESH] = "refresh"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i]) == name.length && memcmp(names[i], name.data, name.length) == 0) {
            *verb = (plumb_verb_t)i;
            return true;
        }
    }
    return false;
}

plumb_step_t (*host_step(const plumb_channel_t *channel, plumb_verb_t verb))(plumb_call_t *)
{
    switch (verb) {
    case PLUMB_VERB_SEND:
        return channel->send;
    case PLUMB_VERB_UPDATE:
        return channel->update;
    case PLUMB_VERB_PROBE:
        return channel->probe;
    case PLUMB_VERB_TEST:
        return channel->test_connection;
    case PLUMB_VERB_REFRESH:
        return channel->refresh;
    }
    return NULL;
}
