/* webhooks: a lead as JSON to the owner's URL, signed as Standard Webhooks 1.0.0 has it.
 *
 * The body is the same in every attempt, since some receivers tell repeats apart by content: it is
 * made of the lead alone, with sorted keys.  What differs from attempt to attempt stands in
 * headers. */
#include <plumb/channel.h>

#include <string.h>
#include <strings.h>
#include <time.h>

#define SECRET_MIN 24
#define SECRET_MAX 64
#define EXTERNAL_MAX 255
#define HEADERS_MAX 20

static const plumb_field_t fields[] = {
    {.name = "url",
     .type = PLUMB_FIELD_URL,
     .flags = PLUMB_REQUIRED | PLUMB_SECRET,
     .title = "Address",
     .title_ru = "Адрес",
     .min = 1,
     .max = 2048,
     .help = "where leads are POSTed: https://…"},
    {.name = "secret",
     .type = PLUMB_FIELD_TEXT,
     .flags = PLUMB_SECRET,
     .title = "Signing secret",
     .title_ru = "Секрет подписи",
     .min = 1,
     .max = 128,
     .help = "whsec_… (style hex: any text); calls are signed when it is given"},
    {.name = "secret_old",
     .type = PLUMB_FIELD_TEXT,
     .flags = PLUMB_SECRET,
     .title = "Previous secret",
     .title_ru = "Прежний секрет",
     .max = 128,
     .help = "signs as well while receivers change over"},
    {.name = "style",
     .type = PLUMB_FIELD_ENUM,
     .title = "Style",
     .title_ru = "Вид",
     .initial = "standard",
     .choices = "standard|json|hex",
     .help = "standard: Standard Webhooks; json: unsigned; hex: X-Hub-Signature-256"},
    {.name = "method",
     .type = PLUMB_FIELD_ENUM,
     .title = "Method",
     .title_ru = "Метод",
     .initial = "POST",
     .choices = "POST|PUT|PATCH"},
    {.name = "auth",
     .type = PLUMB_FIELD_ENUM,
     .title = "Authentication",
     .title_ru = "Авторизация",
     .initial = "none",
     .choices = "none|basic|bearer"},
    {.name = "user",
     .type = PLUMB_FIELD_TEXT,
     .title = "User",
     .title_ru = "Пользователь",
     .max = 255},
    {.name = "password",
     .type = PLUMB_FIELD_TEXT,
     .flags = PLUMB_SECRET,
     .title = "Password",
     .title_ru = "Пароль",
     .max = 255},
    {.name = "token",
     .type = PLUMB_FIELD_TEXT,
     .flags = PLUMB_SECRET,
     .title = "Bearer token",
     .title_ru = "Токен",
     .max = 1024},
    {.name = "headers",
     .type = PLUMB_FIELD_MAP,
     .flags = PLUMB_SECRET,
     .title = "Further headers",
     .title_ru = "Дополнительные заголовки",
     .help = "at most 20"},
    {.name = "timeout_s",
     .type = PLUMB_FIELD_INT,
     .title = "Seconds to wait",
     .title_ru = "Секунд ожидания",
     .initial = "20",
     .min = 5,
     .max = 30},
    {.name = "id_path",
     .type = PLUMB_FIELD_TEXT,
     .title = "Record id in the answer",
     .title_ru = "Номер записи в ответе",
     .pattern = "(/[^/]+){1,8}",
     .max = 255,
     .help = "JSON pointer, such as /data/id"},
    {.name = "send_update",
     .type = PLUMB_FIELD_BOOL,
     .title = "Send changes",
     .title_ru = "Присылать изменения",
     .initial = "true"},
    {0}};

/* Headers that are the protocol's, not the owner's. */
static const char *const refused_headers[] = {"Host",    "Content-Length",  "Transfer-Encoding",
                                              "Expect",  "Connection",      "Keep-Alive",
                                              "Trailer", "Upgrade",         "TE",
                                              "Cookie",  "Accept-Encoding", NULL};
static const char *const refused_prefixes[] = {"Proxy-", "webhook-", "svix-", "plumb-", NULL};

/* ---- checking credentials ---- */

static const char *text_of(const json_t *given, const char *name)
{
    const char *text = json_string_value(json_object_get(given, name));
    return text != NULL ? text : "";
}

/* "whsec_" and base64 of 24 to 64 bytes, padded or not. */
static bool is_secret(const char *text)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (strncmp(text, "whsec_", 6) != 0)
        return false;
    size_t digits = strspn(text + 6, alphabet);
    size_t padding = strspn(text + 6 + digits, "=");
    size_t bytes = digits * 6 / 8;
    return bytes >= SECRET_MIN && bytes <= SECRET_MAX && digits % 4 != 1 &&
           text[6 + digits + padding] == '\0' &&
           (padding == 0 || (padding <= 2 && (digits + padding) % 4 == 0));
}

static bool is_refused(const char *name)
{
    for (size_t i = 0; refused_headers[i] != NULL; i++)
        if (strcasecmp(name, refused_headers[i]) == 0)
            return true;
    for (size_t i = 0; refused_prefixes[i] != NULL; i++)
        if (strncasecmp(name, refused_prefixes[i], strlen(refused_prefixes[i])) == 0)
            return true;
    return false;
}

static bool is_header_name(const char *name)
{
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-");
    return length > 0 && length <= 64 && name[length] == '\0' && !is_refused(name);
}

static const char *check_headers(json_t *headers)
{
    const char *name;
    json_t *value;
    if (json_object_size(headers) > HEADERS_MAX)
        return "more than 20 headers";
    json_object_foreach(
        headers, name,
        value) if (!is_header_name(name) ||
                   json_string_length(value) >
                       1024) return "a header's name is not allowed, or its value is too long";
    return NULL;
}

static const char *webhooks_validate(const json_t *given, const char **field)
{
    bool standard = strcmp(text_of(given, "style"), "standard") == 0;
    *field = "secret";
    if (standard && text_of(given, "secret")[0] != '\0' && !is_secret(text_of(given, "secret")))
        return "is not whsec_ and base64 of 24 to 64 bytes";
    *field = "secret_old";
    if (text_of(given, "secret_old")[0] != '\0' && !is_secret(text_of(given, "secret_old")))
        return "is not whsec_ and base64 of 24 to 64 bytes";
    *field = "url";
    if (strchr(text_of(given, "url"), '#') != NULL)
        return "has a fragment";
    *field = "headers";
    return check_headers(json_object_get(given, "headers"));
}

/* ---- the request ---- */

/* The body in pieces, with its data's text between the other two: sent and signed without being
 * put together before. */
#define BODY_PARTS 3

typedef struct body {
    plumb_part_t part[BODY_PARTS];
} body_t;

static body_t body_of(plumb_call_t *call, const char *type, const char *when, plumb_part_t data)
{
    if (strpbrk(when, "\"\\") != NULL)
        when = "";
    const char *begin =
        plumb_format(call, "{\"type\":\"%s\",\"timestamp\":\"%s\",\"data\":", type, when);
    return (body_t){{plumb_part(begin), data, plumb_part("}")}};
}

/* "v1,<base64>" of one secret; "" without one. */
static const char *signature(plumb_call_t *call, const char *secret, const plumb_part_t *content,
                             size_t count)
{
    uint8_t key[SECRET_MAX], mac[32];
    if (secret[0] == '\0')
        return "";
    ptrdiff_t length = plumb_unbase64(call, secret + 6, strlen(secret + 6), key, sizeof key);
    if (length < 0)
        return "";
    plumb_hmac_sha256(call, key, (size_t)length, content, count, mac);
    return plumb_format(call, "v1,%s", plumb_base64(call, mac, sizeof mac));
}

static void sign_standard(plumb_call_t *call, const body_t *body)
{
    long long now = (long long)call->now;
    plumb_part_t content[1 + BODY_PARTS] = {
        plumb_part(plumb_format(call, "%s.%lld.", call->delivery, now))};
    memcpy(content + 1, body->part, sizeof body->part);
    const char *newer = signature(call, plumb_field(call, "secret"), content, 1 + BODY_PARTS);
    const char *older = signature(call, plumb_field(call, "secret_old"), content, 1 + BODY_PARTS);
    plumb_header_text(call, "webhook-id", call->delivery);
    plumb_header(call, "webhook-timestamp", "%lld", now);
    if (newer[0] != '\0' || older[0] != '\0')
        plumb_header(call, "webhook-signature", "%s%s%s", newer,
                     newer[0] != '\0' && older[0] != '\0' ? " " : "", older);
}

static void sign_hex(plumb_call_t *call, const body_t *body)
{
    uint8_t mac[32];
    char hex[sizeof mac * 2 + 1];
    const char *secret = plumb_field(call, "secret");
    if (secret[0] == '\0')
        return;
    plumb_hmac_sha256(call, secret, strlen(secret), body->part, BODY_PARTS, mac);
    for (size_t i = 0; i < sizeof mac; i++) {
        hex[2 * i] = "0123456789abcdef"[mac[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[mac[i] & 15];
    }
    hex[sizeof hex - 1] = '\0';
    plumb_header(call, "X-Hub-Signature-256", "sha256=%s", hex);
}

static void authorize(plumb_call_t *call)
{
    const char *auth = plumb_field(call, "auth");
    if (strcmp(auth, "bearer") == 0)
        plumb_header(call, "Authorization", "Bearer %s", plumb_field(call, "token"));
    if (strcmp(auth, "basic") != 0)
        return;
    const char *pair =
        plumb_format(call, "%s:%s", plumb_field(call, "user"), plumb_field(call, "password"));
    plumb_header(call, "Authorization", "Basic %s", plumb_base64(call, pair, strlen(pair)));
}

static plumb_step_t post(plumb_call_t *call, const body_t *body)
{
    const char *style = plumb_field(call, "style"), *name;
    json_t *value;
    plumb_request(call, plumb_field(call, "method"), plumb_field(call, "url"));
    json_object_foreach(json_object_get(call->fields, "headers"), name, value)
    {
        plumb_header_text(call, name, json_string_value(value));
    }
    if (strcmp(style, "standard") == 0)
        sign_standard(call, body);
    else
        plumb_header_text(call, "Idempotency-Key", call->delivery);
    if (strcmp(style, "hex") == 0)
        sign_hex(call, body);
    authorize(call);
    plumb_header(call, "plumb-attempt", "%u", call->attempt);
    plumb_body_parts(call, "application/json; charset=utf-8", body->part, BODY_PARTS);
    plumb_timeout(call, json_integer_value(json_object_get(call->fields, "timeout_s")) * 1000);
    return plumb_ask(call, 1);
}

/* ---- the answer ---- */

/* The value at a JSON pointer; NULL: there is none. */
static const json_t *at_pointer(const json_t *value, const char *pointer)
{
    while (value != NULL && *pointer == '/') {
        char part[EXTERNAL_MAX + 1];
        size_t length = 0;
        for (pointer++; *pointer != '\0' && *pointer != '/' && length < EXTERNAL_MAX; pointer++) {
            bool escaped = *pointer == '~' && (pointer[1] == '0' || pointer[1] == '1');
            pointer += escaped;
            part[length++] = (char)(!escaped ? *pointer : *pointer == '0' ? '~' : '/');
        }
        part[length] = '\0';
        value = json_is_array(value) ? json_array_get(value, strtoul(part, NULL, 10))
                                     : json_object_get(value, part);
    }
    return value;
}

static void keep_id(plumb_call_t *call)
{
    const char *path = plumb_field(call, "id_path");
    const json_t *id = path[0] != '\0' ? at_pointer(plumb_reply_json(call), path) : NULL;
    if (json_is_string(id) && json_string_length(id) > 0 && json_string_length(id) <= EXTERNAL_MAX)
        plumb_external_id(call, json_string_value(id));
    else if (json_is_integer(id))
        plumb_external_id(call, plumb_format(call, "%lld", (long long)json_integer_value(id)));
    else
        plumb_external_id(call, call->delivery);
}

static plumb_step_t judge(plumb_call_t *call)
{
    int status = call->reply->status;
    plumb_outcome_t outcome = plumb_outcome_of_status(status);
    if (outcome == PLUMB_OUT_ok) {
        keep_id(call);
        return plumb_end(call, outcome);
    }
    if (status >= 300 && status < 400)
        return plumb_end_because(call, outcome, "the receiver has moved (%d) to %s", status,
                                 plumb_reply_header(call, "Location"));
    return plumb_end_because(call, outcome, "the receiver answered %d", status);
}

/* ---- verbs ---- */

/* Post what was built for this call alone; takes `data`. */
static plumb_step_t post_tree(plumb_call_t *call, const char *type, const char *when, json_t *data)
{
    char *text = json_dumps(data, JSON_COMPACT | JSON_SORT_KEYS);
    body_t body = body_of(call, type, when, plumb_part(text != NULL ? text : "null"));
    plumb_step_t step = post(call, &body);
    free(text);
    json_decref(data);
    return step;
}

static plumb_step_t webhooks_send(plumb_call_t *call)
{
    if (call->stage > 0)
        return judge(call);
    body_t body =
        body_of(call, "lead.created", plumb_lead(call, "createdAt"), plumb_lead_json(call));
    return post(call, &body);
}

static plumb_step_t webhooks_update(plumb_call_t *call)
{
    if (call->stage > 0)
        return judge(call);
    if (json_is_false(json_object_get(call->fields, "send_update")))
        return plumb_end_because(call, PLUMB_OUT_ok, "changes are not wanted");
    json_t *data = json_copy(plumb_lead_tree(call));
    json_object_set_new(data, "previous_id", json_string(call->external_id));
    return post_tree(call, "lead.updated", plumb_lead(call, "updatedAt"), data);
}

static plumb_step_t webhooks_test(plumb_call_t *call)
{
    char when[32] = "";
    struct tm utc;
    time_t now = (time_t)call->now;
    if (call->stage > 0)
        return judge(call);
    if (gmtime_r(&now, &utc) != NULL)
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return post_tree(call, "webhook.test", when,
                     json_pack("{s:s,s:b}", "message", "Plumb test", "test", 1));
}

PLUMB_EXPORT const plumb_channel_t plumb_channel = {PLUMB_CHANNEL_HEAD,
                                                    .code = "webhooks",
                                                    .title = "Webhooks",
                                                    .version = "1.0.0",
                                                    .flags = PLUMB_CHANNEL_RESENDS,
                                                    .fields = fields,
                                                    .validate_credentials = webhooks_validate,
                                                    .send = webhooks_send,
                                                    .update = webhooks_update,
                                                    .test_connection = webhooks_test};
