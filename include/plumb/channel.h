/* The plugin interface of Plumb: how to teach it a new outside service.
 *
 * A channel is one shared object <code>.so that exports one data symbol, `plumb_channel`, a table
 * of pure steps.  A step does no input or output: given the call (the lead, the credential, the
 * last reply) it either asks for one request or ends with a class of outcome.  The host does
 * everything else: connections, TLS, time-outs, size caps, the guard against private addresses,
 * retries, throttles, redaction, records.  So a step cannot block, cannot leak a socket, and is
 * tested from recorded replies.  A whole channel, acme.c:
 *
 *     #include <plumb/channel.h>
 *
 *     static const plumb_field_t fields[] = {
 *         {.name = "url", .type = PLUMB_FIELD_URL, .flags = PLUMB_REQUIRED, .title = "Address"},
 *         {.name = "key", .flags = PLUMB_REQUIRED | PLUMB_SECRET, .title = "API key"},
 *         {0}};
 *
 *     static plumb_step_t acme_send(plumb_call_t *call)
 *     {
 *         if (call->stage > 0) // the reply is here
 *             return plumb_end(call, plumb_outcome_of_status(call->reply->status));
 *         plumb_request(call, "POST", plumb_field(call, "url"));
 *         plumb_header(call, "Authorization", "Bearer %s", plumb_field(call, "key"));
 *         plumb_body_lead(call);
 *         return plumb_ask(call, 1);
 *     }
 *
 *     PLUMB_EXPORT const plumb_channel_t plumb_channel = {
 *         PLUMB_CHANNEL_HEAD, .code = "acme", .title = "Acme", .version = "1.0.0",
 *         .fields = fields, .send = acme_send};
 *
 *     cc -std=c17 -D_GNU_SOURCE -shared -fPIC -fvisibility=hidden -o acme.so acme.c -ljansson
 *     install -m 755 acme.so <channel_dir>     # there it is found, loaded and served at once
 *
 * Loading.  The file belongs to root (in development: to the worker's user), is writable by nobody
 * else, is no link, and bears the code as its name.  Replace it by renaming another over it: calls
 * that run end with the old one, new ones begin with the new.  A file that is refused is named in
 * the worker's log (event channel_refused) with what was found and what was wanted.
 *
 * The life of a call.  The step of its verb is entered with stage 0.  Each plumb_ask sends what was
 * put together since the step was entered (exactly one plumb_request or plumb_mail) and names the
 * stage in which the same function is entered again, with call->reply.  plumb_end ends it.  At most
 * 32 steps; a step that runs for 2 s ends the worker process, and the delivery is blamed.
 *
 * No reply, no step: when no complete answer comes, the host ends the call by itself.  Nothing had
 * left the machine (name, connect, TLS, guard): `retry`.  Bytes had left: `ambiguous`, after which
 * `probe` is asked where the channel has one, and else the call is repeated only when the channel
 * says PLUMB_CHANNEL_RESENDS.  So give the service the key it takes: call->delivery stays the same
 * in every attempt.  A 3xx is a reply like any other; it is never followed.
 *
 * Several requests.  What a later step needs to know (the contact's id, before the deal is made)
 * goes into plumb_checkpoint(call), an object of at most 480 bytes as JSON.  It is kept before the
 * next request leaves, and it is there again in the next attempt, also when the worker was killed:
 * look into it in stage 0, and do not make twice what it says was made.
 *
 * Outcomes (outcomes.h): `ok`; `duplicate` (the service has it: success too); `retry`; `throttled`
 * (slow down; with plumb_retry_after if the service says when); `credentials` (it does not let us
 * in); `permanent` (it refuses this content); `gone` (never again); `ambiguous`; `bug` is what the
 * host says when a step breaks the rules.
 *
 * Rules.  The symbol is set by member name; everything else is static; no state outlives a call;
 * JSON values are jansson's; what `call` points to, and what the functions below return, is
 * borrowed until the step returns; no thread, no file, no socket, no signal, no exit; the time is
 * call->now.  Control characters in an address or a header, headers that frame the request (Host,
 * Content-Length, Transfer-Encoding, Connection, Expect, Accept-Encoding, Proxy-*, …), a body above
 * 1 MiB, more than 64 headers, an external id above 255 bytes: each makes the call end as `bug`,
 * and nothing is sent.
 *
 * Cost.  The lead comes as bytes.  plumb_lead reads one text of it and plumb_lead_json turns it
 * into JSON text in one pass; only plumb_lead_tree builds values, which costs several times as
 * much.  The same holds for the answer: it is not parsed unless plumb_reply_json is called.
 *
 * What is shown.  The owner sees an excerpt of request and answer in which the values of
 * PLUMB_SECRET fields are "***" wherever they stand, likewise Authorization and cookies; of a
 * secret URL only the host is shown.  The sentence of an ending is cut to 160 bytes.
 *
 * Changes of the ABI (members are only ever appended, so that an older plugin's smaller table still
 * loads): 1  first version, not released yet; until it is, it may still change
 */
#ifndef PLUMB_CHANNEL_H
#define PLUMB_CHANNEL_H

#include "outcome.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PLUMB_CHANNEL_MAGIC 0x4d554c50u /* "PLUM" */
#define PLUMB_CHANNEL_ABI 1u
#define PLUMB_EXPORT __attribute__((visibility("default")))

/* The members that the loader checks before it looks at anything else. */
#define PLUMB_CHANNEL_HEAD                                                                         \
    .magic = PLUMB_CHANNEL_MAGIC, .abi = PLUMB_CHANNEL_ABI, .size = sizeof(plumb_channel_t)

/* ---- what a credential consists of ---- */

typedef enum plumb_field_type {
    PLUMB_FIELD_TEXT,
    PLUMB_FIELD_URL, /* https (http in development), no userinfo, no address literal */
    PLUMB_FIELD_INT, /* between min and max */
    PLUMB_FIELD_BOOL,
    PLUMB_FIELD_ENUM, /* one of choices, "a|b|c" */
    PLUMB_FIELD_MAP,  /* names to texts */
    PLUMB_FIELD_LIST  /* texts */
} plumb_field_type_t;

enum { PLUMB_REQUIRED = 1, PLUMB_SECRET = 2 /* write-only; redacted everywhere */ };

/* One field.  From this row come the form, the check, the redaction and the documentation. */
typedef struct plumb_field_row {
    const char *name; /* NULL ends the table */
    plumb_field_type_t type;
    unsigned flags;
    const char *title, *title_ru;
    const char *initial; /* value when not given */
    const char *pattern; /* POSIX extended regular expression for TEXT, whole value */
    const char *choices;
    int64_t min, max; /* INT: bounds; TEXT, URL: length in bytes when max > 0 */
    const char *help;
} plumb_field_t;

/* A limit the service sets.  `key`: the field whose value names who is limited (a URL counts by
 * scheme, host and port); NULL: the credential; "": the whole channel. */
typedef struct plumb_limit {
    const char *key;
    uint32_t per_kilosecond; /* calls in 1,000 s; 0 ends the table */
    uint32_t burst;
} plumb_limit_t;

/* ---- one call ---- */

typedef enum plumb_verb {
    PLUMB_VERB_SEND,   /* make the record */
    PLUMB_VERB_UPDATE, /* bring the record `external_id` to the lead's present state */
    PLUMB_VERB_PROBE, /* is the record of this delivery there?  ok: yes (set the external id); gone:
                         no */
    PLUMB_VERB_TEST,  /* does the credential work? */
    PLUMB_VERB_REFRESH /* renew the token: plumb_credential_update */
} plumb_verb_t;

typedef struct plumb_reply {
    int status;       /* HTTP status, or SMTP's last */
    const char *body; /* NUL follows; at most worker.response_keep bytes */
    size_t length;
    bool truncated;         /* the service sent more */
    int64_t retry_after_ms; /* from the header of a 429 or 503; 0 none */
} plumb_reply_t;

/* A piece of a body, or of what is signed. */
typedef struct plumb_part {
    const void *data;
    size_t length;
} plumb_part_t;

typedef struct plumb_call plumb_call_t;

/* What a step returns; made by plumb_ask and plumb_end only. */
typedef struct plumb_step {
    bool ends;
    unsigned next_stage;     /* ask: the stage in which the reply is read */
    plumb_outcome_t outcome; /* end */
} plumb_step_t;

/* Host services; plugins use the functions below, not this table. */
typedef struct plumb_host {
    void (*request)(plumb_call_t *call, const char *method, const char *url);
    void (*header)(plumb_call_t *call, const char *name, const char *value);
    void (*body)(plumb_call_t *call, const char *content_type, const plumb_part_t *parts,
                 size_t count);
    void (*mail)(plumb_call_t *call, const char *url, const char *from, const char *user,
                 const char *password);
    void (*mail_to)(plumb_call_t *call, const char *address);
    const char *(*reply_header)(plumb_call_t *call, const char *name);
    void (*external_id)(plumb_call_t *call, const char *id);
    void (*detail)(plumb_call_t *call, const char *sentence);
    void (*retry_after)(plumb_call_t *call, int64_t ms);
    void (*credential_update)(plumb_call_t *call, json_t *fields);
    void (*log)(plumb_call_t *call, const char *sentence);
    char *(*format)(plumb_call_t *call, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
    char *(*escape_url)(plumb_call_t *call, const char *text, size_t length);
    char *(*base64)(plumb_call_t *call, const void *data, size_t length);
    ptrdiff_t (*unbase64)(plumb_call_t *call, const char *text, size_t length, void *out,
                          size_t size);
    void (*hmac_sha256)(const void *key, size_t key_length, const plumb_part_t *parts, size_t count,
                        uint8_t out[32]);
    void (*timeout)(plumb_call_t *call, int64_t ms);
    const char *(*lead_text)(plumb_call_t *call, const char *name);
    plumb_part_t (*lead_json)(plumb_call_t *call);
    json_t *(*lead_tree)(plumb_call_t *call);
    json_t *(*mapped)(plumb_call_t *call);
    json_t *(*checkpoint)(plumb_call_t *call);
    json_t *(*reply_json)(plumb_call_t *call);
} plumb_host_t;

struct plumb_call {
    const plumb_host_t *host;
    void *host_private;
    plumb_verb_t verb;
    unsigned stage;          /* 0 at first; then what the last plumb_ask named */
    unsigned attempt;        /* 1 at first */
    const char *delivery;    /* UUID; the idempotency key outward, the same in every attempt */
    const char *external_id; /* known record, "" none */
    int64_t now;             /* Unix seconds; pinned for a replay: never ask a clock yourself */
    json_t *fields;          /* object: the credential's fields, checked and with initial values */
    const plumb_reply_t *reply; /* of the last request; NULL in stage 0 */
};

/* ---- the channel ---- */

enum {
    PLUMB_CHANNEL_RESENDS = 1, /* the receiver knows our key: an ambiguous send may be repeated */
    PLUMB_CHANNEL_BLOCKS = 2 /* steps take long: run them on a thread (this version refuses such) */
};

typedef enum plumb_schedule { PLUMB_SCHEDULE_SERVICE, PLUMB_SCHEDULE_MAIL } plumb_schedule_t;

typedef struct plumb_channel {
    uint32_t magic, abi, size; /* PLUMB_CHANNEL_HEAD */
    const char *code;          /* [a-z0-9]{1,32}; equals the file name without .so */
    const char *title;
    const char *version; /* of the plugin: "1.0.0" */
    unsigned flags;
    plumb_schedule_t schedule;   /* which waits between tries */
    const plumb_field_t *fields; /* required; ends with a zero row */
    const plumb_limit_t *limits; /* ends with a zero row; NULL: none */
    const char
        *mapping; /* default field mapping, JSON text; NULL: the channel uses the lead as it is */
    /* NULL: good.  Else one sentence about the first bad field, whose name goes to `field`. */
    const char *(*validate_credentials)(const json_t *fields, const char **field);
    plumb_step_t (*send)(plumb_call_t *call);            /* required */
    plumb_step_t (*update)(plumb_call_t *call);          /* NULL: updates are skipped */
    plumb_step_t (*test_connection)(plumb_call_t *call); /* NULL: cannot be tested */
    plumb_step_t (*probe)(plumb_call_t *call);           /* NULL: the service cannot be asked */
    plumb_step_t (*refresh)(plumb_call_t *call);         /* NULL: nothing to renew */
} plumb_channel_t;

/* ---- asking ---- */

/* Begin the call's request: an HTTP method and an absolute URL. */
static inline void plumb_request(plumb_call_t *call, const char *method, const char *url)
{
    call->host->request(call, method, url);
}

/* Begin a mail: url smtp://host:port (STARTTLS is required) or smtps://host; user NULL: no
 * authentication. The body is the whole message with its headers. */
static inline void plumb_mail(plumb_call_t *call, const char *url, const char *from,
                              const char *user, const char *password)
{
    call->host->mail(call, url, from, user, password);
}

static inline void plumb_mail_to(plumb_call_t *call, const char *address)
{
    call->host->mail_to(call, address);
}

/* Wait at most so long for this request's answer; the host's own limit (worker.call_timeout) stays
 * above it. */
static inline void plumb_timeout(plumb_call_t *call, int64_t ms)
{
    call->host->timeout(call, ms);
}

/* A header; a value with control characters makes the call end as `bug`. */
#define plumb_header(call, name, ...)                                                              \
    (call)->host->header((call), (name), (call)->host->format((call), __VA_ARGS__))

/* The same with the value as it is. */
static inline void plumb_header_text(plumb_call_t *call, const char *name, const char *value)
{
    call->host->header(call, name, value);
}

static inline plumb_part_t plumb_part(const char *text)
{
    return (plumb_part_t){text, strlen(text)};
}

/* The body, copied; content_type NULL: none is said. */
static inline void plumb_body(plumb_call_t *call, const char *content_type, const void *data,
                              size_t length)
{
    const plumb_part_t part = {data, length};
    call->host->body(call, content_type, &part, 1);
}

/* The same of several pieces, one behind the other. */
static inline void plumb_body_parts(plumb_call_t *call, const char *content_type,
                                    const plumb_part_t *parts, size_t count)
{
    call->host->body(call, content_type, parts, count);
}

/* The lead as application/json. */
static inline void plumb_body_lead(plumb_call_t *call)
{
    const plumb_part_t part = call->host->lead_json(call);
    call->host->body(call, "application/json", &part, 1);
}

/* Compact JSON as application/json. */
static inline void plumb_body_json(plumb_call_t *call, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    plumb_body(call, "application/json", text, text != NULL ? strlen(text) : 0);
    free(text);
}

/* Send it; the reply is read in stage `next_stage`. */
static inline plumb_step_t plumb_ask(plumb_call_t *call, unsigned next_stage)
{
    (void)call;
    return (plumb_step_t){.ends = false, .next_stage = next_stage};
}

/* ---- ending ---- */

static inline plumb_step_t plumb_end(plumb_call_t *call, plumb_outcome_t outcome)
{
    (void)call;
    return (plumb_step_t){.ends = true, .outcome = outcome};
}

/* End with a sentence for the owner (no personal data). */
#define plumb_end_because(call, outcome, ...)                                                      \
    ((call)->host->detail((call), (call)->host->format((call), __VA_ARGS__)),                      \
     plumb_end((call), (outcome)))

/* What an HTTP status means where the service says nothing special. */
static inline plumb_outcome_t plumb_outcome_of_status(int status)
{
    if (status >= 200 && status < 300)
        return PLUMB_OUT_ok;
    if (status == 429)
        return PLUMB_OUT_throttled;
    if (status == 401 || status == 403)
        return PLUMB_OUT_credentials;
    if (status == 410)
        return PLUMB_OUT_gone;
    if (status == 408 || status == 425 || status >= 500 || (status >= 300 && status < 400))
        return PLUMB_OUT_retry;
    return PLUMB_OUT_permanent;
}

static inline void plumb_external_id(plumb_call_t *call, const char *id)
{
    call->host->external_id(call, id);
}

/* The service's own word on when to come back, where it is not in Retry-After. */
static inline void plumb_retry_after(plumb_call_t *call, int64_t ms)
{
    call->host->retry_after(call, ms);
}

static inline void plumb_credential_update(plumb_call_t *call, json_t *fields)
{
    call->host->credential_update(call, fields);
}

/* ---- reading ---- */

/* A text field of the credential, "" when not given. */
static inline const char *plumb_field(plumb_call_t *call, const char *name)
{
    const char *text = json_string_value(json_object_get(call->fields, name));
    return text == NULL ? "" : text;
}

/* A text attribute of the lead by its name in the API, "" when not given. */
static inline const char *plumb_lead(plumb_call_t *call, const char *name)
{
    return call->host->lead_text(call, name);
}

/* The lead as JSON text, NUL behind it: an object of "id", its attributes by their names in the
 * API, and "data"; compact, with the keys of every object sorted by their bytes.  It stays the same
 * in every attempt. */
static inline plumb_part_t plumb_lead_json(plumb_call_t *call)
{
    return call->host->lead_json(call);
}

/* The same as a tree, built at the first call.  Leave it as it is: later steps see it too.  NULL
 * only when the call is about to end as `bug`. */
static inline json_t *plumb_lead_tree(plumb_call_t *call)
{
    return call->host->lead_tree(call);
}

/* What the field mapping made: an object. */
static inline json_t *plumb_mapped(plumb_call_t *call)
{
    return call->host->mapped(call);
}

/* An object, yours to change: kept over steps, retries and crashes. */
static inline json_t *plumb_checkpoint(plumb_call_t *call)
{
    return call->host->checkpoint(call);
}

/* The reply's body, parsed at the first call; NULL when it is cut, or no JSON, or has doubled
 * keys. */
static inline json_t *plumb_reply_json(plumb_call_t *call)
{
    return call->host->reply_json(call);
}

/* A header of the reply, "" when absent. */
static inline const char *plumb_reply_header(plumb_call_t *call, const char *name)
{
    return call->host->reply_header(call, name);
}

/* Formatted text, percent-encoded text, base64: memory of the call, freed by the host after the
 * step. */
#define plumb_format(call, ...) ((call)->host->format((call), __VA_ARGS__))

static inline char *plumb_escape_url(plumb_call_t *call, const char *text, size_t length)
{
    return call->host->escape_url(call, text, length);
}

static inline char *plumb_base64(plumb_call_t *call, const void *data, size_t length)
{
    return call->host->base64(call, data, length);
}

/* Decode to `out`; returns the bytes, or -1: not base64 or too long.  Padding may be missing. */
static inline ptrdiff_t plumb_unbase64(plumb_call_t *call, const char *text, size_t length,
                                       void *out, size_t size)
{
    return call->host->unbase64(call, text, length, out, size);
}

/* Of the pieces, one behind the other. */
static inline void plumb_hmac_sha256(plumb_call_t *call, const void *key, size_t key_length,
                                     const plumb_part_t *parts, size_t count, uint8_t out[32])
{
    call->host->hmac_sha256(key, key_length, parts, count, out);
}

/* A line in the host's log with this delivery's ids; never personal data. */
static inline void plumb_log(plumb_call_t *call, const char *sentence)
{
    call->host->log(call, sentence);
}

#endif
