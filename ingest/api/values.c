/* One function for each type of attribute. */
#include "values.h"

#include "cidr.h"
#include "clock.h"
#include "utf8.h"
#include "uuid.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Room for what is not in the document: normalised addresses, numbers, times. */
#define TEXTS_EXTRA 2048

bool values_room(plumb_buf_t *texts, size_t length)
{
    plumb_buf_clear(texts);
    plumb_buf_reserve(texts, 2 * length + TEXTS_EXTRA); /* a time may be written shorter */
    return !texts->failed;
}

plumb_slice_t values_keep(plumb_buf_t *texts, const char *data, size_t length)
{
    assert(texts->length + length < texts->capacity);
    size_t at = texts->length;
    plumb_buf_put(texts, data, length);
    return (plumb_slice_t){texts->data + at, length};
}

void values_pointer(char out[POINTER_MAX], const char *at, const char *name)
{
    size_t n = (size_t)snprintf(out, POINTER_MAX, "%s/attributes/", at);
    for (; *name != '\0' && n + 3 < POINTER_MAX; name++) {
        if (*name == '~' || *name == '/') {
            out[n++] = '~';
            out[n++] = *name == '~' ? '0' : '1';
        } else {
            out[n++] = *name;
        }
    }
    out[n] = '\0';
}

void values_complain(problems_t *problems, const char *at, plumb_code_t code, const char *name,
                     const char *detail)
{
    char pointer[POINTER_MAX];
    values_pointer(pointer, at, name);
    problems_add(problems, code, SOURCE_POINTER, pointer, detail);
}

static void invalid(const values_reading_t *r, const plumb_attr_t *attr, const char *detail)
{
    values_complain(r->problems, r->at, PLUMB_E_INVALID, attr->name, detail);
}

void values_too_long(problems_t *problems, const char *at, const plumb_attr_t *attr)
{
    char detail[64];
    snprintf(detail, sizeof detail, "longer than %u bytes", attr->max);
    values_complain(problems, at, PLUMB_E_INVALID, attr->name, detail);
}

/* ---- texts ---- */

/* The bytes of a string node; those with escapes are decoded into `texts`. */
static plumb_slice_t string_of(const values_reading_t *r, uint32_t node)
{
    const plumb_json_node_t *n = &r->json->nodes[node];
    plumb_buf_t *texts = r->texts;
    if (!n->escaped)
        return (plumb_slice_t){r->json->text + n->start + 1, n->end - n->start - 2};
    size_t at = texts->length;
    ptrdiff_t length = plumb_json_string(r->json, node, texts->data + at, texts->capacity - at);
    assert(length >= 0); /* never longer than as it was written */
    texts->length += (size_t)length;
    return (plumb_slice_t){texts->data + at, (size_t)length};
}

static void take_uuid(const values_reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                      plumb_slice_t text)
{
    plumb_uuid_t id;
    char lower[PLUMB_UUID_TEXT];
    if (!plumb_uuid_parse(&id, text.data, text.length))
        invalid(r, attr, "not a UUID");
    else
        *value = values_keep(r->texts, plumb_uuid_text(&id, lower), PLUMB_UUID_TEXT - 1);
}

static void take_address(const values_reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                         plumb_slice_t text)
{
    char copy[INET6_ADDRSTRLEN] = "", written[INET6_ADDRSTRLEN];
    uint8_t address[16];
    if (text.length < sizeof copy)
        memcpy(copy, text.data, text.length);
    bool is_whole = text.length > 0 && strlen(copy) == text.length;
    if (is_whole && inet_pton(AF_INET, copy, address) == 1) /* that takes one spelling only */
        *value = text;
    else if (is_whole && inet_pton(AF_INET6, copy, address) == 1 &&
             inet_ntop(AF_INET6, address, written, sizeof written) != NULL)
        *value = values_keep(r->texts, written, strlen(written));
    else
        invalid(r, attr, "not an IPv4 or IPv6 address");
}

/* "want one of New, AtWork, …" */
static void want_word(const values_reading_t *r, const plumb_attr_t *attr)
{
    char detail[160];
    size_t n = (size_t)snprintf(detail, sizeof detail, "want one of");
    for (const char *const *one = attr->words; *one != NULL && n < sizeof detail; one++)
        n += (size_t)snprintf(detail + n, sizeof detail - n, "%s %s", one > attr->words ? "," : "",
                              *one);
    invalid(r, attr, detail);
}

static void take_word(const values_reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                      plumb_slice_t text)
{
    const char *word = plumb_attr_word(attr, text.data, text.length);
    if (word != NULL)
        *value = (plumb_slice_t){word, text.length};
    else
        want_word(r, attr);
}

static void take_time(const values_reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                      plumb_slice_t text)
{
    int64_t moment;
    char written[PLUMB_TIME_TEXT];
    if (!plumb_time_parse(&moment, text.data, text.length))
        invalid(r, attr, "want a time such as 2026-01-31T12:00:00Z");
    else
        *value = values_keep(r->texts, plumb_time_text(moment, written), PLUMB_TIME_TEXT - 1);
}

static void take_text(const values_reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                      plumb_slice_t text)
{
    switch (attr->type) {
    case PLUMB_ATTR_UUID:
        take_uuid(r, attr, value, text);
        break;
    case PLUMB_ATTR_IP:
        take_address(r, attr, value, text);
        break;
    case PLUMB_ATTR_WORD:
        take_word(r, attr, value, text);
        break;
    case PLUMB_ATTR_TIME:
        take_time(r, attr, value, text);
        break;
    case PLUMB_ATTR_CUT:
        *value = (plumb_slice_t){text.data, plumb_utf8_cut(text.data, text.length, attr->max)};
        break;
    case PLUMB_ATTR_PHONE: /* separators do not count: its own rules tell the length */
    case PLUMB_ATTR_EMAIL:
        if (text.length > 0) /* a form's empty field is no value */
            *value = text;
        break;
    default:
        if (text.length > attr->max)
            values_too_long(r->problems, r->at, attr);
        else
            *value = text;
    }
}

/* ---- other types ---- */

static plumb_slice_t as_written(const values_reading_t *r, const plumb_json_node_t *node)
{
    return (plumb_slice_t){r->json->text + node->start, node->end - node->start};
}

static void take_json(const values_reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                      const plumb_json_node_t *node)
{
    if (node->type != PLUMB_JSON_OBJECT && node->type != PLUMB_JSON_ARRAY)
        invalid(r, attr, "want an object or an array");
    else if (node->end - node->start > attr->max)
        values_too_long(r->problems, r->at, attr);
    else
        *value = as_written(r, node);
}

static void take_bool(const values_reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                      const plumb_json_node_t *node)
{
    static const char *const words[] = {"false", "true"};
    bool truth = node->type == PLUMB_JSON_TRUE;
    if (!truth && node->type != PLUMB_JSON_FALSE)
        invalid(r, attr, "want true or false");
    else
        *value = (plumb_slice_t){words[truth], strlen(words[truth])};
}

static void take_int(const values_reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                     const plumb_json_node_t *node)
{
    char detail[64];
    if (node->type == PLUMB_JSON_INTEGER && node->integer >= 0 &&
        node->integer <= (int64_t)attr->max) {
        *value = as_written(r, node);
        return;
    }
    snprintf(detail, sizeof detail, "want a number from 0 to %u", attr->max);
    invalid(r, attr, detail);
}

/* An address or a prefix behind which no bit is set, as PostgreSQL wants it. */
static bool is_prefix(plumb_slice_t text)
{
    plumb_cidr_t cidr;
    if (!plumb_cidr_parse(&cidr, text.data, text.length) || cidr.port != 0 || text.data[0] == '[')
        return false;
    unsigned width = cidr.family == AF_INET ? 32 : 128;
    for (unsigned bit = cidr.bits; bit < width; bit++)
        if ((cidr.address[bit / 8] & (0x80 >> bit % 8)) != 0)
            return false;
    return true;
}

#define ITEMS_MAX 64

/* An array of texts. */
static void take_list(const values_reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                      uint32_t at)
{
    const plumb_json_node_t *nodes = r->json->nodes;
    if (nodes[at].type != PLUMB_JSON_ARRAY || nodes[at].count > ITEMS_MAX) {
        invalid(r, attr, "want an array of at most 64 texts");
        return;
    }
    for (uint32_t item = at + 1; item < nodes[at].next; item = nodes[item].next) {
        plumb_slice_t text = {"", 0};
        if (nodes[item].type == PLUMB_JSON_STRING)
            text = string_of(r, item);
        bool is_cidr = attr->type == PLUMB_ATTR_CIDRS;
        if (is_cidr ? is_prefix(text) : plumb_attr_word(attr, text.data, text.length) != NULL)
            continue;
        if (is_cidr)
            invalid(r, attr, "want addresses and prefixes such as 10.0.0.0/8, no bit set behind");
        else
            want_word(r, attr);
        return;
    }
    if (nodes[at].count == 0 && (attr->flags & PLUMB_ATTR_NEEDED) != 0)
        invalid(r, attr, "want at least one");
    else
        *value = as_written(r, &nodes[at]);
}

void values_read(const values_reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                 uint32_t node)
{
    const plumb_json_node_t *given = &r->json->nodes[node];
    *value = (plumb_slice_t){NULL, 0};
    if (given->type == PLUMB_JSON_NULL)
        return;
    switch (attr->type) {
    case PLUMB_ATTR_JSON:
        take_json(r, attr, value, given);
        break;
    case PLUMB_ATTR_BOOL:
        take_bool(r, attr, value, given);
        break;
    case PLUMB_ATTR_INT:
        take_int(r, attr, value, given);
        break;
    case PLUMB_ATTR_WORDS:
    case PLUMB_ATTR_CIDRS:
        take_list(r, attr, value, node);
        break;
    default:
        if (given->type != PLUMB_JSON_STRING)
            invalid(r, attr, "want a string");
        else
            take_text(r, attr, value, string_of(r, node));
    }
}
