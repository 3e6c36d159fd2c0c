/* Rows of any type: read, checked, written. */
#include "change.h"

#include "../token.h"
#include "count.h"
#include "put.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

void change_fini(change_t *change)
{
    plumb_buf_wipe(&change->columns);
    plumb_buf_wipe(&change->sealed);
    sodium_memzero(change->token, sizeof change->token);
}

void change_complain(const change_t *c, plumb_code_t code, const char *name, const char *detail)
{
    values_complain(&c->request->problems, c->at, code, name, detail);
}

int change_problems(const change_t *c)
{
    return c->request->problems.count == 0 ? 0 : -(int)c->request->problems.first;
}

/* ---- versions ---- */

int change_match(const change_t *c, int64_t version, plumb_err_t *err)
{
    char etag[32];
    if (c->if_match == NULL || strcmp(c->if_match, "*") == 0)
        return 0;
    size_t length = (size_t)snprintf(etag, sizeof etag, "\"%" PRId64 "\"", version);
    for (const char *at = c->if_match; (at = strstr(at, etag)) != NULL; at += length)
        if (at == c->if_match || at[-1] != '/') /* W/"7" never matches strongly */
            return 0;
    return plumb_err_set(err, PLUMB_E_STALE, "it was changed since: its ETag is %s now", etag);
}

/* ---- columns ---- */

void change_put_name(plumb_buf_t *columns, const char *column)
{
    plumb_buf_text(columns, columns->length == 0 ? "{\"" : ",\"");
    plumb_buf_text(columns, column);
    plumb_buf_text(columns, "\":");
}

void change_put(plumb_buf_t *columns, const plumb_attr_t *attr, const plumb_slice_t *value)
{
    change_put_name(columns, attr->column);
    api_put_value(columns, attr, value);
}

void change_put_text(plumb_buf_t *columns, const char *column, const char *text)
{
    change_put_name(columns, column);
    plumb_buf_json_text(columns, text);
}

void change_put_bytes(plumb_buf_t *columns, const char *column, const void *data, size_t length)
{
    change_put_name(columns, column);
    plumb_buf_text(columns, "\"\\\\x");
    for (size_t i = 0; i < length; i++) {
        static const char digits[] = "0123456789abcdef";
        uint8_t byte = ((const uint8_t *)data)[i];
        const char pair[] = {digits[byte >> 4], digits[byte & 15]};
        plumb_buf_put(columns, pair, sizeof pair);
    }
    plumb_buf_text(columns, "\"");
}

void change_put_number(plumb_buf_t *columns, const char *column, int64_t number)
{
    change_put_name(columns, column);
    plumb_buf_printf(columns, "%" PRId64, number);
}

/* What a column holds when the document does not say. */
static void put_default(plumb_buf_t *columns, const plumb_attr_t *attr)
{
    if (strcmp(attr->column, "active") == 0)
        plumb_buf_text((change_put_name(columns, attr->column), columns), "true");
    else if (strcmp(attr->column, "settings") == 0)
        plumb_buf_text((change_put_name(columns, attr->column), columns), "{}");
}

static void put_given(change_t *c, const api_input_t *in)
{
    for (size_t i = 0; i < in->type->attr_count; i++) {
        const plumb_attr_t *attr = &in->type->attrs[i];
        if ((attr->flags & PLUMB_ATTR_SEALED) != 0)
            continue;
        bool is_settings = strcmp(attr->column, "settings") == 0;
        if (api_input_has(in, i) && (in->value[i].data != NULL || !is_settings))
            change_put(&c->columns, attr, &in->value[i]);
        else if (api_input_has(in, i) || in->verb == PLUMB_ATTR_CREATE)
            put_default(&c->columns, attr);
    }
}

/* ---- what a document names ---- */

static change_target_t target_of(const change_t *c, const api_type_t *type, const plumb_uuid_t *id)
{
    const identity_t *who = &c->request->identity;
    return (change_target_t){
        .type = type, .account = who->account, .id = *id, .project = who->project};
}

/* The resource that a relation names must be there, and be one that who asks may see.  One sentence
 * for all that can be wrong: it never tells that another account's id exists. */
static int check_owner(change_t *c, const api_input_t *in, const api_relation_t *relation,
                       plumb_err_t *err)
{
    plumb_uuid_t id;
    bool there = false;
    int row = relation->attr == NULL
                  ? -1
                  : api_attr_find(in->type, relation->attr, strlen(relation->attr));
    if (row < 0 || in->value[row].data == NULL || !api_input_has(in, (size_t)row) ||
        !plumb_uuid_parse(&id, in->value[row].data, in->value[row].length))
        return 0;
    change_target_t target = target_of(c, &api_types[relation->kind], &id);
    int rc = store_change_exists(&c->request->ingest->changes_sql, c->reader, &target, &there, err);
    if (rc == 0 && !there)
        change_complain(c, PLUMB_E_INVALID, relation->attr, "there is none such");
    return rc;
}

static int check_owners(change_t *c, const api_input_t *in, plumb_err_t *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < in->type->relation_count; i++)
        rc = check_owner(c, in, &in->type->relations[i], err);
    return rc;
}

/* Who is bound to a project may make only what belongs to it, and change nothing that belongs to
 * all of them. */
static int check_bound(change_t *c, const api_input_t *in, plumb_err_t *err)
{
    const plumb_uuid_t *project = &c->request->identity.project;
    plumb_uuid_t id;
    if (plumb_uuid_is_nil(project))
        return 0;
    int row = in->type->project == NULL ? -1 : api_attr_find(in->type, "projectId", 9);
    if (row < 0)
        return plumb_err_set(err, PLUMB_E_FORBIDDEN, "the token is bound to a project");
    if (in->value[row].data == NULL) {
        change_complain(c, PLUMB_E_INVALID, "projectId", "the token is bound to a project");
    } else if (plumb_uuid_parse(&id, in->value[row].data, in->value[row].length) &&
               plumb_uuid_compare(&id, project) != 0) {
        change_complain(c, PLUMB_E_INVALID, "projectId", "there is none such");
    }
    return 0;
}

/* ---- verbs ---- */

api_input_t change_input(const change_t *c, const api_type_t *type, unsigned verb,
                         plumb_slice_t *values)
{
    return (api_input_t){.type = type,
                         .verb = verb,
                         .scopes = c->request->identity.scopes,
                         .json = &c->request->work->json,
                         .texts = &c->request->texts,
                         .problems = &c->request->problems,
                         .at = c->at,
                         .value = values,
                         .lids = c->lids,
                         .lid_count = c->lid_count};
}

static int close_columns(change_t *c, plumb_err_t *err)
{
    plumb_buf_text(&c->columns, c->columns.length == 0 ? "{}" : "}");
    return c->columns.failed ? plumb_err_set(err, PLUMB_E_MEMORY, "write a row") : 0;
}

int change_put_given(change_t *c, const api_input_t *in, plumb_err_t *err)
{
    plumb_buf_clear(&c->columns);
    put_given(c, in);
    return close_columns(c, err);
}

int change_create(change_t *c, const api_type_t *type, uint32_t data, plumb_uuid_t *id,
                  plumb_err_t *err)
{
    plumb_slice_t values[API_ATTRS_MAX] = {{NULL, 0}};
    api_input_t in = change_input(c, type, PLUMB_ATTR_CREATE, values);
    int64_t now_ms = committers_now_ms(c->request->ingest->committers);
    *id = now_ms == 0 ? plumb_uuid_new() : plumb_uuid_at(now_ms);
    plumb_buf_clear(&c->columns);
    if (!api_input_resource(&in, data, NULL))
        return change_problems(c);
    int rc = check_bound(c, &in, err);
    if (rc == 0)
        rc = check_owners(c, &in, err);
    if (rc == 0)
        put_given(c, &in);
    if (rc == 0)
        rc = change_rules(c, &in, id, err);
    if (rc == 0)
        rc = change_problems(c);
    if (rc == 0)
        rc = close_columns(c, err);
    change_target_t target = target_of(c, type, id);
    return rc < 0 ? rc
                  : store_change_insert(&c->request->ingest->changes_sql, c->reader, &target,
                                        &c->columns, err);
}

/* Lock what is meant, and see that it is the version that was read. */
static int lock(change_t *c, const change_target_t *target, plumb_err_t *err)
{
    int64_t version;
    if (target->type->project == NULL && !plumb_uuid_is_nil(&target->project))
        return plumb_err_set(err, PLUMB_E_FORBIDDEN, "the token is bound to a project");
    int rc = store_change_lock(&c->request->ingest->changes_sql, c->reader, target, &version, err);
    return rc < 0 ? rc : change_match(c, version, err);
}

int change_update(change_t *c, const api_type_t *type, uint32_t data, const plumb_uuid_t *id,
                  plumb_err_t *err)
{
    plumb_slice_t values[API_ATTRS_MAX] = {{NULL, 0}};
    if (type->kind == API_LEADS)
        return change_lead_update(c, data, id, err);
    change_target_t target = target_of(c, type, id);
    api_input_t in = change_input(c, type, PLUMB_ATTR_UPDATE, values);
    plumb_buf_clear(&c->columns);
    int rc = lock(c, &target, err);
    if (rc == 0 && !api_input_resource(&in, data, id))
        rc = change_problems(c);
    if (rc == 0)
        rc = check_owners(c, &in, err);
    if (rc == 0)
        put_given(c, &in);
    if (rc == 0)
        rc = change_rules(c, &in, id, err);
    if (rc == 0)
        rc = change_problems(c);
    if (rc == 0)
        rc = close_columns(c, err);
    return rc < 0 ? rc
                  : store_change_update(&c->request->ingest->changes_sql, c->reader, &target,
                                        &c->columns, err);
}

int change_remove(change_t *c, const api_type_t *type, const plumb_uuid_t *id, plumb_err_t *err)
{
    if (type->kind == API_LEADS)
        return change_lead_remove(c, id, err);
    change_target_t target = target_of(c, type, id);
    int rc = lock(c, &target, err);
    return rc < 0 ? rc
                  : store_change_remove(&c->request->ingest->changes_sql, c->reader, &target, err);
}
