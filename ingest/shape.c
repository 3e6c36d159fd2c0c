/* Documents: what is needed of them, and each attribute by its row of the table. */
#include "shape.h"

#include "canonical.h"
#include "count.h"
#include "email.h"
#include "phone.h"
#include "utf8.h"

#include <arpa/inet.h>
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* Room for what is not in the body: normalised addresses and numbers. */
#define TEXTS_EXTRA 1024

typedef struct reading {
    plumb_lead_t *lead;
    plumb_json_t *json;
    plumb_buf_t *texts;
    problems_t *problems;
} reading_t;

void shape_pointer(char out[POINTER_MAX], const char *name)
{
    size_t n = (size_t)snprintf(out, POINTER_MAX, "/data/attributes/");
    for (; *name != '\0' && n + 3 < POINTER_MAX; name++) { /* RFC 6901 */
        if (*name == '~' || *name == '/') {
            out[n++] = '~';
            out[n++] = *name == '~' ? '0' : '1';
        } else {
            out[n++] = *name;
        }
    }
    out[n] = '\0';
}

static void complain(problems_t *problems, plumb_code_t code, const char *name, const char *detail)
{
    char pointer[POINTER_MAX];
    shape_pointer(pointer, name);
    problems_add(problems, code, SOURCE_POINTER, pointer, detail);
}

static void invalid(const reading_t *r, const plumb_attr_t *attr, const char *detail)
{
    complain(r->problems, PLUMB_E_INVALID, attr->name, detail);
}

static void too_long(problems_t *problems, const plumb_attr_t *attr)
{
    char detail[64];
    snprintf(detail, sizeof detail, "longer than %u bytes", attr->max);
    complain(problems, PLUMB_E_INVALID, attr->name, detail);
}

/* ---- values ---- */

/* Append to `texts`, which was made large enough: what points into it stays. */
static plumb_slice_t keep(plumb_buf_t *texts, const char *data, size_t length)
{
    assert(texts->length + length < texts->capacity);
    size_t at = texts->length;
    plumb_buf_put(texts, data, length);
    return (plumb_slice_t){texts->data + at, length};
}

/* The bytes of a string node; those with escapes are decoded into `texts`. */
static plumb_slice_t string_of(const reading_t *r, uint32_t node)
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

static void take_uuid(const reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                      plumb_slice_t text)
{
    plumb_uuid_t id;
    char lower[PLUMB_UUID_TEXT];
    if (!plumb_uuid_parse(&id, text.data, text.length))
        invalid(r, attr, "not a UUID");
    else
        *value = keep(r->texts, plumb_uuid_text(&id, lower), PLUMB_UUID_TEXT - 1);
}

static void take_address(const reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
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
        *value = keep(r->texts, written, strlen(written));
    else
        invalid(r, attr, "not an IPv4 or IPv6 address");
}

static void take_word(const reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                      plumb_slice_t text)
{
    const char *word = plumb_attr_word(attr, text.data, text.length);
    char detail[160];
    size_t n = (size_t)snprintf(detail, sizeof detail, "want one of");
    if (word != NULL) {
        *value = (plumb_slice_t){word, text.length};
        return;
    }
    for (const char *const *one = attr->words; *one != NULL && n < sizeof detail; one++)
        n += (size_t)snprintf(detail + n, sizeof detail - n, "%s %s", one > attr->words ? "," : "",
                              *one);
    invalid(r, attr, detail);
}

static void take_text(const reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
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
            too_long(r->problems, attr);
        else
            *value = text;
    }
}

static void take_json(const reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                      const plumb_json_node_t *node)
{
    size_t length = node->end - node->start;
    if (node->type != PLUMB_JSON_OBJECT && node->type != PLUMB_JSON_ARRAY)
        invalid(r, attr, "want an object or an array");
    else if (length > attr->max)
        too_long(r->problems, attr);
    else
        *value = (plumb_slice_t){r->json->text + node->start, length};
}

static void take_value(const reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                       uint32_t at)
{
    static const char *const words[] = {"false", "true"};
    const plumb_json_node_t *node = &r->json->nodes[at];
    *value = (plumb_slice_t){NULL, 0};
    if (node->type == PLUMB_JSON_NULL)
        return;
    if (attr->type == PLUMB_ATTR_JSON) {
        take_json(r, attr, value, node);
    } else if (attr->type == PLUMB_ATTR_BOOL) {
        bool truth = node->type == PLUMB_JSON_TRUE;
        if (!truth && node->type != PLUMB_JSON_FALSE)
            invalid(r, attr, "want true or false");
        else
            *value = (plumb_slice_t){words[truth], strlen(words[truth])};
    } else if (node->type != PLUMB_JSON_STRING) {
        invalid(r, attr, "want a string");
    } else {
        take_text(r, attr, value, string_of(r, at));
    }
}

/* ---- attributes ---- */

static void take_attribute(const reading_t *r, uint32_t key)
{
    char name[PLUMB_JSON_KEY_MAX + 1] = "";
    const plumb_json_node_t *node = &r->json->nodes[key];
    int index;
    if (node->escaped)
        index =
            plumb_lead_attr_find(name, (size_t)plumb_json_string(r->json, key, name, sizeof name));
    else
        index = plumb_lead_attr_find(r->json->text + node->start + 1, node->end - node->start - 2);
    if (index >= 0 && (plumb_lead_attrs[index].flags & PLUMB_ATTR_CREATE) != 0) {
        take_value(r, &plumb_lead_attrs[index], &r->lead->value[index], key + 1);
        return;
    }
    plumb_json_string(r->json, key, name, sizeof name); /* fits: keys are bounded */
    if (index < 0)
        complain(r->problems, PLUMB_E_UNKNOWN_ATTRIBUTE, name, "there is no such attribute");
    else
        complain(r->problems, PLUMB_E_READ_ONLY, name, "may not be given");
}

/* Needed and neither given nor complained of. */
static void check_needed(const reading_t *r, uint32_t attributes, const char *pointer)
{
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        const plumb_attr_t *attr = &plumb_lead_attrs[i];
        if ((attr->flags & PLUMB_ATTR_NEEDED) == 0 || r->lead->value[i].data != NULL)
            continue;
        uint32_t given = attributes == 0 ? 0 : plumb_json_member(r->json, attributes, attr->name);
        if (given != 0 && r->json->nodes[given].type != PLUMB_JSON_NULL)
            continue;
        char detail[64];
        snprintf(detail, sizeof detail, "%s is needed", attr->name);
        problems_add(r->problems, PLUMB_E_REQUIRED, SOURCE_POINTER, pointer, detail);
    }
}

static void set_defaults(plumb_lead_t *lead)
{
    static const plumb_slice_t no = {"false", 5}, yes = {"true", 4}, fresh = {"New", 3};
    if (lead->value[PLUMB_LEAD_STATUS].data == NULL)
        lead->value[PLUMB_LEAD_STATUS] = fresh;
    if (lead->value[PLUMB_LEAD_IS_TEST].data == NULL)
        lead->value[PLUMB_LEAD_IS_TEST] = no;
    lead->value[PLUMB_LEAD_VIEWED] = no;
    lead->value[PLUMB_LEAD_PAID] = yes;
    lead->value[PLUMB_LEAD_BLOCKED] = no;
}

static void take_attributes(const reading_t *r, uint32_t data)
{
    const plumb_json_node_t *nodes = r->json->nodes;
    uint32_t attributes = plumb_json_member(r->json, data, "attributes");
    if (attributes != 0 && nodes[attributes].type != PLUMB_JSON_OBJECT) {
        problems_add(r->problems, PLUMB_E_BAD_DOCUMENT, SOURCE_POINTER, "/data/attributes",
                     "want an object");
        return;
    }
    for (uint32_t at = attributes + 1; attributes != 0 && at < nodes[attributes].next;
         at = nodes[at + 1].next)
        take_attribute(r, at);
    check_needed(r, attributes, attributes != 0 ? "/data/attributes" : "/data");
    set_defaults(r->lead);
}

/* ---- the document around them ---- */

static bool refuse(const reading_t *r, plumb_code_t code, const char *pointer, const char *detail)
{
    problems_add(r->problems, code, SOURCE_POINTER, pointer, detail);
    return false;
}

static bool take_document(const reading_t *r)
{
    const plumb_json_node_t *nodes = r->json->nodes;
    if (nodes[0].type != PLUMB_JSON_OBJECT)
        return refuse(r, PLUMB_E_BAD_DOCUMENT, "", "want an object");
    uint32_t data = plumb_json_member(r->json, 0, "data");
    if (data == 0)
        return refuse(r, PLUMB_E_BAD_DOCUMENT, "", "want a member \"data\"");
    if (nodes[data].type != PLUMB_JSON_OBJECT)
        return refuse(r, PLUMB_E_BAD_DOCUMENT, "/data", "want one resource object");
    uint32_t type = plumb_json_member(r->json, data, "type");
    if (type == 0)
        return refuse(r, PLUMB_E_BAD_DOCUMENT, "/data", "want a member \"type\"");
    if (nodes[type].type != PLUMB_JSON_STRING)
        return refuse(r, PLUMB_E_BAD_DOCUMENT, "/data/type", "want a string");
    if (!plumb_json_equal(r->json, type, "leads"))
        return refuse(r, PLUMB_E_TYPE_CONFLICT, "/data/type", "want \"leads\"");
    if (plumb_json_member(r->json, data, "id") != 0)
        return refuse(r, PLUMB_E_CLIENT_ID, "/data/id", "ids are given by the server");
    take_attributes(r, data);
    return r->problems->count == 0 || r->problems->first != PLUMB_E_BAD_DOCUMENT;
}

bool shape_read(plumb_lead_t *lead, plumb_json_t *json, plumb_buf_t *texts, const plumb_buf_t *body,
                problems_t *problems)
{
    plumb_err_t err = {0};
    *lead = (plumb_lead_t){.version = 1};
    plumb_buf_clear(texts);
    plumb_buf_reserve(texts, body->length + TEXTS_EXTRA);
    int rc = texts->failed ? plumb_err_set(&err, PLUMB_E_MEMORY, "read a document")
                           : plumb_json_read(json, body->data, body->length, &err);
    if (rc < 0) {
        problems_add(problems, err.code, SOURCE_NONE, NULL, err.text);
        return false;
    }
    reading_t r = {lead, json, texts, problems};
    return take_document(&r);
}

/* ---- normalising ---- */

/* The two letters of a country that the sender gave; else "". */
static void country_hint(const plumb_lead_t *lead, char hint[3])
{
    const plumb_slice_t *country = &lead->value[PLUMB_LEAD_COUNTRY];
    snprintf(hint, 3, "%.*s", country->length == 2 ? 2 : 0,
             country->length == 2 ? country->data : "");
}

void shape_normalise(plumb_lead_t *lead, plumb_buf_t *texts, problems_t *problems)
{
    plumb_slice_t *phone = &lead->value[PLUMB_LEAD_PHONE];
    plumb_slice_t *email = &lead->value[PLUMB_LEAD_EMAIL];
    plumb_err_t err = {0};
    char country[3], number[PHONE_MAX], address[EMAIL_MAX];
    country_hint(lead, country);
    if (phone->data != NULL) {
        if (phone_normalise(number, phone->data, phone->length, country, &err) < 0)
            complain(problems, PLUMB_E_INVALID, "phone", err.text);
        else
            *phone = keep(texts, number, strlen(number));
    }
    if (email->data != NULL) {
        if (email_normalise(address, email->data, email->length, &err) < 0)
            complain(problems, PLUMB_E_INVALID, "email", err.text);
        else
            *email = keep(texts, address, strlen(address));
    }
}

void shape_bound(const plumb_lead_t *lead, problems_t *problems)
{
    static const plumb_lead_attr_t bounded[] = {PLUMB_LEAD_PHONE, PLUMB_LEAD_EMAIL};
    for (size_t i = 0; i < PLUMB_COUNT(bounded); i++)
        if (lead->value[bounded[i]].length > plumb_lead_attrs[bounded[i]].max)
            too_long(problems, &plumb_lead_attrs[bounded[i]]);
}

/* ---- the canonical body ---- */

/* Append one value.  The name counts, not the row: the table may grow while answers are kept. */
static void put_value(plumb_buf_t *out, const plumb_attr_t *attr, const void *data, size_t length)
{
    uint64_t size = length;
    plumb_buf_put(out, attr->name, strlen(attr->name) + 1);
    plumb_buf_put(out, &size, sizeof size);
    plumb_buf_put(out, data, length);
}

int shape_hash(uint8_t hash[SHAPE_HASH], const plumb_lead_t *lead, const plumb_json_t *json,
               plumb_buf_t *all, plumb_buf_t *scratch, plumb_err_t *err)
{
    static const uint8_t key[crypto_shorthash_siphashx24_KEYBYTES] = {0};
    uint8_t digest[CANONICAL_DIGEST];
    plumb_buf_clear(all);
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        const plumb_attr_t *attr = &plumb_lead_attrs[i];
        const plumb_slice_t *value = &lead->value[i];
        if (value->data == NULL || (attr->flags & PLUMB_ATTR_CREATE) == 0)
            continue;
        if (attr->type != PLUMB_ATTR_JSON) {
            put_value(all, attr, value->data, value->length);
            continue;
        }
        canonical_digest(digest, json, plumb_json_at(json, value->data), scratch);
        put_value(all, attr, digest, sizeof digest);
    }
    if (all->failed || scratch->failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "hash a lead");
    crypto_shorthash_siphashx24(hash, (const uint8_t *)all->data, all->length, key);
    return 0;
}
