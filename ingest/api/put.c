/* Resource objects, written as the tables say. */
#include "put.h"

void api_put_member(plumb_buf_t *out, const char *name)
{
    char last = out->length > 0 ? out->data[out->length - 1] : '{';
    if (last != '{')
        plumb_buf_put(out, ",", 1);
    plumb_buf_put(out, "\"", 1);
    plumb_buf_text(out, name);
    plumb_buf_put(out, "\":", 2);
}

void api_put_name(plumb_buf_t *out, const api_type_t *type, const char *id)
{
    plumb_buf_text(out, "{\"type\":\"");
    plumb_buf_text(out, type->name);
    plumb_buf_text(out, "\",\"id\":\"");
    plumb_buf_text(out, id);
    plumb_buf_put(out, "\"", 1);
}

void api_put_value(plumb_buf_t *out, const plumb_attr_t *attr, const plumb_slice_t *value)
{
    if (value->data == NULL) {
        plumb_buf_put(out, "null", 4);
        return;
    }
    switch (attr->type) {
    case PLUMB_ATTR_BOOL:
    case PLUMB_ATTR_INT:
    case PLUMB_ATTR_JSON:
    case PLUMB_ATTR_WORDS:
    case PLUMB_ATTR_CIDRS:
        plumb_buf_put(out, value->data, value->length);
        break;
    default:
        plumb_buf_json(out, value->data, value->length);
    }
}

/* ---- attributes ---- */

static bool shows(const api_resource_t *r, size_t bit)
{
    return (r->fields & API_BIT(bit)) != 0;
}

static void put_attributes(plumb_buf_t *out, const api_resource_t *r)
{
    const plumb_slice_t *value = r->lead != NULL ? r->lead->value : r->value;
    plumb_buf_text(out, ",\"attributes\":");
    if (r->lead != NULL && r->fields == API_ALL_FIELDS) {
        plumb_lead_attributes_json(out, r->lead);
        if (!out->failed)
            out->length--; /* the brace: derived ones follow */
    } else {
        plumb_buf_put(out, "{", 1);
        for (size_t i = 0; i < r->type->attr_count; i++) {
            if (!shows(r, i) || (r->type->attrs[i].flags & PLUMB_ATTR_SECRET) != 0)
                continue;
            api_put_member(out, r->type->attrs[i].name);
            api_put_value(out, &r->type->attrs[i], &value[i]);
        }
    }
    for (size_t i = 0; i < r->type->derived_count; i++) {
        if (!shows(r, API_BIT_DERIVED + i))
            continue;
        api_put_member(out, r->type->derived[i].name);
        plumb_buf_put(out, r->derived[i].data, r->derived[i].length);
    }
    plumb_buf_put(out, "}", 1);
}

/* ---- relationships ---- */

static void put_related(plumb_buf_t *out, const api_resource_t *r, const api_relation_t *relation)
{
    if (r->type->path == NULL)
        return;
    api_put_member(out, "links");
    plumb_buf_text(out, "{\"related\":\"");
    plumb_buf_text(out, r->type->path);
    plumb_buf_put(out, "/", 1);
    plumb_buf_text(out, r->id);
    plumb_buf_put(out, "/", 1);
    plumb_buf_text(out, relation->name);
    plumb_buf_put(out, "\"}", 2);
}

static void put_one(plumb_buf_t *out, const api_resource_t *r, const api_relation_t *relation)
{
    const plumb_slice_t *value = r->lead != NULL ? r->lead->value : r->value;
    int attr = api_attr_find(r->type, relation->attr, strlen(relation->attr));
    plumb_buf_text(out, "\"data\":");
    if (value[attr].data == NULL) {
        plumb_buf_text(out, "null");
        return;
    }
    plumb_buf_text(out, "{\"type\":\"");
    plumb_buf_text(out, api_types[relation->kind].name);
    plumb_buf_text(out, "\",\"id\":\"");
    plumb_buf_put(out, value[attr].data, value[attr].length);
    plumb_buf_put(out, "\"}", 2);
}

static void put_many(plumb_buf_t *out, const plumb_slice_t *linkage)
{
    if (linkage == NULL || linkage->data == NULL)
        return;
    plumb_buf_text(out, "\"data\":");
    plumb_buf_put(out, linkage->data, linkage->length);
}

static void put_relationships(plumb_buf_t *out, const api_resource_t *r)
{
    bool any = false;
    for (size_t i = 0; i < r->type->relation_count; i++) {
        const api_relation_t *relation = &r->type->relations[i];
        bool told = relation->attr != NULL || r->type->path != NULL ||
                    (r->linkage != NULL && r->linkage[i].data != NULL);
        if (!shows(r, API_BIT_RELATION + i) || !told)
            continue;
        plumb_buf_text(out, any ? ",\"" : ",\"relationships\":{\"");
        plumb_buf_text(out, relation->name);
        plumb_buf_text(out, "\":{");
        if (relation->attr != NULL)
            put_one(out, r, relation);
        else
            put_many(out, r->linkage == NULL ? NULL : &r->linkage[i]);
        put_related(out, r, relation);
        plumb_buf_put(out, "}", 1);
        any = true;
    }
    plumb_buf_text(out, any ? "}" : "");
}

void api_put_resource(plumb_buf_t *out, const api_resource_t *r)
{
    api_put_name(out, r->type, r->id);
    put_attributes(out, r);
    put_relationships(out, r);
    if (r->type->path != NULL) {
        plumb_buf_text(out, ",\"links\":{\"self\":\"");
        plumb_buf_text(out, r->type->path);
        plumb_buf_put(out, "/", 1);
        plumb_buf_text(out, r->id);
        plumb_buf_put(out, "\"}", 2);
    }
    if (r->cursor != NULL) {
        plumb_buf_text(out, ",\"meta\":{\"page\":{\"cursor\":\"");
        plumb_buf_put(out, r->cursor->data, r->cursor->length);
        plumb_buf_put(out, "\"}}", 3);
    }
    plumb_buf_put(out, "}", 1);
}
