/* Leads are changed in place: what is personal is opened, changed and sealed anew under the lead's
 * own key, and what it is found by follows. */
#include "change.h"

#include "../datakey.h"
#include "blind.h"
#include "count.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

/* One change under way. */
typedef struct lead_edit {
    change_t *c;
    PGresult *row;      /* as it was; the lead's slices point into it */
    plumb_lead_t *lead; /* as it is going to be */
    plumb_slice_t wrapped, sealed;
    bool normalises; /* its quiz wants normal forms */
    plumb_slice_t given[PLUMB_LEAD_ATTRS];
    api_input_t in;
} lead_edit_t;

static int lock(lead_edit_t *e, const plumb_uuid_t *id, plumb_err_t *err)
{
    request_t *request = e->c->request;
    const identity_t *who = &request->identity;
    change_target_t target = {
        .type = &api_types[API_LEADS], .account = who->account, .id = *id, .project = who->project};
    e->lead = &request->lead;
    int rc =
        store_change_lock_lead(&request->ingest->changes_sql, e->c->reader, &target, &e->row, err);
    if (rc == 0)
        plumb_lead_from_row(e->lead, e->row, 0, 0, &e->wrapped, &e->sealed);
    return rc < 0 ? rc : change_match(e->c, e->lead->version, err);
}

static int lock_live(lead_edit_t *e, const plumb_uuid_t *id, plumb_err_t *err)
{
    int rc = lock(e, id, err);
    if (e->lead != NULL && e->row != NULL && PQntuples(e->row) == 1 &&
        e->lead->value[PLUMB_LEAD_DELETED_AT].data != NULL)
        rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, "there is no such resource");
    return rc;
}

/* ---- what is personal ---- */

static bool is_sealed(size_t row)
{
    return (plumb_lead_attrs[row].flags & PLUMB_ATTR_SEALED) != 0;
}

static bool touches_personal(const lead_edit_t *e)
{
    for (size_t i = 0; i < PLUMB_LEAD_ATTRS; i++)
        if (is_sealed(i) && api_input_has(&e->in, i))
            return true;
    return false;
}

/* Normal forms of what was given, told as problems of this document. */
static void normalise(lead_edit_t *e)
{
    plumb_lead_t only = {.version = 1};
    request_t *request = e->c->request;
    static const plumb_lead_attr_t formed[] = {PLUMB_LEAD_PHONE, PLUMB_LEAD_EMAIL};
    for (size_t i = 0; i < PLUMB_COUNT(formed); i++)
        if (api_input_has(&e->in, formed[i]))
            only.value[formed[i]] = e->given[formed[i]];
    only.value[PLUMB_LEAD_COUNTRY] = e->lead->value[PLUMB_LEAD_COUNTRY];
    if (e->normalises)
        shape_normalise_at(&only, &request->texts, e->c->at, &request->problems);
    else
        shape_bound(&only, &request->problems);
    for (size_t i = 0; i < PLUMB_COUNT(formed); i++)
        if (api_input_has(&e->in, formed[i]))
            e->given[formed[i]] = only.value[formed[i]];
}

static int open_personal(lead_edit_t *e, plumb_key_t *key, plumb_err_t *err)
{
    request_t *request = e->c->request;
    plumb_buf_t *plain = &request->work->message; /* the lead points into it until it is sealed */
    plumb_seal_place_t place = plumb_lead_place_personal(&e->lead->account, &e->lead->id);
    if (e->wrapped.data == NULL)
        return plumb_err_set(err, PLUMB_E_CONFLICT, "the person was erased");
    int rc = data_key_open(key, request->ingest->vault, e->c->reader->db, &e->lead->account,
                           &e->lead->id, &e->wrapped, &request->work->plain, err);
    plumb_buf_clear(plain);
    if (rc == 0 && e->sealed.data != NULL)
        rc = plumb_seal_open(plain, key, &place, e->sealed.data, e->sealed.length, err);
    if (rc == 0 && e->sealed.data != NULL)
        rc = plumb_lead_personal_unpack(e->lead, plain->data, plain->length, err);
    return rc;
}

static int seal_personal(lead_edit_t *e, const plumb_key_t *key, plumb_err_t *err)
{
    request_t *request = e->c->request;
    plumb_buf_t *plain = &request->work->plain;
    plumb_seal_place_t place = plumb_lead_place_personal(&e->lead->account, &e->lead->id);
    plumb_buf_clear(plain);
    plumb_buf_clear(&e->c->sealed);
    int rc = plumb_lead_personal_pack(plain, e->lead, err);
    if (rc == 0)
        rc = plumb_seal(&e->c->sealed, key, &place, plain->data, plain->length, err);
    if (rc == 0)
        change_put_bytes(&e->c->columns, "sealed", e->c->sealed.data, e->c->sealed.length);
    return rc;
}

static void put_term(plumb_buf_t *columns, const char *column, bool has, int64_t term)
{
    if (has)
        change_put_number(columns, column, term);
    else
        plumb_buf_text((change_put_name(columns, column), columns), "null");
}

/* The terms of what is personal as it stands. */
static int blind_of(const lead_edit_t *e, plumb_blind_t *blind, plumb_err_t *err)
{
    const plumb_slice_t *value = e->lead->value;
    plumb_key_t key;
    int rc = plumb_vault_index_key(e->c->request->ingest->vault, e->c->reader->db,
                                   &e->lead->account, &key, err);
    if (rc == 0)
        plumb_blind_lead(blind, &key, &value[PLUMB_LEAD_NAME], &value[PLUMB_LEAD_PHONE],
                         &value[PLUMB_LEAD_EMAIL]);
    sodium_memzero(&key, sizeof key);
    return rc;
}

static bool has_term(const plumb_blind_t *blind, int64_t term)
{
    for (size_t i = 0; i < blind->count; i++)
        if (blind->terms[i] == term)
            return true;
    return false;
}

/* What the lead is found by: its new terms, and of the stored ones those that are not of the
 * person (fields of data), which nothing here would know how to make. */
static int put_terms(lead_edit_t *e, const plumb_blind_t *old, plumb_err_t *err)
{
    plumb_buf_t *columns = &e->c->columns;
    plumb_blind_t blind = {.count = 0};
    PGresult *stored = NULL;
    int rc = blind_of(e, &blind, err);
    if (rc == 0)
        rc = store_change_terms(e->c->reader, &e->lead->account, &e->lead->id, &stored, err);
    for (int i = 0; rc == 0 && i < PQntuples(stored); i++)
        if (!has_term(old, plumb_get_int8(stored, i, 0)))
            plumb_blind_add(&blind, plumb_get_int8(stored, i, 0));
    PQclear(stored);
    if (rc < 0)
        return rc;
    put_term(columns, "phone_term", blind.has_phone, blind.phone);
    put_term(columns, "email_term", blind.has_email, blind.email);
    change_put_name(columns, "terms");
    for (size_t i = 0; i < blind.count; i++)
        plumb_buf_printf(columns, "%s%" PRId64, i == 0 ? "[" : ",", blind.terms[i]);
    plumb_buf_text(columns, blind.count == 0 ? "null" : "]");
    return 0;
}

/* ---- changing ---- */

static void merge(lead_edit_t *e)
{
    for (size_t i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        if (!api_input_has(&e->in, i))
            continue;
        e->lead->value[i] = e->given[i];
        if (!is_sealed(i))
            change_put(&e->c->columns, &plumb_lead_attrs[i], &e->given[i]);
    }
}

static int edit_personal(lead_edit_t *e, plumb_err_t *err)
{
    plumb_key_t key = {0};
    plumb_blind_t old;
    int rc = open_personal(e, &key, err);
    if (rc == 0)
        rc = blind_of(e, &old, err);
    if (rc == 0)
        rc = store_change_normalises(e->c->reader, &e->lead->account,
                                     &e->lead->value[PLUMB_LEAD_QUIZ_ID], &e->normalises, err);
    if (rc == 0) {
        normalise(e);
        rc = change_problems(e->c);
    }
    if (rc == 0) {
        merge(e);
        rc = seal_personal(e, &key, err);
    }
    if (rc == 0)
        rc = put_terms(e, &old, err);
    sodium_memzero(&key, sizeof key);
    return rc;
}

static int edit(lead_edit_t *e, plumb_err_t *err)
{
    if (touches_personal(e))
        return edit_personal(e, err);
    int rc = change_problems(e->c);
    if (rc == 0)
        merge(e);
    return rc;
}

/* Is anything changed that is not told by a name of its own? */
static bool is_update(const lead_edit_t *e)
{
    const uint64_t named = UINT64_C(1) << PLUMB_LEAD_STATUS | UINT64_C(1) << PLUMB_LEAD_PAID |
                           UINT64_C(1) << PLUMB_LEAD_BLOCKED;
    return (e->in.given & ~named) != 0 || e->in.given == 0;
}

static int store(lead_edit_t *e, bool updates, plumb_err_t *err)
{
    change_t *c = e->c;
    plumb_buf_text(&c->columns, c->columns.length == 0 ? "{}" : "}");
    if (c->columns.failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "change a lead");
    lead_change_t change = {.columns = &c->columns,
                            .made_by = c->request->identity.token,
                            .is_update = updates,
                            .deadline_ms = c->request->ingest->conf->delivery_deadline};
    return store_change_leads(&c->request->ingest->changes_sql, c->reader, &e->lead->account,
                              &e->lead->id, 1, &change, err);
}

static void release(lead_edit_t *e)
{
    PQclear(e->row);
    plumb_buf_clear(&e->c->columns);
}

int change_lead_update(change_t *c, uint32_t data, const plumb_uuid_t *id, plumb_err_t *err)
{
    lead_edit_t e = {.c = c};
    e.in = change_input(c, &api_types[API_LEADS], PLUMB_ATTR_UPDATE, e.given);
    plumb_buf_clear(&c->columns);
    int rc = lock_live(&e, id, err);
    if (rc == 0 && !api_input_resource(&e.in, data, id))
        rc = change_problems(c);
    if (rc == 0)
        rc = edit(&e, err);
    if (rc == 0)
        rc = store(&e, is_update(&e), err);
    release(&e);
    return rc;
}

int change_lead_remove(change_t *c, const plumb_uuid_t *id, plumb_err_t *err)
{
    lead_edit_t e = {.c = c};
    plumb_buf_clear(&c->columns);
    int rc = lock_live(&e, id, err);
    change_put_text(&c->columns, "deleted_at", "now");
    if (rc == 0)
        rc = store(&e, false, err);
    release(&e);
    return rc;
}

int change_lead_restore(change_t *c, const plumb_uuid_t *id, plumb_err_t *err)
{
    lead_edit_t e = {.c = c};
    plumb_buf_clear(&c->columns);
    int rc = lock(&e, id, err);
    plumb_buf_text((change_put_name(&c->columns, "deleted_at"), &c->columns), "null");
    if (rc == 0 && e.lead->value[PLUMB_LEAD_DELETED_AT].data != NULL)
        rc = store(&e, false, err);
    release(&e);
    return rc;
}

int change_lead_release(change_t *c, const plumb_uuid_t *id, plumb_err_t *err)
{
    lead_edit_t e = {.c = c};
    plumb_buf_clear(&c->columns);
    int rc = lock_live(&e, id, err);
    if (rc == 0 && e.lead->value[PLUMB_LEAD_BLOCKED].data[0] == 't')
        rc = plumb_err_set(err, PLUMB_E_CONFLICT, "it is blocked: set blocked to false first");
    change_put_text(&c->columns, "released_at", "now");
    if (rc == 0)
        rc = store(&e, false, err);
    release(&e);
    return rc;
}
