/* A connected service as those see it who make jobs: opened fields, throttle keys. */
#ifndef PLUMB_CREDENTIAL_H
#define PLUMB_CREDENTIAL_H

#include "buf.h"
#include "msg.h"
#include "vault.h"

#include <stdbool.h>

typedef struct plumb_credential {
    plumb_uuid_t account, id;
    int32_t version;
    bool enabled, suspended, accepts_tests;
    char channel[33];
    char queue[64];      /* "integration-<channel>" */
    plumb_buf_t secrets; /* msgpack map of the fields, as jobs carry it; owned, wiped */
    plumb_buf_t mapping; /* JSON text or empty; owned */
    plumb_buf_t keys;    /* memory of the throttle keys; owned */
    plumb_throttle_t throttles[PLUMB_THROTTLES_MAX];
    unsigned throttle_count;
    bool resends; /* its channel's receivers take our key (channels.limits) */
    bool mail_schedule;
} plumb_credential_t;

/* The SELECT list that plumb_credential_from_row reads: of credentials `c` LEFT JOIN channels `h`
 * ON h.code = c.channel. */
#define PLUMB_CREDENTIAL_COLUMNS 11
extern const char plumb_credential_select_list[];

/* Open one row.  The caller releases with _fini, also after an error.  SEAL, KEY: cannot be opened.
 */
int plumb_credential_from_row(plumb_credential_t *credential, plumb_vault_t *vault, plumb_db_t *db,
                              const PGresult *r, int row, int column, plumb_err_t *err);
void plumb_credential_fini(plumb_credential_t *credential);

/* Seal credential fields (a JSON object's text) for the table. */
int plumb_credential_seal(plumb_buf_t *out, plumb_vault_t *vault, plumb_db_t *db,
                          const plumb_uuid_t *account, const plumb_uuid_t *id, const char *fields,
                          size_t length, plumb_err_t *err);

/* Fill what a job takes from its credential. */
void plumb_credential_to_job(const plumb_credential_t *credential, plumb_job_t *job);

#endif
