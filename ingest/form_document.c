/* A JSON:API document made of a form's fields. */
#include "form.h"
#include "lead.h"

#include <string.h>

static bool is_named(const plumb_slice_t *name, const char *text)
{
    return name->length == strlen(text) && memcmp(name->data, text, name->length) == 0;
}

static bool is_same(const plumb_slice_t *a, const plumb_slice_t *b)
{
    return a->length == b->length && memcmp(a->data, b->data, a->length) == 0;
}

/* The attribute that the field is; NULL: none that a form may give. */
static const plumb_attr_t *attr_of(const plumb_slice_t *name)
{
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        const plumb_attr_t *attr = &plumb_lead_attrs[i];
        if ((attr->flags & PLUMB_ATTR_CREATE) != 0 &&
            (is_named(name, attr->name) || is_named(name, attr->column)))
            return attr;
    }
    return NULL;
}

/* Is the text a JSON object or array? */
static bool is_tree(const plumb_slice_t *value)
{
    plumb_json_t json = {.nodes = NULL};
    bool good = value->length > 0 && (value->data[0] == '{' || value->data[0] == '[') &&
                plumb_json_read(&json, value->data, value->length, NULL) == 0;
    plumb_json_fini(&json);
    return good;
}

static void put_value(plumb_buf_t *out, const form_field_t *field)
{
    if (field->is_json)
        plumb_buf_put(out, field->value.data, field->value.length);
    else
        plumb_buf_json(out, field->value.data, field->value.length);
}

/* Text of a form as the attribute's type wants it: a box that is ticked, a tree. */
static void put_typed(plumb_buf_t *out, const form_field_t *field, const plumb_attr_t *attr)
{
    static const char *const yes[] = {"1", "on", "yes", "true"};
    static const char *const no[] = {"0", "off", "no", "false"};
    if (!field->is_json && attr->type == PLUMB_ATTR_BOOL) {
        for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
            if (is_named(&field->value, yes[i]) || is_named(&field->value, no[i])) {
                plumb_buf_text(out, is_named(&field->value, yes[i]) ? "true" : "false");
                return;
            }
        }
    }
    if (!field->is_json && attr->type == PLUMB_ATTR_JSON && is_tree(&field->value))
        plumb_buf_put(out, field->value.data, field->value.length);
    else
        put_value(out, field);
}

/* What the frame says is not the form's to say. */
static bool is_framed(const form_frame_t *frame, const plumb_attr_t *attr)
{
    return (frame->quiz != NULL &&
            (strcmp(attr->name, "userId") == 0 || strcmp(attr->name, "projectId") == 0 ||
             strcmp(attr->name, "quizId") == 0)) ||
           (frame->address != NULL && strcmp(attr->name, "ipAddress") == 0);
}

/* Write the attributes of the table, each by its first field; what is left are data's. */
static void put_attributes(form_t *form, const form_frame_t *frame, plumb_buf_t *out)
{
    for (size_t i = 0; i < form->count; i++) {
        form_field_t *field = &form->fields[i];
        const plumb_attr_t *attr = attr_of(&field->name);
        if (frame->honeypot != NULL && is_named(&field->name, frame->honeypot))
            field->is_done = true;
        if (field->is_done || attr == NULL || strcmp(attr->name, "data") == 0)
            continue;
        for (size_t k = i; k < form->count; k++)
            form->fields[k].is_done |= attr_of(&form->fields[k].name) == attr;
        if (is_framed(frame, attr) || (!field->is_json && field->value.length == 0))
            continue;
        plumb_buf_text(out, ",\"");
        plumb_buf_text(out, attr->name);
        plumb_buf_text(out, "\":");
        put_typed(out, field, attr);
    }
}

/* ---- data ---- */

/* All values of the fields that have this one's name. */
static void put_values(form_t *form, size_t first, plumb_buf_t *out)
{
    unsigned values = 0;
    const plumb_slice_t name = form->fields[first].name;
    for (size_t i = first; i < form->count; i++)
        values += is_same(&form->fields[i].name, &name);
    if (values > 1)
        plumb_buf_put(out, "[", 1);
    for (size_t i = first, nth = 0; i < form->count; i++) {
        if (!is_same(&form->fields[i].name, &name))
            continue;
        if (nth++ > 0)
            plumb_buf_put(out, ",", 1);
        put_value(out, &form->fields[i]);
        form->fields[i].is_done = true;
    }
    if (values > 1)
        plumb_buf_put(out, "]", 1);
}

/* The members of a field "data" that is an object, without its braces; their tree goes to `json`.
 */
static bool put_given(form_t *form, plumb_buf_t *out, plumb_json_t *json)
{
    for (size_t i = 0; i < form->count; i++) {
        form_field_t *field = &form->fields[i];
        const plumb_slice_t *value = &field->value;
        if (!is_named(&field->name, "data") || value->length == 0 || value->data[0] != '{' ||
            plumb_json_read(json, value->data, value->length, NULL) < 0)
            continue;
        field->is_done = true;
        plumb_buf_put(out, value->data + 1, value->length - 2);
        return json->nodes[0].count > 0;
    }
    return false;
}

/* Does the given object have a member of that name? */
static bool has(const plumb_json_t *json, const plumb_slice_t *name)
{
    char text[FORM_NAME_MAX + 1];
    if (json->count == 0)
        return false;
    memcpy(text, name->data, name->length);
    text[name->length] = '\0';
    return plumb_json_member(json, 0, text) != 0;
}

/* What belongs to no attribute; a given object wins over fields of its members' names. */
static void put_data(form_t *form, plumb_buf_t *out)
{
    plumb_json_t json = {.nodes = NULL};
    plumb_buf_text(out, ",\"data\":{");
    bool any = put_given(form, out, &json);
    for (size_t i = 0; i < form->count; i++) {
        if (form->fields[i].is_done || has(&json, &form->fields[i].name))
            continue;
        if (any)
            plumb_buf_put(out, ",", 1);
        any = true;
        plumb_buf_json(out, form->fields[i].name.data, form->fields[i].name.length);
        plumb_buf_put(out, ":", 1);
        put_values(form, i, out);
    }
    plumb_buf_put(out, "}", 1);
    plumb_json_fini(&json);
}

static void put_owners(const form_frame_t *frame, plumb_buf_t *out)
{
    char user[PLUMB_UUID_TEXT], project[PLUMB_UUID_TEXT], quiz[PLUMB_UUID_TEXT];
    plumb_buf_printf(out, ",\"userId\":\"%s\",\"projectId\":\"%s\",\"quizId\":\"%s\"",
                     plumb_uuid_text(frame->user, user), plumb_uuid_text(frame->project, project),
                     plumb_uuid_text(frame->quiz, quiz));
}

void form_document(form_t *form, const form_frame_t *frame, plumb_buf_t *out)
{
    plumb_buf_clear(out);
    plumb_buf_text(out, "{\"data\":{\"type\":\"leads\",\"attributes\":{");
    size_t begin = out->length;
    if (frame->quiz != NULL)
        put_owners(frame, out);
    if (frame->address != NULL)
        plumb_buf_printf(out, ",\"ipAddress\":\"%s\"", frame->address);
    put_attributes(form, frame, out);
    put_data(form, out);
    plumb_buf_text(out, "}}}");
    if (!out->failed)
        out->data[begin] = ' '; /* the comma of the first, whichever that is */
}
