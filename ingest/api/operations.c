/* POST /api/v1/operations: the atomic operations extension. */
#include "changed.h"
#include "transact.h"

#include "../handlers.h"
#include "../negotiate.h"
#include "count.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define OPERATIONS_MAX 100
#define AT_MAX 64

/* One request's operations under way. */
typedef struct operations {
    change_t *change;
    unsigned number; /* of the operation that is run */
    char at[AT_MAX]; /* "/atomic:operations/3" */
    char data_at[AT_MAX + 8];
    api_lid_t lids[OPERATIONS_MAX]; /* change->lid_count of them */
} operations_t;

/* What an operation is about. */
typedef struct operation {
    const api_type_t *type;
    plumb_uuid_t id;
    uint32_t data; /* its resource object's node; 0: none */
} operation_t;

static int refuse(const operations_t *o, plumb_code_t code, const char *member, const char *detail)
{
    char pointer[AT_MAX + 32];
    problems_t *problems = &o->change->request->problems;
    snprintf(pointer, sizeof pointer, "%s%s", o->at, member);
    problems_add(problems, code, SOURCE_POINTER, pointer, detail);
    return -(int)problems->first;
}

/* ---- what is meant ---- */

static const api_type_t *find_type(const plumb_json_t *json, uint32_t object)
{
    char name[32];
    uint32_t node = plumb_json_member(json, object, "type");
    ptrdiff_t length = node == 0 ? -1 : plumb_json_string(json, node, name, sizeof name);
    const api_type_t *type = length < 0 ? NULL : api_type_find(name, (size_t)length);
    return type == NULL || type->path == NULL || type->write_scopes == 0 ? NULL : type;
}

static int read_type(const operations_t *o, operation_t *op, uint32_t object, const char *member)
{
    const request_t *request = o->change->request;
    unsigned scopes;
    op->type = find_type(&request->work->json, object);
    if (op->type == NULL)
        return refuse(o, PLUMB_E_BAD_DOCUMENT, member, "want the type of what may be changed");
    scopes = op->type->write_scopes | (op->type->kind == API_LEADS ? SCOPE_OPERATE : 0U);
    if ((request->identity.scopes & scopes) == 0)
        return refuse(o, PLUMB_E_FORBIDDEN, "", "the token's scopes do not allow this");
    return 0;
}

static int read_id(const operations_t *o, operation_t *op, uint32_t object, const char *member)
{
    const plumb_json_t *json = &o->change->request->work->json;
    char text[PLUMB_UUID_TEXT];
    uint32_t id = plumb_json_member(json, object, "id");
    uint32_t lid = plumb_json_member(json, object, "lid");
    if (id == 0 && lid == 0)
        return refuse(o, PLUMB_E_BAD_DOCUMENT, member, "want a member \"id\" or \"lid\"");
    if (id == 0)
        return api_lid_find(o->lids, o->change->lid_count, op->type, json, lid, &op->id)
                   ? 0
                   : refuse(o, PLUMB_E_BAD_DOCUMENT, member,
                            "nothing of that lid was added before");
    ptrdiff_t length = plumb_json_string(json, id, text, sizeof text);
    if (length > 0 && plumb_uuid_parse(&op->id, text, (size_t)length))
        return 0;
    return refuse(o, PLUMB_E_NOT_FOUND, member, "there is no such resource");
}

/* The object that names what is changed: "ref", or the resource object itself. */
static int read_target(const operations_t *o, operation_t *op, uint32_t ref)
{
    const plumb_json_t *json = &o->change->request->work->json;
    uint32_t object = ref != 0 ? ref : op->data;
    const char *member = ref != 0 ? "/ref" : "/data";
    if (object == 0 || json->nodes[object].type != PLUMB_JSON_OBJECT)
        return refuse(o, PLUMB_E_BAD_DOCUMENT, object == 0 ? "" : member,
                      "want a member \"ref\" that names a resource");
    if (plumb_json_member(json, object, "relationship") != 0)
        return refuse(o, PLUMB_E_BAD_DOCUMENT, member, "relationships are changed as attributes");
    int rc = read_type(o, op, object, member);
    return rc < 0 ? rc : read_id(o, op, object, member);
}

/* ---- the verbs ---- */

static int put_result(operations_t *o, const operation_t *op, plumb_err_t *err)
{
    change_t *c = o->change;
    plumb_buf_t *out = &c->request->answer.body;
    int64_t version;
    plumb_buf_text(out, "{\"data\":");
    int rc = changed_put(c->request, c->reader, op->type, &op->id, out, &version, err);
    if (c->token[0] != '\0')
        plumb_buf_printf(out, ",\"meta\":{\"token\":\"%s\"}", c->token);
    sodium_memzero(c->token, sizeof c->token);
    plumb_buf_text(out, "}");
    return rc;
}

static int run_add(operations_t *o, operation_t *op, plumb_err_t *err)
{
    const plumb_json_t *json = &o->change->request->work->json;
    if (op->data == 0)
        return refuse(o, PLUMB_E_BAD_DOCUMENT, "", "want a member \"data\"");
    int rc = read_type(o, op, op->data, "/data");
    if (rc == 0 && op->type->kind == API_LEADS)
        rc = refuse(o, PLUMB_E_FORBIDDEN, "", "leads are added by POST /api/v1/leads");
    if (rc == 0)
        rc = change_create(o->change, op->type, op->data, &op->id, err);
    if (rc < 0)
        return rc;
    uint32_t lid = plumb_json_member(json, op->data, "lid");
    if (lid != 0)
        o->lids[o->change->lid_count++] = (api_lid_t){op->type, lid, op->id};
    return put_result(o, op, err);
}

static int run_update(operations_t *o, operation_t *op, uint32_t ref, plumb_err_t *err)
{
    if (op->data == 0)
        return refuse(o, PLUMB_E_BAD_DOCUMENT, "", "want a member \"data\"");
    int rc = read_target(o, op, ref);
    if (rc == 0)
        rc = change_update(o->change, op->type, op->data, &op->id, err);
    return rc < 0 ? rc : put_result(o, op, err);
}

static int run_remove(operations_t *o, operation_t *op, uint32_t ref, plumb_err_t *err)
{
    op->data = 0;
    int rc = read_target(o, op, ref);
    if (rc == 0)
        rc = change_remove(o->change, op->type, &op->id, err);
    if (rc == 0)
        plumb_buf_text(&o->change->request->answer.body, "{}");
    return rc;
}

static int run_one(operations_t *o, uint32_t node, plumb_err_t *err)
{
    const plumb_json_t *json = &o->change->request->work->json;
    if (json->nodes[node].type != PLUMB_JSON_OBJECT)
        return refuse(o, PLUMB_E_BAD_DOCUMENT, "", "want an object");
    uint32_t verb = plumb_json_member(json, node, "op");
    uint32_t ref = plumb_json_member(json, node, "ref");
    operation_t op = {.data = plumb_json_member(json, node, "data")};
    if (plumb_json_member(json, node, "href") != 0)
        return refuse(o, PLUMB_E_BAD_DOCUMENT, "/href", "want \"ref\" instead");
    if (op.data != 0 && json->nodes[op.data].type != PLUMB_JSON_OBJECT)
        return refuse(o, PLUMB_E_BAD_DOCUMENT, "/data", "want one resource object");
    if (verb != 0 && plumb_json_equal(json, verb, "add"))
        return run_add(o, &op, err);
    if (verb != 0 && plumb_json_equal(json, verb, "update"))
        return run_update(o, &op, ref, err);
    if (verb != 0 && plumb_json_equal(json, verb, "remove"))
        return run_remove(o, &op, ref, err);
    return refuse(o, PLUMB_E_BAD_DOCUMENT, verb != 0 ? "/op" : "", "want add, update or remove");
}

/* ---- all of them ---- */

/* What went wrong becomes a problem of its operation, if it is the request's. */
static int place(operations_t *o, int rc, const plumb_err_t *err)
{
    if (rc == 0 || o->change->request->problems.count > 0 || plumb_code_http(err->code) >= 500)
        return rc;
    return refuse(o, err->code, "", err->text);
}

static int read_list(change_t *c, uint32_t *list)
{
    request_t *request = c->request;
    plumb_json_t *json = &request->work->json;
    plumb_err_t err = {0};
    if (plumb_json_read(json, request->body.data, request->body.length, &err) < 0) {
        problems_add(&request->problems, err.code, SOURCE_NONE, NULL, err.text);
        return -(int)err.code;
    }
    *list = plumb_json_member(json, 0, "atomic:operations");
    const char *detail = NULL;
    if (*list == 0)
        detail = "want a member \"atomic:operations\"";
    else if (json->nodes[*list].type != PLUMB_JSON_ARRAY || json->nodes[*list].count == 0 ||
             json->nodes[*list].count > OPERATIONS_MAX)
        detail = "want an array of 1 to 100 operations";
    if (detail == NULL)
        return 0;
    problems_add(&request->problems, PLUMB_E_BAD_DOCUMENT, SOURCE_POINTER,
                 *list == 0 ? "" : "/atomic:operations", detail);
    return -PLUMB_E_BAD_DOCUMENT;
}

static int run_all(operations_t *o, uint32_t list, plumb_err_t *err)
{
    request_t *request = o->change->request;
    plumb_buf_t *out = &request->answer.body;
    int rc = 0;
    for (uint32_t at = list + 1; rc == 0 && at < request->work->json.nodes[list].next;
         at = request->work->json.nodes[at].next, o->number++) {
        snprintf(o->at, sizeof o->at, "/atomic:operations/%u", o->number);
        snprintf(o->data_at, sizeof o->data_at, "%s/data", o->at);
        if (!values_room(&request->texts, request->body.length))
            return plumb_err_set(err, PLUMB_E_MEMORY, "read an operation");
        plumb_buf_text(out, o->number > 0 ? "," : "");
        rc = place(o, run_one(o, at, err), err);
    }
    return rc;
}

static int run(change_t *c, const void *context, plumb_err_t *err)
{
    (void)context;
    uint32_t list = 0;
    operations_t o = {.change = c};
    plumb_buf_t *out = &c->request->answer.body;
    int rc = read_list(c, &list);
    if (rc < 0)
        return rc;
    c->at = o.data_at;
    c->if_match = NULL; /* there is more than one resource to match */
    c->lids = o.lids;
    c->lid_count = 0;
    plumb_buf_text(out, "{\"jsonapi\":{\"version\":\"1.1\",\"ext\":[\"" ATOMIC_EXT
                        "\"]},\"atomic:results\":[");
    rc = run_all(&o, list, err);
    plumb_buf_text(out, "]}");
    c->at = "/data";
    c->lids = NULL;
    return rc == 0 && out->failed ? plumb_err_set(err, PLUMB_E_MEMORY, "write results") : rc;
}

void api_operations(request_t *request)
{
    transact(request, run, NULL, 200);
    if (request->answer.status == 200)
        request->answer.type = ATOMIC_TYPE;
}
