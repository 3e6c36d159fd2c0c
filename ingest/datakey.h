/* A lead's data key, from its wrapped form. */
#ifndef INGEST_DATAKEY_H
#define INGEST_DATAKEY_H

#include "lead.h"
#include "vault.h"

#define DATA_KEY_ID 1 /* each lead has one only */

/* Wipe `key` after use. `scratch` is cleared before and after. */
int data_key_open(plumb_key_t *key, plumb_vault_t *vault, plumb_db_t *db,
                  const plumb_uuid_t *account, const plumb_uuid_t *lead,
                  const plumb_slice_t *wrapped, plumb_buf_t *scratch, plumb_err_t *err);

#endif
