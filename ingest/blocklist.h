/* The blocklists of accounts, cached: read whole, kept for a short life, read again when their
 * version in the database is another. */
#ifndef INGEST_BLOCKLIST_H
#define INGEST_BLOCKLIST_H

#include "blocked_table.h"
#include "readers.h"

typedef struct blocklists blocklists_t;

int blocklists_new(blocklists_t **ret, readers_t *readers, int64_t life_ms, plumb_err_t *err);
void blocklists_destroy(blocklists_t **blocklists);

/* Forget the list of `account` (NULL: of all).  Any thread may call it. */
void blocklists_drop(blocklists_t *blocklists, const plumb_uuid_t *account);

/* What blocks a lead of `account`; BLOCKED_KINDS: nothing.  One thread reads a list while the
 * others wait for it.  DB_AWAY, UNAVAILABLE: cannot be told now. */
int blocklists_match(blocklists_t *blocklists, const plumb_uuid_t *account,
                     const blocked_query_t *query, blocked_kind_t *kind, plumb_err_t *err);

#endif
