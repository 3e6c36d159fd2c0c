/* A row of credentials, opened. */
#include "credential.h"

#include "credential_limits.h"
#include "json_pack.h"
#include "lead.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

const char plumb_credential_select_list[] =
    "c.account_id, c.id, c.channel, c.version, c.enabled, c.accepts_tests, "
    "c.suspended_at IS NOT NULL, c.sealed, (c.settings->'mapping')::text, h.limits::text, "
    "h.fields::text";

enum {
    ACCOUNT,
    ID,
    CHANNEL,
    VERSION,
    ENABLED,
    ACCEPTS_TESTS,
    SUSPENDED,
    SEALED,
    MAPPING,
    LIMITS,
    FIELDS,
    COLUMNS
};
_Static_assert(COLUMNS == PLUMB_CREDENTIAL_COLUMNS, "credential.h counts the columns");

static plumb_slice_t slice_of(const PGresult *r, int row, int column)
{
    if (plumb_get_null(r, row, column))
        return (plumb_slice_t){NULL, 0};
    return (plumb_slice_t){plumb_get_text(r, row, column), plumb_get_length(r, row, column)};
}

/* ---- opening ---- */

static int read_columns(plumb_credential_t *c, const PGresult *r, int row, int column,
                        plumb_err_t *err)
{
    c->account = plumb_get_uuid(r, row, column + ACCOUNT);
    c->id = plumb_get_uuid(r, row, column + ID);
    c->version = plumb_get_int4(r, row, column + VERSION);
    c->enabled = plumb_get_bool(r, row, column + ENABLED);
    c->accepts_tests = plumb_get_bool(r, row, column + ACCEPTS_TESTS);
    c->suspended = plumb_get_bool(r, row, column + SUSPENDED);
    plumb_slice_t channel = slice_of(r, row, column + CHANNEL);
    if (channel.length == 0 || channel.length >= sizeof c->channel)
        return plumb_err_set(err, PLUMB_E_CHANNEL, "channel code of %zu bytes, want 1 to %zu",
                             channel.length, sizeof c->channel - 1);
    snprintf(c->channel, sizeof c->channel, "%s", channel.data);
    snprintf(c->queue, sizeof c->queue, "integration-%s", c->channel);
    plumb_slice_t mapping = slice_of(r, row, column + MAPPING);
    if (mapping.data != NULL)
        plumb_buf_put(&c->mapping, mapping.data, mapping.length);
    return c->mapping.failed ? plumb_err_set(err, PLUMB_E_MEMORY, "a mapping") : 0;
}

static int open_fields(plumb_buf_t *plain, const plumb_credential_t *c, plumb_vault_t *vault,
                       plumb_db_t *db, const plumb_slice_t *sealed, plumb_err_t *err)
{
    uint32_t key_id = plumb_seal_key_id(sealed->data, sealed->length);
    if (key_id == 0)
        return plumb_err_set(err, PLUMB_E_SEAL, "%zu bytes that are no sealed frame",
                             sealed->length);
    plumb_key_t key;
    int rc = plumb_vault_key(vault, db, &c->account, key_id, &key, err);
    if (rc < 0)
        return rc;
    plumb_seal_place_t place = plumb_credential_place(&c->account, &c->id);
    rc = plumb_seal_open(plain, &key, &place, sealed->data, sealed->length, err);
    sodium_memzero(&key, sizeof key);
    return rc;
}

/* A real of four bytes, "1.5,", takes nine in msgpack; all else takes no more than its JSON. */
#define PACKED_MAX(length) ((length)*3 + 16)

static int take_fields(plumb_credential_t *c, plumb_json_t *json, const plumb_buf_t *plain,
                       const plumb_channel_texts_t *channel, plumb_err_t *err)
{
    int rc = plumb_json_read(json, plain->data, plain->length, err);
    if (rc < 0)
        return rc;
    if (json->nodes[0].type != PLUMB_JSON_OBJECT)
        return plumb_err_set(err, PLUMB_E_SEAL, "credential fields are no object");
    plumb_buf_reserve(&c->secrets, PACKED_MAX(plain->length));
    msgpack_packer packer = plumb_packer(&c->secrets);
    plumb_json_pack(&packer, json, 0);
    if (c->secrets.failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "credential fields");
    return plumb_credential_limits(c, channel, json, err);
}

int plumb_credential_from_row(plumb_credential_t *credential, plumb_vault_t *vault, plumb_db_t *db,
                              const PGresult *r, int row, int column, plumb_err_t *err)
{
    *credential = (plumb_credential_t){0};
    plumb_buf_t plain = {0};
    plumb_json_t json = {0};
    plumb_slice_t sealed = slice_of(r, row, column + SEALED);
    plumb_channel_texts_t channel = {slice_of(r, row, column + LIMITS),
                                     slice_of(r, row, column + FIELDS)};
    int rc = read_columns(credential, r, row, column, err);
    if (rc == 0)
        rc = open_fields(&plain, credential, vault, db, &sealed, err);
    if (rc == 0)
        rc = take_fields(credential, &json, &plain, &channel, err);
    plumb_json_fini(&json);
    plumb_buf_wipe(&plain);
    if (rc < 0) {
        char id[PLUMB_UUID_TEXT];
        plumb_err_add(err, "credential %s", plumb_uuid_text(&credential->id, id));
    }
    return rc;
}

void plumb_credential_fini(plumb_credential_t *credential)
{
    if (credential == NULL)
        return;
    plumb_buf_wipe(&credential->secrets);
    plumb_buf_fini(&credential->mapping);
    plumb_buf_fini(&credential->keys);
    *credential = (plumb_credential_t){0};
}

/* ---- sealing ---- */

static int check_fields(const char *fields, size_t length, plumb_err_t *err)
{
    plumb_json_t json = {0};
    int rc = plumb_json_read(&json, fields, length, err);
    if (rc == 0 && json.nodes[0].type != PLUMB_JSON_OBJECT)
        rc = plumb_err_set(err, PLUMB_E_INVALID, "want an object");
    plumb_json_fini(&json);
    return rc < 0 ? plumb_err_add(err, "credential fields") : 0;
}

int plumb_credential_seal(plumb_buf_t *out, plumb_vault_t *vault, plumb_db_t *db,
                          const plumb_uuid_t *account, const plumb_uuid_t *id, const char *fields,
                          size_t length, plumb_err_t *err)
{
    plumb_key_t key;
    int rc = check_fields(fields, length, err);
    if (rc == 0)
        rc = plumb_vault_key(vault, db, account, 0, &key, err);
    if (rc < 0)
        return rc;
    plumb_seal_place_t place = plumb_credential_place(account, id);
    rc = plumb_seal(out, &key, &place, fields, length, err);
    sodium_memzero(&key, sizeof key);
    return rc;
}

/* ---- jobs ---- */

static plumb_slice_t slice_of_buf(const plumb_buf_t *buf)
{
    return (plumb_slice_t){buf->length > 0 ? buf->data : NULL, buf->length};
}

void plumb_credential_to_job(const plumb_credential_t *credential, plumb_job_t *job)
{
    job->account = credential->account;
    job->credential = credential->id;
    job->credential_version = (uint32_t)credential->version;
    job->queue = (plumb_slice_t){credential->queue, strlen(credential->queue)};
    job->channel = (plumb_slice_t){credential->channel, strlen(credential->channel)};
    job->secrets = slice_of_buf(&credential->secrets);
    job->mapping = slice_of_buf(&credential->mapping);
    job->throttle_count = credential->throttle_count;
    memcpy(job->throttles, credential->throttles, sizeof job->throttles);
}
