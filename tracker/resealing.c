/* Frames are opened under the key that they name and sealed under another. */
#include "resealing.h"

#include "vault.h"

#include <sodium.h>

static plumb_slice_t frame_of(const PGresult *page, int row, int column)
{
    if (plumb_get_null(page, row, column))
        return (plumb_slice_t){NULL, 0};
    return (plumb_slice_t){plumb_get_text(page, row, column), plumb_get_length(page, row, column)};
}

/* Count a frame that was taken (`rc` 0) or does not open; other errors pass through. */
static int count(resealing_t *r, int row, size_t begin, int rc)
{
    bool closed = rc == -PLUMB_E_SEAL || rc == -PLUMB_E_KEY;
    if (rc < 0 && !closed)
        return rc;
    r->older++;
    r->unopened += closed;
    if (rc == 0)
        r->list[r->count++] = (fresh_frame_t){row, begin, r->frames.length};
    return 0;
}

/* Open one frame of the account's and seal it under `key`. */
static int reseal(resealing_t *r, plumb_vault_t *vault, plumb_db_t *db,
                  const plumb_seal_place_t *place, const plumb_slice_t *frame,
                  const plumb_key_t *key, plumb_err_t *err)
{
    plumb_key_t old = {0};
    plumb_buf_t plain = {0};
    uint32_t id = plumb_seal_key_id(frame->data, frame->length);
    int rc = id == 0 ? plumb_err_set(err, PLUMB_E_SEAL, "no frame")
                     : plumb_vault_key(vault, db, &place->account, id, &old, err);
    if (rc == 0)
        rc = plumb_seal_open(&plain, &old, place, frame->data, frame->length, err);
    if (rc == 0)
        rc = plumb_seal(&r->frames, key, place, plain.data, plain.length, err);
    sodium_memzero(&old, sizeof old);
    plumb_buf_wipe(&plain);
    return rc;
}

int resealing_sealed(resealing_t *r, plumb_vault_t *vault, plumb_db_t *db,
                     const sealed_column_t *column, const plumb_uuid_t *account, int32_t key,
                     const PGresult *page, plumb_err_t *err)
{
    plumb_key_t fresh;
    *r = (resealing_t){0};
    int rc = plumb_vault_key(vault, db, account, (uint32_t)key, &fresh, err);
    for (int row = 0; rc == 0 && row < PQntuples(page); row++) {
        plumb_slice_t frame = frame_of(page, row, PAGE_FRAME);
        plumb_seal_place_t place = {column->purpose, *account, plumb_get_uuid(page, row, PAGE_ID),
                                    column->part};
        size_t begin = r->frames.length;
        if (frame.data != NULL)
            rc = count(r, row, begin, reseal(r, vault, db, &place, &frame, &fresh, err));
    }
    sodium_memzero(&fresh, sizeof fresh);
    return rc;
}

static int rewrap(resealing_t *r, const plumb_keyring_t *keyring, wrapped_table_t table,
                  const plumb_uuid_t *account, uint32_t version, const plumb_slice_t *frame,
                  plumb_err_t *err)
{
    plumb_key_t key = {0};
    bool index = table == WRAPPED_INDEX_KEYS;
    int rc =
        index ? plumb_keyring_unwrap_index(keyring, &key, account, frame->data, frame->length, err)
              : plumb_keyring_unwrap(keyring, &key, version, account, frame->data, frame->length,
                                     err);
    if (rc == 0)
        rc = index ? plumb_keyring_wrap_index(keyring, &r->frames, account, &key, err)
                   : plumb_keyring_wrap(keyring, &r->frames, account, &key, err);
    sodium_memzero(&key, sizeof key);
    return rc;
}

int resealing_wrapped(resealing_t *r, const plumb_keyring_t *keyring, wrapped_table_t table,
                      const PGresult *page, plumb_err_t *err)
{
    int rc = 0;
    *r = (resealing_t){0};
    for (int row = 0; rc == 0 && row < PQntuples(page); row++) {
        plumb_slice_t frame = frame_of(page, row, WRAPPED_FRAME);
        plumb_uuid_t account = plumb_get_uuid(page, row, WRAPPED_ACCOUNT);
        uint32_t version = (uint32_t)plumb_get_int4(page, row, WRAPPED_VERSION);
        size_t begin = r->frames.length;
        if (frame.data != NULL)
            rc = count(r, row, begin, rewrap(r, keyring, table, &account, version, &frame, err));
    }
    return rc;
}

void resealing_fini(resealing_t *r)
{
    plumb_buf_fini(&r->frames);
}
