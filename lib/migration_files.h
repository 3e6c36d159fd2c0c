/* The numbered files of sql/, read whole; only the migration looks at them. */
#ifndef PLUMB_MIGRATION_FILES_H
#define PLUMB_MIGRATION_FILES_H

#include "buf.h"
#include "err.h"

#include <stdint.h>

#define PLUMB_CHECKSUM 32 /* bytes of BLAKE2b */

typedef struct plumb_migration {
    char *name; /* owned: "001_pipeline.sql" */
    plumb_buf_t sql;
    uint8_t checksum[PLUMB_CHECKSUM];
} plumb_migration_t;

typedef struct plumb_migrations {
    plumb_migration_t *files; /* owned; the first is number 1 */
    int count;
} plumb_migrations_t;

/* Read every NNN_name.sql of `dir`.  MIGRATION: numbers with gaps or doubled, a *.sql file with
 * another name, none at all, one that holds a NUL byte.  The caller releases, also after an error.
 */
int plumb_migrations_read(plumb_migrations_t *m, const char *dir, plumb_err_t *err);
void plumb_migrations_fini(plumb_migrations_t *m);

#endif
