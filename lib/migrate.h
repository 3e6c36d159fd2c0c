/* Schema migrations: numbered files of sql/, forward only (see docs/architecture.md). */
#ifndef PLUMB_MIGRATE_H
#define PLUMB_MIGRATE_H

#include "db.h"

#include <stdbool.h>

typedef struct plumb_migrated {
    int applied; /* files run by this call */
    int version; /* number of the newest file that is in the database */
} plumb_migrated_t;

/* Bring the database up to the newest file of `dir` (NNN_name.sql, gapless from 001), each in one
 * transaction with its row of schema_migrations (number, name, BLAKE2b checksum, time), all under
 * an advisory lock, so that two at once do the work once.  MIGRATION: a file that already ran has
 * changed or is missing, numbers with gaps, a database newer than the files. */
int plumb_migrate(plumb_db_t *db, const char *dir, plumb_migrated_t *done, plumb_err_t *err);

/* Is the schema the one these files make?  MIGRATION names what to type. */
int plumb_migrate_check(plumb_db_t *db, const char *dir, plumb_err_t *err);

#endif
