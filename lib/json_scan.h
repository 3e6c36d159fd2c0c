/* Strings and numbers of JSON: the part of the reader that looks at every byte. */
#ifndef PLUMB_JSON_SCAN_H
#define PLUMB_JSON_SCAN_H

#include "json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A place in the text.  After a refusal `at` is where, `wrong` the sentence, without position. */
typedef struct plumb_scan {
    const char *at, *end;
    const char *utf8_end; /* up to there the text is UTF-8 without NUL, at `end` or not further */
    const char *wrong;
    bool any_number; /* one out of range is a REAL instead of refused */
} plumb_scan_t;

/* Say what is wrong at `scan->at`.  Returns false. */
bool plumb_scan_refuse(plumb_scan_t *scan, const char *wrong);

/* Read the string whose opening quote is at `scan->at`, at most `max` bytes once decoded. */
bool plumb_scan_string(plumb_scan_t *scan, size_t max, bool *escaped);

/* Read the number that begins at `scan->at` into `type` and, of an INTEGER, `integer`. */
bool plumb_scan_number(plumb_scan_t *scan, plumb_json_type_t *type, int64_t *integer);

/* Decode the escape whose backslash is at `at` into `out` (4 bytes) as UTF-8 of `*length` bytes.
 * Returns the bytes it takes in the text; 0: unknown, NUL, or half a surrogate pair. */
size_t plumb_scan_escape(const char *at, const char *end, char *out, size_t *length);

#endif
