/* Jobs made from rows: the lead opened and packed, the credential opened and kept for a while. */
#ifndef PLUMB_TRACKER_JOBS_H
#define PLUMB_TRACKER_JOBS_H

#include "credential.h"
#include "lead.h"
#include "store.h"

#define JOBS_CREDENTIALS 256
#define JOBS_FRESH_MS 2000  /* taken without a look at its version */
#define JOBS_KNOWN_MS 60000 /* taken when the version is the same: channels' limits change too */

typedef struct jobs_credential {
    plumb_credential_t credential; /* owned */
    int64_t read_ms;               /* 0: none here */
} jobs_credential_t;

typedef struct jobs {
    plumb_vault_t *vault;                            /* owned */
    plumb_buf_t plain, body;                         /* of the lead in work; wiped */
    jobs_credential_t credentials[JOBS_CREDENTIALS]; /* by a hash of the id */
} jobs_t;

int jobs_init(jobs_t *j, const plumb_keyring_t *keyring, plumb_err_t *err);
void jobs_fini(jobs_t *j);

/* The credential, valid until the next call; `*found` NULL: there is none.  `version` is what the
 * table has, 0 when not known.  SEAL, KEY: cannot be opened. */
int jobs_credential(jobs_t *j, store_t *s, const plumb_uuid_t *account, const plumb_uuid_t *id,
                    int32_t version, int64_t now_ms, const plumb_credential_t **found,
                    plumb_err_t *err);

/* Is the person of this row erased (or the lead gone)? */
bool jobs_is_erased(const PGresult *r, int row);

/* Encode the job of a row of store_pick or store_rebuild into `frame` (cleared first).  SEAL, KEY,
 * MESSAGE: this row can never be one. */
int jobs_encode(jobs_t *j, store_t *s, const PGresult *r, int row, uint32_t attempt, uint64_t epoch,
                const plumb_credential_t *credential, plumb_buf_t *frame, plumb_err_t *err);

/* Does this error come from the row, not from the database? */
bool jobs_is_rows_fault(int rc);

#endif
