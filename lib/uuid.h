/* UUIDs, version 7: ids are made by the daemons and sort by time. */
#ifndef PLUMB_UUID_H
#define PLUMB_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUMB_UUID_TEXT 37 /* with NUL */

typedef struct plumb_uuid {
    uint8_t b[16];
} plumb_uuid_t;

/* A new version 7 id; ids of one thread grow strictly, also when the clock goes back. */
plumb_uuid_t plumb_uuid_new(void);

/* The same for a moment the caller gives (PostgreSQL's clock): the id carries exactly that moment,
 * so ids grow as long as the caller's clock does not go back. */
plumb_uuid_t plumb_uuid_at(int64_t unix_ms);

/* Lower-case text. `out` holds PLUMB_UUID_TEXT bytes; returns `out`. */
char *plumb_uuid_text(const plumb_uuid_t *id, char *out);

/* Read exactly `length` bytes of hyphenated text, either case.  False: not a UUID, `id` untouched.
 */
bool plumb_uuid_parse(plumb_uuid_t *id, const char *text, size_t length);

bool plumb_uuid_is_nil(const plumb_uuid_t *id);
int plumb_uuid_compare(const plumb_uuid_t *a, const plumb_uuid_t *b);

/* Milliseconds since 1970 that a version 7 id carries. */
int64_t plumb_uuid_unix_ms(const plumb_uuid_t *id);

#endif
