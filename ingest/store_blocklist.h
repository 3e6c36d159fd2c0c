/* Reading blocklists. */
#ifndef INGEST_STORE_BLOCKLIST_H
#define INGEST_STORE_BLOCKLIST_H

#include "blocked_table.h"
#include "readers.h"

/* Changes with the rows, but for those of transactions that committed out of turn. */
typedef struct blocklist_version {
    int64_t rows, changed_us;
} blocklist_version_t;

int store_blocklist_version(reader_t *reader, const plumb_uuid_t *account,
                            blocklist_version_t *version, plumb_err_t *err);

/* All entries of the account, in `table` (sorted; blocked_fini also after an error), and their
 * version.  What cannot be understood is logged and left out. */
int store_blocklist(reader_t *reader, const plumb_uuid_t *account, blocked_table_t *table,
                    blocklist_version_t *version, plumb_err_t *err);

#endif
