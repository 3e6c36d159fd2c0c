/* POST, PATCH and DELETE of single resources. */
#include "changed.h"
#include "reading.h"
#include "transact.h"

#include "../handlers.h"

#include <inttypes.h>
#include <stdio.h>

/* The answer to who made or changed it. */
static int put_document(change_t *c, const api_type_t *type, const plumb_uuid_t *id, bool is_new,
                        plumb_err_t *err)
{
    request_t *request = c->request;
    plumb_buf_t *out = &request->answer.body;
    char path[CHANGED_PATH], tag[24];
    int64_t version;
    plumb_buf_text(out, DOCUMENT_HEAD);
    int rc = changed_put(request, c->reader, type, id, out, &version, err);
    changed_path(path, type, id);
    if (c->token[0] != '\0') /* once, and never again */
        plumb_buf_printf(out, ",\"meta\":{\"token\":\"%s\"}", c->token);
    plumb_buf_printf(out, ",\"links\":{\"self\":\"%s\"}}", path);
    if (rc == 0 && version > 0) {
        snprintf(tag, sizeof tag, "\"%" PRId64 "\"", version);
        answer_header(request, "ETag", tag);
    }
    if (rc == 0 && is_new)
        answer_header(request, "Location", path);
    return rc == 0 && out->failed ? plumb_err_set(err, PLUMB_E_MEMORY, "write an answer") : rc;
}

static int run_create(change_t *c, const void *context, plumb_err_t *err)
{
    const api_type_t *type = context;
    plumb_uuid_t id;
    uint32_t data;
    int rc = transact_read(c, &data);
    if (rc == 0)
        rc = change_create(c, type, data, &id, err);
    return rc < 0 ? rc : put_document(c, type, &id, true, err);
}

static int run_update(change_t *c, const void *context, plumb_err_t *err)
{
    const api_type_t *type = context;
    const plumb_uuid_t *id = &c->request->id;
    uint32_t data;
    int rc = transact_read(c, &data);
    if (rc == 0)
        rc = change_update(c, type, data, id, err);
    return rc < 0 ? rc : put_document(c, type, id, false, err);
}

static int run_remove(change_t *c, const void *context, plumb_err_t *err)
{
    return change_remove(c, context, &c->request->id, err);
}

static int run_restore(change_t *c, const void *context, plumb_err_t *err)
{
    int rc = change_lead_restore(c, &c->request->id, err);
    return rc < 0 ? rc : put_document(c, context, &c->request->id, false, err);
}

static int run_release(change_t *c, const void *context, plumb_err_t *err)
{
    int rc = change_lead_release(c, &c->request->id, err);
    return rc < 0 ? rc : put_document(c, context, &c->request->id, false, err);
}

void api_create(request_t *request)
{
    transact(request, run_create, reading_type(request), 201);
}

void api_update(request_t *request)
{
    transact(request, run_update, reading_type(request), 200);
}

void api_remove(request_t *request)
{
    transact(request, run_remove, reading_type(request), 204);
}

void api_restore(request_t *request)
{
    transact(request, run_restore, reading_type(request), 200);
}

void api_release(request_t *request)
{
    transact(request, run_release, reading_type(request), 200);
}
