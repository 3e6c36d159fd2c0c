/* Times and sizes as configuration writes them: "1500ms", "10s", "5m", "12h", "3d"; "64K", "4M",
 * "1G". */
#ifndef PLUMB_CONF_UNITS_H
#define PLUMB_CONF_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUMB_UNIT_TEXT 32 /* the longest text, with NUL */

/* Read exactly `length` bytes.  False: not of that form, or beyond int64.
 * A time needs its unit, only 0 may go without; a size without unit is bytes. */
bool plumb_ms_parse(int64_t *ms, const char *text, size_t length);
bool plumb_size_parse(int64_t *bytes, const char *text, size_t length);
bool plumb_int_parse(int64_t *value, const char *text, size_t length); /* may have a minus */

/* Write with the largest unit that leaves no rest.  `out` holds PLUMB_UNIT_TEXT; returns `out`. */
char *plumb_ms_text(int64_t ms, char *out);
char *plumb_size_text(int64_t bytes, char *out);

#endif
