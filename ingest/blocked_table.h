/* Who is blocked in one account, made for looking up: pure, no database. */
#ifndef INGEST_BLOCKED_TABLE_H
#define INGEST_BLOCKED_TABLE_H

#include "msg.h"
#include "uuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order in which they are looked at. */
typedef enum blocked_kind {
    BLOCKED_PHONE,
    BLOCKED_EMAIL,
    BLOCKED_DOMAIN, /* of the mail address, and those below it */
    BLOCKED_IP,
    BLOCKED_FINGERPRINT,
    BLOCKED_KINDS
} blocked_kind_t;

typedef struct blocked_entry {
    uint64_t key;         /* hash of kind and value */
    plumb_uuid_t project; /* nil: all of the account's */
    int64_t until_ms;     /* monotonic */
} blocked_entry_t;

typedef struct blocked_table {
    blocked_entry_t *entries; /* owned; in the order of their keys once blocked_sort was called */
    size_t count, capacity;
    bool has[BLOCKED_KINDS];
    bool has_bits[129]; /* lengths of the prefixes there are, of IPv6 or mapped IPv4 */
} blocked_table_t;

/* The kind of that name; BLOCKED_KINDS: none. */
blocked_kind_t blocked_kind_find(const char *name);
const char *blocked_kind_name(blocked_kind_t kind);

/* Make room for `count` entries.  False: no memory. */
bool blocked_init(blocked_table_t *table, size_t count);
void blocked_fini(blocked_table_t *table); /* safe on zeroes */

/* Add one of a room that blocked_init made: a blind term (PHONE, EMAIL), or text (DOMAIN, IP as
 * ADDRESS[/BITS], FINGERPRINT).  False: it is no address. */
void blocked_add_term(blocked_table_t *table, blocked_kind_t kind, int64_t term,
                      const plumb_uuid_t *project, int64_t until_ms);
bool blocked_add_text(blocked_table_t *table, blocked_kind_t kind, const char *text, size_t length,
                      const plumb_uuid_t *project, int64_t until_ms);

/* No more will be added. */
void blocked_sort(blocked_table_t *table);

/* What a lead is looked up by; NULL or empty: it has none. */
typedef struct blocked_query {
    const plumb_uuid_t *project;
    const int64_t *phone, *email; /* blind terms */
    plumb_slice_t domain;         /* lower case */
    const uint8_t *address;       /* 16 bytes: IPv6 or mapped IPv4 */
    plumb_slice_t fingerprint;
} blocked_query_t;

/* The kind that blocks; BLOCKED_KINDS: nothing does. */
blocked_kind_t blocked_match(const blocked_table_t *table, const blocked_query_t *query,
                             int64_t now_ms);

#endif
