/* Strict JSON for what comes from outside.
 *
 * plumb_json_read is a single pass over the text that checks every rule of reliability 5 (UTF-8, no
 * NUL, no lone surrogate, no doubled key, depth, counts, lengths, number range, exact end) and
 * leaves an array of nodes that point into the text: no allocation per value, and a subtree can be
 * taken over as text, known to be valid.  It exists because intake must check those limits before
 * parsing, and because a tree-building parser was the largest single cost of intake
 * (docs/architecture.md). */
#ifndef PLUMB_JSON_H
#define PLUMB_JSON_H

#include "err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUMB_JSON_DEPTH_MAX 32
#define PLUMB_JSON_VALUES_MAX 4096
#define PLUMB_JSON_STRING_MAX 65536
#define PLUMB_JSON_KEY_MAX 256

typedef enum plumb_json_type {
    PLUMB_JSON_NULL,
    PLUMB_JSON_FALSE,
    PLUMB_JSON_TRUE,
    PLUMB_JSON_INTEGER, /* fits int64 */
    PLUMB_JSON_REAL,    /* finite */
    PLUMB_JSON_STRING,
    PLUMB_JSON_ARRAY,
    PLUMB_JSON_OBJECT
} plumb_json_type_t;

/* One value.  Members of an object come as pairs: a STRING node (the key), then its value.
 * `next` is the index just behind the value's whole subtree. */
typedef struct plumb_json_node {
    plumb_json_type_t type;
    uint32_t start; /* offset of the value's first byte in the text (a string's opening quote) */
    uint32_t end;   /* offset behind its last byte */
    uint32_t next;
    uint32_t count;  /* members or elements */
    bool escaped;    /* a string that holds at least one backslash */
    int64_t integer; /* INTEGER only */
} plumb_json_node_t;

typedef struct plumb_json {
    const char *text; /* borrowed */
    size_t length;
    plumb_json_node_t *nodes; /* owned; nodes[0] is the root */
    uint32_t count;
    uint32_t capacity;
} plumb_json_t;

/* Read `text`; on error the position is named ("line 3, column 14: …").  `json` may be reused: its
 * memory is kept between calls.  Codes: BAD_JSON; MEMORY. */
int plumb_json_read(plumb_json_t *json, const char *text, size_t length, plumb_err_t *err);

/* The same for text that PostgreSQL made of jsonb, which writes numbers out: what is an accepted
 * 1e300 has 301 digits there.  A number of any length is good and, out of int64, a REAL. */
int plumb_json_read_stored(plumb_json_t *json, const char *text, size_t length, plumb_err_t *err);
void plumb_json_fini(plumb_json_t *json);

/* Index of the member's value in object `object`, or 0 when absent (0 is the root, never a member).
 */
uint32_t plumb_json_member(const plumb_json_t *json, uint32_t object, const char *key);

/* The node whose value begins at `at`, the beginning of one in the text that was read. */
uint32_t plumb_json_at(const plumb_json_t *json, const char *at);

/* Does string node `node` equal `text`?  Escapes are understood. */
bool plumb_json_equal(const plumb_json_t *json, uint32_t node, const char *text);

/* Copy a string node's decoded bytes to `out` (size bytes, NUL added).  Returns the decoded length,
 * or -1 when it does not fit.  A decoded string never holds NUL. */
ptrdiff_t plumb_json_string(const plumb_json_t *json, uint32_t node, char *out, size_t size);

/* The same checks, then a jansson tree.  New reference. */
json_t *plumb_json_tree(const char *text, size_t length, plumb_err_t *err);

/* Is it well-formed UTF-8 without NUL (shortest form, no surrogates, <= U+10FFFF)? */
bool plumb_utf8_valid(const char *text, size_t length);

#endif
