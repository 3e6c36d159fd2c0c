/* The operator's SQL of keys and of erasing: asks trackers by the table
 * key_jobs, and looks. */
#ifndef PLUMB_CLI_STORE_KEYS_H
#define PLUMB_CLI_STORE_KEYS_H

#include "db.h"

#include <stdbool.h>

#define KEY_ROWS_MAX 200 /* of either list; what is newest comes first */

typedef struct key_versions {
    plumb_uuid_t account;
    int32_t oldest, newest;
} key_versions_t;

/* The versions of one account's key (nil: of all accounts). */
int store_key_versions(plumb_db_t *db, const plumb_uuid_t *account,
                       key_versions_t list[KEY_ROWS_MAX], size_t *count, plumb_err_t *err);

typedef struct key_job {
    plumb_uuid_t account; /* nil: the keys of all, under a master key */
    int32_t key, pass;
    int64_t seen, expected, changed, unopened;
    bool finished;
    char note[128];
} key_job_t;

/* Jobs that run, and those that ended within an hour. */
int store_key_jobs(plumb_db_t *db, key_job_t list[KEY_ROWS_MAX], size_t *count, plumb_err_t *err);

/* Ask for a new version of an account's key (NULL: of all accounts' keys), or
 * for `master` to wrap the keys of all; `asked` 0: it runs already.  NOT_FOUND:
 * there is no such account. */
int store_rotate(plumb_db_t *db, const plumb_uuid_t *account, int64_t *asked, plumb_err_t *err);
int store_rotate_master(plumb_db_t *db, uint32_t master, int64_t *asked, plumb_err_t *err);

/* Whose lead it is; NOT_FOUND: nobody's. */
int store_find_lead(plumb_db_t *db, const plumb_uuid_t *lead, plumb_uuid_t *account, bool *erased,
                    plumb_err_t *err);

/* Erase one lead (sql/007_keys.sql); `erased` false: it was already. */
int store_erase_lead(plumb_db_t *db, const plumb_uuid_t *account, const plumb_uuid_t *lead,
                     bool *erased, plumb_err_t *err);

#endif
