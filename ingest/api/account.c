/* The asker's account, and what tops it up. */
#include "store_account.h"
#include "transact.h"

#include "../handlers.h"
#include "../resource.h"
#include "clock.h"
#include "count.h"
#include "put.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what they are made of ---- */

static const char *const plans[] = {"unlimited", "balance", "none", NULL};

static const plumb_attr_t account_attrs[] = {
    {"name", "name", PLUMB_ATTR_TEXT, 255, PLUMB_ATTR_UPDATE | PLUMB_ATTR_NEEDED, "for people",
     NULL},
    {"plan", "plan", PLUMB_ATTR_WORD, 16, PLUMB_ATTR_UPDATE | PLUMB_ATTR_OPERATE,
     "how its leads are paid for", plans},
    {"leadsLeft", "leads_left", PLUMB_ATTR_INT, INT_MAX, 0, "leads that are paid for in advance",
     NULL},
    {"settings", "settings", PLUMB_ATTR_JSON, 65536, PLUMB_ATTR_UPDATE,
     "what differs from the usual", NULL},
    {"createdAt", "created_at", PLUMB_ATTR_TIME, 24, 0, "when it was made", NULL},
};

static const plumb_attr_t top_up_attrs[] = {
    {"leads", "leads", PLUMB_ATTR_INT, 1000000000, PLUMB_ATTR_CREATE | PLUMB_ATTR_NEEDED,
     "how many are paid for", NULL},
    {"reason", "reason", PLUMB_ATTR_TEXT, 255, PLUMB_ATTR_CREATE, "for people", NULL},
    {"madeBy", "made_by", PLUMB_ATTR_TEXT, 64, 0, "by which token", NULL},
    {"createdAt", "created_at", PLUMB_ATTR_TIME, 24, 0, "when it was made", NULL},
};

/* Rows of top_up_attrs that are given. */
enum { GIVEN_LEADS, GIVEN_REASON };

static const api_type_t account_type = {.kind = API_TYPES,
                                        .name = "accounts",
                                        .path = "/api/v1/account",
                                        .table = "accounts",
                                        .attrs = account_attrs,
                                        .attr_count = PLUMB_COUNT(account_attrs),
                                        .read_scopes = SCOPE_READ | SCOPE_ADMIN,
                                        .write_scopes = SCOPE_ADMIN};
static const api_type_t top_up_type = {.kind = API_TYPES,
                                       .name = "topUps",
                                       .path = "/api/v1/account/top-ups",
                                       .table = "top_ups",
                                       .attrs = top_up_attrs,
                                       .attr_count = PLUMB_COUNT(top_up_attrs),
                                       .read_scopes = SCOPE_READ | SCOPE_ADMIN,
                                       .write_scopes = SCOPE_ADMIN};

/* ---- answers ---- */

/* The text of a column, in memory of `r` or in `room`. */
static plumb_slice_t text_of(const PGresult *r, int column, const plumb_attr_t *attr,
                             char room[PLUMB_TIME_TEXT])
{
    if (plumb_get_null(r, 0, column))
        return (plumb_slice_t){NULL, 0};
    if (attr->type == PLUMB_ATTR_INT)
        snprintf(room, PLUMB_TIME_TEXT, "%" PRId64, plumb_get_int8(r, 0, column));
    else if (attr->type == PLUMB_ATTR_TIME)
        plumb_time_text(plumb_get_time(r, 0, column), room);
    else
        return (plumb_slice_t){plumb_get_text(r, 0, column), plumb_get_length(r, 0, column)};
    return (plumb_slice_t){room, strlen(room)};
}

/* A document of one row, whose columns stand in the order of the type's attributes. */
static int put_document(request_t *request, const api_type_t *type, const plumb_uuid_t *id,
                        const char *path, const PGresult *r, plumb_err_t *err)
{
    plumb_buf_t *out = &request->answer.body;
    char text[PLUMB_UUID_TEXT], room[PLUMB_TIME_TEXT];
    plumb_buf_printf(out, DOCUMENT_HEAD "{\"type\":\"%s\",\"id\":\"%s\",\"attributes\":{",
                     type->name, plumb_uuid_text(id, text));
    for (size_t i = 0; i < type->attr_count; i++) {
        plumb_slice_t value = text_of(r, (int)i, &type->attrs[i], room);
        api_put_member(out, type->attrs[i].name);
        api_put_value(out, &type->attrs[i], &value);
    }
    plumb_buf_printf(out, "},\"links\":{\"self\":\"%s\"}},\"links\":{\"self\":\"%s\"}}", path,
                     path);
    return out->failed ? plumb_err_set(err, PLUMB_E_MEMORY, "write an answer") : 0;
}

static int put_account(change_t *c, plumb_err_t *err)
{
    const plumb_uuid_t *account = &c->request->identity.account;
    PGresult *r = NULL;
    int rc = store_account(c->reader, account, &r, err);
    if (rc == 0)
        rc = put_document(c->request, &account_type, account, account_type.path, r, err);
    PQclear(r);
    return rc;
}

static void top_up_path(char path[96], const plumb_uuid_t *id)
{
    char text[PLUMB_UUID_TEXT];
    snprintf(path, 96, "%s/%s", top_up_type.path, plumb_uuid_text(id, text));
}

static int put_top_up(change_t *c, const plumb_uuid_t *id, plumb_err_t *err)
{
    char path[96];
    PGresult *r = NULL;
    top_up_path(path, id);
    int rc = store_top_up_get(c->reader, &c->request->identity.account, id, &r, err);
    if (rc == 0)
        rc = put_document(c->request, &top_up_type, id, path, r, err);
    PQclear(r);
    return rc;
}

/* ---- the account ---- */

/* What is of the whole account is not for who is bound to one of its projects. */
static int check_whole(const change_t *c, plumb_err_t *err)
{
    if (plumb_uuid_is_nil(&c->request->identity.project))
        return 0;
    return plumb_err_set(err, PLUMB_E_FORBIDDEN, "the token is bound to a project");
}

static int run_get(change_t *c, const void *context, plumb_err_t *err)
{
    (void)context;
    int rc = check_whole(c, err);
    return rc < 0 ? rc : put_account(c, err);
}

static int run_update(change_t *c, const void *context, plumb_err_t *err)
{
    (void)context;
    plumb_slice_t values[PLUMB_COUNT(account_attrs)] = {{NULL, 0}};
    api_input_t in = change_input(c, &account_type, PLUMB_ATTR_UPDATE, values);
    uint32_t data;
    int rc = check_whole(c, err);
    if (rc == 0)
        rc = transact_read(c, &data);
    if (rc == 0) {
        api_input_resource(&in, data, &c->request->identity.account);
        rc = change_problems(c);
    }
    if (rc == 0)
        rc = change_put_given(c, &in, err);
    if (rc == 0)
        rc = store_account_update(c->reader, &c->request->identity.account, &c->columns, err);
    return rc < 0 ? rc : put_account(c, err);
}

/* ---- top-ups ---- */

/* Pay for the oldest unpaid leads as far as `left` reaches; what is left then comes back in it. */
static int pay(change_t *c, int64_t *left, plumb_err_t *err)
{
    request_t *request = c->request;
    const plumb_uuid_t *account = &request->identity.account;
    PGresult *r = NULL;
    plumb_uuid_t *ids = NULL;
    int rc = store_unpaid(c->reader, account, *left, &r, err);
    size_t count = rc == 0 ? (size_t)PQntuples(r) : 0;
    if (count > 0 && (ids = malloc(count * sizeof *ids)) == NULL)
        rc = plumb_err_set(err, PLUMB_E_MEMORY, "pay for %zu leads", count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        ids[i] = plumb_get_uuid(r, (int)i, 0);
    plumb_buf_clear(&c->columns);
    plumb_buf_text(&c->columns, "{\"paid\":true}");
    lead_change_t change = {.columns = &c->columns,
                            .made_by = request->identity.token,
                            .deadline_ms = request->ingest->conf->delivery_deadline};
    if (rc == 0 && count > 0)
        rc = store_change_leads(&request->ingest->changes_sql, c->reader, account, ids, count,
                                &change, err);
    *left -= (int64_t)count;
    free(ids);
    PQclear(r);
    return rc;
}

static int top_up(change_t *c, const top_up_t *what, plumb_err_t *err)
{
    const plumb_uuid_t *account = &c->request->identity.account;
    int64_t left;
    int rc = store_balance_lock(c->reader, account, &left, err);
    if (rc < 0)
        return rc;
    left += what->leads;
    rc = pay(c, &left, err);
    if (rc == 0)
        rc = store_balance_set(c->reader, account, left, err);
    return rc < 0 ? rc : store_top_up(c->reader, account, what, err);
}

static int run_top_up(change_t *c, const void *context, plumb_err_t *err)
{
    (void)context;
    char path[96];
    plumb_slice_t values[PLUMB_COUNT(top_up_attrs)] = {{NULL, 0}};
    api_input_t in = change_input(c, &top_up_type, PLUMB_ATTR_CREATE, values);
    uint32_t data;
    top_up_t what = {.id = plumb_uuid_new(), .made_by = c->request->identity.token};
    int rc = check_whole(c, err);
    if (rc == 0)
        rc = transact_read(c, &data);
    if (rc == 0 && !api_input_resource(&in, data, NULL))
        rc = change_problems(c);
    if (rc == 0 && values[GIVEN_LEADS].data != NULL)
        what.leads = strtoll(values[GIVEN_LEADS].data, NULL, 10);
    what.reason = values[GIVEN_REASON];
    if (rc == 0 && values[GIVEN_LEADS].data != NULL && what.leads == 0)
        change_complain(c, PLUMB_E_INVALID, "leads", "want at least 1");
    if (rc == 0)
        rc = change_problems(c);
    if (rc == 0)
        rc = top_up(c, &what, err);
    if (rc == 0)
        rc = put_top_up(c, &what.id, err);
    top_up_path(path, &what.id);
    if (rc == 0)
        answer_header(c->request, "Location", path);
    return rc;
}

static int run_get_top_up(change_t *c, const void *context, plumb_err_t *err)
{
    (void)context;
    int rc = check_whole(c, err);
    return rc < 0 ? rc : put_top_up(c, &c->request->id, err);
}

void account_get(request_t *request)
{
    transact(request, run_get, NULL, 200);
}

void account_update(request_t *request)
{
    transact(request, run_update, NULL, 200);
}

void account_top_up(request_t *request)
{
    transact(request, run_top_up, NULL, 201);
}

void account_get_top_up(request_t *request)
{
    transact(request, run_get_top_up, NULL, 200);
}
