/* Data keys are wrapped by a key of the account. */
#include "datakey.h"

#include <sodium.h>
#include <string.h>

int data_key_open(plumb_key_t *key, plumb_vault_t *vault, plumb_db_t *db,
                  const plumb_uuid_t *account, const plumb_uuid_t *lead,
                  const plumb_slice_t *wrapped, plumb_buf_t *scratch, plumb_err_t *err)
{
    plumb_key_t wrapping = {0};
    plumb_seal_place_t place = plumb_lead_place_key(account, lead);
    uint32_t id = plumb_seal_key_id(wrapped->data, wrapped->length);
    *key = (plumb_key_t){.id = DATA_KEY_ID};
    if (id == 0)
        return plumb_err_set(err, PLUMB_E_SEAL, "%zu bytes that are no wrapped key",
                             wrapped->length);
    int rc = plumb_vault_key(vault, db, account, id, &wrapping, err);
    plumb_buf_clear(scratch);
    if (rc == 0)
        rc = plumb_seal_open(scratch, &wrapping, &place, wrapped->data, wrapped->length, err);
    if (rc == 0 && scratch->length != PLUMB_KEY_BYTES)
        rc = plumb_err_set(err, PLUMB_E_SEAL, "a data key of %zu bytes", scratch->length);
    if (rc == 0)
        memcpy(key->bytes, scratch->data, PLUMB_KEY_BYTES);
    sodium_memzero(&wrapping, sizeof wrapping);
    if (scratch->data != NULL)
        sodium_memzero(scratch->data, scratch->length);
    plumb_buf_clear(scratch);
    return rc;
}
