/* A page of frames under keys that are being replaced. */
#ifndef PLUMB_TRACKER_RESEALING_H
#define PLUMB_TRACKER_RESEALING_H

#include "store_keys.h"

#define RESEALING_PAGE 200

typedef struct resealing {
    fresh_frame_t list[RESEALING_PAGE];
    size_t count;
    plumb_buf_t frames; /* owned */
    int64_t older,
        unopened; /* frames that were under another key; of them those that do not open */
} resealing_t;

/* Seal each frame of a page anew under `key`, bound as it was.  What does not open is counted and
 * left.  The caller releases with _fini, also after an error. */
int resealing_sealed(resealing_t *r, plumb_vault_t *vault, plumb_db_t *db,
                     const sealed_column_t *column, const plumb_uuid_t *account, int32_t key,
                     const PGresult *page, plumb_err_t *err);

/* The same of accounts' keys, under the newest master key. */
int resealing_wrapped(resealing_t *r, const plumb_keyring_t *keyring, wrapped_table_t table,
                      const PGresult *page, plumb_err_t *err);

void resealing_fini(resealing_t *r);

#endif
