/* Reading what a page sends. */
#include "form.h"

#include <string.h>
#include <strings.h>

static int refuse(plumb_err_t *err, const char *why)
{
    return plumb_err_set(err, PLUMB_E_BAD_DOCUMENT, "%s", why);
}

form_type_t form_type(const char *content_type)
{
    static const struct {
        const char *name;
        form_type_t type;
    } types[] = {{"application/json", FORM_JSON},
                 {"application/x-www-form-urlencoded", FORM_URLENCODED},
                 {"multipart/form-data", FORM_MULTIPART}};
    size_t length = content_type == NULL ? 0 : strcspn(content_type, "; \t");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (length == strlen(types[i].name) &&
            strncasecmp(content_type, types[i].name, length) == 0)
            return types[i].type;
    return FORM_NONE;
}

int form_add(form_t *form, plumb_slice_t name, plumb_slice_t value, bool is_json, plumb_err_t *err)
{
    if (name.length >= 2 && memcmp(name.data + name.length - 2, "[]", 2) == 0)
        name.length -= 2; /* as pages name fields of several values */
    if (form->count == FORM_FIELDS_MAX)
        return refuse(err, "more than 256 fields");
    if (name.length == 0 || name.length > FORM_NAME_MAX)
        return refuse(err, "a field's name has no or more than 128 bytes");
    if (!plumb_utf8_valid(name.data, name.length) ||
        (!is_json && !plumb_utf8_valid(value.data, value.length)))
        return refuse(err, "a field is no UTF-8");
    form->fields[form->count++] = (form_field_t){.name = name, .value = value, .is_json = is_json};
    return 0;
}

bool form_is_filled(const form_t *form, const char *name)
{
    for (size_t i = 0; i < form->count; i++) {
        const form_field_t *f = &form->fields[i];
        bool is_empty = f->value.length == 0 ||
                        (f->is_json && (f->value.length == 2 || f->value.data[0] == 'n'));
        if (!is_empty && f->name.length == strlen(name) &&
            memcmp(f->name.data, name, f->name.length) == 0)
            return true;
    }
    return false;
}

/* ---- JSON ---- */

/* Names are taken as they are written: one with escapes is nobody's field. */
static int read_json(form_t *form, const plumb_buf_t *body, plumb_json_t *json, plumb_err_t *err)
{
    int rc = plumb_json_read(json, body->data, body->length, err);
    if (rc == 0 && json->nodes[0].type != PLUMB_JSON_OBJECT)
        rc = refuse(err, "want an object");
    for (uint32_t at = 1; rc == 0 && at < json->nodes[0].next; at = json->nodes[at + 1].next) {
        const plumb_json_node_t *key = &json->nodes[at], *value = &json->nodes[at + 1];
        if (key->escaped)
            return refuse(err, "a member's name has escapes");
        rc = form_add(form, (plumb_slice_t){json->text + key->start + 1, key->end - key->start - 2},
                      (plumb_slice_t){json->text + value->start, value->end - value->start}, true,
                      err);
    }
    return rc;
}

/* ---- application/x-www-form-urlencoded ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode `length` bytes in place.  False: a bad escape. */
static bool decode(char *text, size_t *length)
{
    size_t n = 0;
    for (size_t i = 0; i < *length; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < *length ? hex_value(text[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_value(text[i + 2]);
            if (low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        text[n++] = text[i] == '+' && c == '+' ? ' ' : c;
    }
    *length = n;
    return true;
}

static int read_pair(form_t *form, char *text, size_t length, plumb_err_t *err)
{
    char *equals = memchr(text, '=', length);
    size_t name = equals == NULL ? length : (size_t)(equals - text);
    char *value = equals == NULL ? text + length : equals + 1;
    size_t value_length = (size_t)(text + length - value);
    if (!decode(text, &name) || !decode(value, &value_length))
        return refuse(err, "a field has a bad escape");
    return form_add(form, (plumb_slice_t){text, name}, (plumb_slice_t){value, value_length}, false,
                    err);
}

static int read_urlencoded(form_t *form, plumb_buf_t *body, plumb_err_t *err)
{
    char *at = body->data, *end = at + body->length;
    int rc = 0;
    while (rc == 0 && at < end) {
        char *stop = memchr(at, '&', (size_t)(end - at));
        size_t length = (size_t)((stop == NULL ? end : stop) - at);
        if (length > 0)
            rc = read_pair(form, at, length, err);
        at += length + 1;
    }
    return rc;
}

int form_read(form_t *form, form_type_t type, const char *content_type, plumb_buf_t *body,
              plumb_json_t *json, plumb_err_t *err)
{
    form->count = 0;
    if (body->length == 0)
        return refuse(err, "the body is empty");
    switch (type) {
    case FORM_JSON:
        return read_json(form, body, json, err);
    case FORM_URLENCODED:
        return read_urlencoded(form, body, err);
    case FORM_MULTIPART:
        return form_read_multipart(form, content_type, body, err);
    default:
        return refuse(err, "no form");
    }
}
