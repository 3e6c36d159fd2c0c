/* Throttle keys: "<channel>/<level>/<value>". */
#include "credential_limits.h"

#include <ctype.h>
#include <sodium.h>
#include <string.h>

#define NAME_SIZE (PLUMB_JSON_KEY_MAX + 1)
#define HASH 16

/* What is read while the keys are made. */
typedef struct source {
    plumb_json_t limits, fields; /* the channel's */
    const plumb_json_t *values;  /* the credential's */
} source_t;

static bool is_type(const plumb_json_t *json, uint32_t node, plumb_json_type_t type)
{
    return node != 0 && json->nodes[node].type == type;
}

static bool is_text(const plumb_json_t *json, uint32_t node, const char *text)
{
    return node != 0 && plumb_json_equal(json, node, text);
}

/* ---- values ---- */

/* Ports that a URL need not name, so that both ways of writing it are one destination. */
static const char *usual_port(const char *scheme, size_t length)
{
    static const struct {
        const char *scheme, *port;
    } usual[] = {{"https", ":443"}, {"http", ":80"}, {"smtps", ":465"}, {"smtp", ":25"}};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (strlen(usual[i].scheme) == length && strncasecmp(usual[i].scheme, scheme, length) == 0)
            return usual[i].port;
    return "";
}

static void put_lower(plumb_buf_t *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = (char)tolower((unsigned char)text[i]);
        plumb_buf_put(out, &c, 1);
    }
}

/* Append scheme://host:port. */
static void put_origin(plumb_buf_t *out, const char *url)
{
    size_t scheme = strcspn(url, ":");
    const char *host = url + scheme;
    host += strncmp(host, "://", 3) == 0 ? 3 : 0;
    size_t length = strcspn(host, "/?#\\");
    const char *at = memrchr(host, '@', length); /* what stands before it is a secret */
    if (at != NULL) {
        length -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    const char *bracket = memrchr(host, ']', length);
    const char *from = bracket != NULL ? bracket : host;
    bool has_port = memchr(from, ':', length - (size_t)(from - host)) != NULL;
    put_lower(out, url, scheme);
    plumb_buf_text(out, "://");
    put_lower(out, host, length);
    plumb_buf_text(out, has_port ? "" : usual_port(url, scheme));
}

static void put_hash(plumb_buf_t *out, const char *text, size_t length)
{
    uint8_t hash[HASH];
    char hex[2 * HASH + 1];
    crypto_generichash(hash, sizeof hash, (const uint8_t *)text, length, NULL, 0);
    plumb_buf_text(out, sodium_bin2hex(hex, sizeof hex, hash, sizeof hash));
}

/* Index of the channel's field `name`, or 0. */
static uint32_t find_field(const plumb_json_t *fields, const char *name)
{
    if (fields->count == 0 || fields->nodes[0].type != PLUMB_JSON_ARRAY)
        return 0;
    for (uint32_t at = 1; at < fields->count; at = fields->nodes[at].next)
        if (is_text(fields, plumb_json_member(fields, at, "name"), name))
            return at;
    return 0;
}

static int put_text_value(plumb_buf_t *out, const source_t *s, uint32_t value, uint32_t field,
                          plumb_err_t *err)
{
    const plumb_json_node_t *node = &s->values->nodes[value];
    plumb_buf_t text = {0};
    plumb_buf_reserve(&text, node->end - node->start); /* never shorter than what it says */
    if (text.failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "throttle keys");
    ptrdiff_t length = plumb_json_string(s->values, value, text.data, text.capacity);
    if (is_text(&s->fields, field == 0 ? 0 : plumb_json_member(&s->fields, field, "type"), "url"))
        put_origin(out, text.data);
    else if (is_type(&s->fields, field == 0 ? 0 : plumb_json_member(&s->fields, field, "secret"),
                     PLUMB_JSON_TRUE))
        put_hash(out, text.data, (size_t)length);
    else
        plumb_buf_put(out, text.data, (size_t)length);
    plumb_buf_wipe(&text);
    return 0;
}

static void put_id(plumb_buf_t *out, const plumb_uuid_t *id)
{
    char text[PLUMB_UUID_TEXT];
    plumb_buf_text(out, plumb_uuid_text(id, text));
}

/* Append what limit key `key` (a node of the channel's limits) comes to for this credential. */
static int put_value(plumb_credential_t *c, const source_t *s, uint32_t key, plumb_err_t *err)
{
    char name[NAME_SIZE];
    if (is_text(&s->limits, key, ""))
        return 0;
    uint32_t value = 0;
    if (key != 0 && plumb_json_string(&s->limits, key, name, sizeof name) > 0)
        value = plumb_json_member(s->values, 0, name);
    if (is_type(s->values, value, PLUMB_JSON_STRING))
        return put_text_value(&c->keys, s, value, find_field(&s->fields, name), err);
    if (is_type(s->values, value, PLUMB_JSON_INTEGER))
        plumb_buf_put(&c->keys, s->values->text + s->values->nodes[value].start,
                      s->values->nodes[value].end - s->values->nodes[value].start);
    else
        put_id(&c->keys, &c->id); /* no key, or a field that is not given */
    return 0;
}

/* ---- levels ---- */

static uint32_t number(const plumb_json_t *json, uint32_t object, const char *name)
{
    uint32_t node = plumb_json_member(json, object, name);
    if (!is_type(json, node, PLUMB_JSON_INTEGER))
        return 0;
    int64_t value = json->nodes[node].integer;
    return value > 0 && value <= UINT32_MAX ? (uint32_t)value : 0;
}

/* Keys stand one behind the other in memory that may move until the last one is there. */
static int add_levels(plumb_credential_t *c, const source_t *s, uint32_t levels, plumb_err_t *err)
{
    const plumb_json_t *json = &s->limits;
    int rc = 0;
    uint32_t at = levels + 1;
    for (unsigned level = 0; level < json->nodes[levels].count && rc == 0;
         level++, at = json->nodes[at].next) {
        uint32_t per_kilosecond = number(json, at, "perKilosecond");
        if (per_kilosecond == 0 || c->throttle_count == PLUMB_THROTTLES_MAX)
            continue;
        size_t start = c->keys.length;
        plumb_buf_printf(&c->keys, "%s/%u/", c->channel, level);
        rc = put_value(c, s, plumb_json_member(json, at, "key"), err);
        c->throttles[c->throttle_count++] =
            (plumb_throttle_t){.key = {NULL, c->keys.length - start},
                               .per_kilosecond = per_kilosecond,
                               .burst = number(json, at, "burst")};
    }
    const char *key = c->keys.data;
    for (unsigned i = 0; i < c->throttle_count; key += c->throttles[i++].key.length)
        c->throttles[i].key.data = key;
    return rc;
}

static int take(plumb_credential_t *c, const source_t *s, plumb_err_t *err)
{
    const plumb_json_t *json = &s->limits;
    c->mail_schedule = is_text(json, plumb_json_member(json, 0, "schedule"), "mail");
    c->resends = is_type(json, plumb_json_member(json, 0, "resends"), PLUMB_JSON_TRUE);
    uint32_t levels = plumb_json_member(json, 0, "limits");
    int rc = is_type(json, levels, PLUMB_JSON_ARRAY) ? add_levels(c, s, levels, err) : 0;
    if (rc == 0 && c->keys.failed)
        rc = plumb_err_set(err, PLUMB_E_MEMORY, "throttle keys");
    return rc;
}

int plumb_credential_limits(plumb_credential_t *credential, const plumb_channel_texts_t *channel,
                            const plumb_json_t *values, plumb_err_t *err)
{
    if (channel->limits.data == NULL)
        return 0;
    source_t s = {.values = values};
    int rc = plumb_json_read_stored(&s.limits, channel->limits.data, channel->limits.length, err);
    if (rc == 0 && channel->fields.data != NULL)
        rc = plumb_json_read_stored(&s.fields, channel->fields.data, channel->fields.length, err);
    if (rc == 0)
        rc = take(credential, &s, err);
    plumb_json_fini(&s.limits);
    plumb_json_fini(&s.fields);
    return rc;
}
