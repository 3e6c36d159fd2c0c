/* The document around the attributes, and what may be given of them. */
#include "input.h"

#include "lead.h"
#include "token.h"

#include <stdio.h>
#include <string.h>

bool api_input_has(const api_input_t *in, size_t row)
{
    return (in->given >> row & 1) != 0;
}

static bool refuse(const api_input_t *in, plumb_code_t code, const char *member, const char *detail)
{
    char pointer[POINTER_MAX];
    snprintf(pointer, sizeof pointer, "%s%s", in->at, member);
    problems_add(in->problems, code, SOURCE_POINTER, pointer, detail);
    return false;
}

bool api_lid_find(const api_lid_t *lids, size_t count, const api_type_t *type,
                  const plumb_json_t *json, uint32_t lid, plumb_uuid_t *id)
{
    char name[PLUMB_JSON_KEY_MAX + 1];
    if (plumb_json_string(json, lid, name, sizeof name) < 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (lids[i].type != type || !plumb_json_equal(json, lids[i].node, name))
            continue;
        *id = lids[i].id;
        return true;
    }
    return false;
}

/* ---- attributes ---- */

/* A lead's attributes are looked for with each lead that comes in, so they have a faster way. */
static int find_row(const api_input_t *in, const char *name, size_t length)
{
    if (in->type->kind == API_LEADS)
        return plumb_lead_attr_find(name, length);
    return api_attr_find(in->type, name, length);
}

/* May who asks give this attribute now? */
static bool check_flags(const api_input_t *in, const plumb_attr_t *attr)
{
    unsigned want = in->verb == PLUMB_ATTR_CREATE ? ~0U : in->type->write_scopes;
    if ((attr->flags & in->verb) == 0) {
        values_complain(in->problems, in->at, PLUMB_E_READ_ONLY, attr->name, "may not be given");
        return false;
    }
    if ((attr->flags & PLUMB_ATTR_OPERATE) != 0)
        want = SCOPE_OPERATE | SCOPE_ADMIN;
    if ((in->scopes & want) == 0)
        values_complain(in->problems, in->at, PLUMB_E_FORBIDDEN, attr->name,
                        "the token's scopes do not allow to change this");
    return (in->scopes & want) != 0;
}

/* Has every value of a column that takes no NULL? */
static void check_null(const api_input_t *in, const plumb_attr_t *attr, uint32_t node)
{
    bool needs = (attr->flags & PLUMB_ATTR_NEEDED) != 0 || attr->type == PLUMB_ATTR_BOOL ||
                 attr->type == PLUMB_ATTR_WORD;
    if (in->verb == PLUMB_ATTR_UPDATE && needs && in->json->nodes[node].type == PLUMB_JSON_NULL)
        values_complain(in->problems, in->at, PLUMB_E_INVALID, attr->name, "may not be null");
}

static void take_attribute(api_input_t *in, const values_reading_t *r, uint32_t key)
{
    char name[PLUMB_JSON_KEY_MAX + 1] = "";
    const plumb_json_node_t *node = &in->json->nodes[key];
    int row;
    if (node->escaped)
        row = find_row(in, name, (size_t)plumb_json_string(in->json, key, name, sizeof name));
    else
        row = find_row(in, in->json->text + node->start + 1, node->end - node->start - 2);
    if (row < 0) {
        plumb_json_string(in->json, key, name, sizeof name); /* fits: keys are bounded */
        values_complain(in->problems, in->at, PLUMB_E_UNKNOWN_ATTRIBUTE, name,
                        "there is no such attribute");
        return;
    }
    const plumb_attr_t *attr = &in->type->attrs[row];
    if (!check_flags(in, attr))
        return;
    in->given |= UINT64_C(1) << row;
    values_read(r, attr, &in->value[row], key + 1);
    check_null(in, attr, key + 1);
}

/* ---- relations ---- */

/* The id that resource linkage names.  False: it names none of that type. */
static bool read_linkage(const api_input_t *in, const api_type_t *type, uint32_t linkage,
                         plumb_uuid_t *id)
{
    char text[PLUMB_UUID_TEXT];
    uint32_t name = plumb_json_member(in->json, linkage, "type");
    uint32_t node = plumb_json_member(in->json, linkage, "id");
    uint32_t lid = plumb_json_member(in->json, linkage, "lid");
    if (name == 0 || !plumb_json_equal(in->json, name, type->name))
        return false;
    if (node == 0)
        return lid != 0 && api_lid_find(in->lids, in->lid_count, type, in->json, lid, id);
    ptrdiff_t length = plumb_json_string(in->json, node, text, sizeof text);
    return length > 0 && plumb_uuid_parse(id, text, (size_t)length);
}

/* A relation to one stands for its attribute, unless that is given itself. */
static void take_relation(api_input_t *in, const api_relation_t *relation, uint32_t node)
{
    char text[PLUMB_UUID_TEXT], member[64];
    plumb_uuid_t id;
    uint32_t linkage = plumb_json_member(in->json, node, "data");
    int row = relation->attr == NULL ? -1 : find_row(in, relation->attr, strlen(relation->attr));
    if (row < 0 || linkage == 0 || api_input_has(in, (size_t)row) ||
        !check_flags(in, &in->type->attrs[row]))
        return;
    in->given |= UINT64_C(1) << row;
    if (in->json->nodes[linkage].type == PLUMB_JSON_NULL)
        return;
    if (read_linkage(in, &api_types[relation->kind], linkage, &id)) {
        in->value[row] = values_keep(in->texts, plumb_uuid_text(&id, text), PLUMB_UUID_TEXT - 1);
        return;
    }
    snprintf(member, sizeof member, "/relationships/%s/data", relation->name);
    refuse(in, PLUMB_E_INVALID, member, "there is none such");
}

static void take_relations(api_input_t *in, uint32_t data)
{
    uint32_t relations = plumb_json_member(in->json, data, "relationships");
    for (size_t i = 0; relations != 0 && i < in->type->relation_count; i++) {
        uint32_t node = plumb_json_member(in->json, relations, in->type->relations[i].name);
        if (node != 0)
            take_relation(in, &in->type->relations[i], node);
    }
}

/* ---- all of them ---- */

/* Needed and neither given nor complained of. */
static void check_needed(const api_input_t *in, uint32_t attributes)
{
    for (size_t i = 0; i < in->type->attr_count; i++) {
        const plumb_attr_t *attr = &in->type->attrs[i];
        if ((attr->flags & PLUMB_ATTR_NEEDED) == 0 || in->value[i].data != NULL)
            continue;
        uint32_t given = attributes == 0 ? 0 : plumb_json_member(in->json, attributes, attr->name);
        if (given != 0 && in->json->nodes[given].type != PLUMB_JSON_NULL)
            continue;
        char detail[64];
        snprintf(detail, sizeof detail, "%s is needed", attr->name);
        refuse(in, PLUMB_E_REQUIRED, attributes != 0 ? "/attributes" : "", detail);
    }
}

static void take_attributes(api_input_t *in, uint32_t data)
{
    const plumb_json_node_t *nodes = in->json->nodes;
    values_reading_t r = {in->json, in->texts, in->problems, in->at};
    uint32_t attributes = plumb_json_member(in->json, data, "attributes");
    if (attributes != 0 && nodes[attributes].type != PLUMB_JSON_OBJECT) {
        refuse(in, PLUMB_E_BAD_DOCUMENT, "/attributes", "want an object");
        return;
    }
    for (uint32_t at = attributes + 1; attributes != 0 && at < nodes[attributes].next;
         at = nodes[at + 1].next)
        take_attribute(in, &r, at);
    take_relations(in, data);
    if (in->verb == PLUMB_ATTR_CREATE)
        check_needed(in, attributes);
}

/* ---- the document around them ---- */

static bool check_type(const api_input_t *in, uint32_t data)
{
    char detail[64];
    uint32_t type = plumb_json_member(in->json, data, "type");
    if (type == 0)
        return refuse(in, PLUMB_E_BAD_DOCUMENT, "", "want a member \"type\"");
    if (in->json->nodes[type].type != PLUMB_JSON_STRING)
        return refuse(in, PLUMB_E_BAD_DOCUMENT, "/type", "want a string");
    if (plumb_json_equal(in->json, type, in->type->name))
        return true;
    snprintf(detail, sizeof detail, "want \"%s\"", in->type->name);
    return refuse(in, PLUMB_E_TYPE_CONFLICT, "/type", detail);
}

static bool check_id(const api_input_t *in, uint32_t data, const plumb_uuid_t *id)
{
    char text[PLUMB_UUID_TEXT];
    plumb_uuid_t given;
    uint32_t node = plumb_json_member(in->json, data, "id");
    if (in->verb == PLUMB_ATTR_CREATE)
        return node == 0 || refuse(in, PLUMB_E_CLIENT_ID, "/id", "ids are given by the server");
    if (node == 0 && in->lids != NULL) /* then its lid or "ref" told which one is meant */
        return true;
    if (node == 0)
        return refuse(in, PLUMB_E_BAD_DOCUMENT, "", "want a member \"id\"");
    if (in->json->nodes[node].type != PLUMB_JSON_STRING)
        return refuse(in, PLUMB_E_BAD_DOCUMENT, "/id", "want a string");
    ptrdiff_t length = plumb_json_string(in->json, node, text, sizeof text);
    if (length > 0 && plumb_uuid_parse(&given, text, (size_t)length) &&
        plumb_uuid_compare(&given, id) == 0)
        return true;
    return refuse(in, PLUMB_E_ID_CONFLICT, "/id", "not the id of the resource that is changed");
}

bool api_input_document(const api_input_t *in, const plumb_buf_t *body, uint32_t *data)
{
    plumb_err_t err = {0};
    int rc = values_room(in->texts, body->length)
                 ? plumb_json_read(in->json, body->data, body->length, &err)
                 : plumb_err_set(&err, PLUMB_E_MEMORY, "read a document");
    if (rc < 0) {
        problems_add(in->problems, err.code, SOURCE_NONE, NULL, err.text);
        return false;
    }
    const plumb_json_node_t *nodes = in->json->nodes;
    *data = 0;
    if (nodes[0].type != PLUMB_JSON_OBJECT)
        problems_add(in->problems, PLUMB_E_BAD_DOCUMENT, SOURCE_POINTER, "", "want an object");
    else if ((*data = plumb_json_member(in->json, 0, "data")) == 0)
        problems_add(in->problems, PLUMB_E_BAD_DOCUMENT, SOURCE_POINTER, "",
                     "want a member \"data\"");
    else if (nodes[*data].type != PLUMB_JSON_OBJECT)
        return refuse(in, PLUMB_E_BAD_DOCUMENT, "", "want one resource object");
    return *data != 0;
}

bool api_input_resource(api_input_t *in, uint32_t data, const plumb_uuid_t *id)
{
    if (!check_type(in, data) || !check_id(in, data, id))
        return false;
    take_attributes(in, data);
    return in->problems->count == 0 || in->problems->first != PLUMB_E_BAD_DOCUMENT;
}
