/* Clocks.  Everything in memory is monotonic; wall time is for people and signatures only;
 * times in rows are PostgreSQL's. */
#ifndef PLUMB_CLOCK_H
#define PLUMB_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t plumb_mono_ms(void); /* CLOCK_MONOTONIC: timers */
int64_t plumb_mono_us(void);
int64_t plumb_boot_ms(void); /* CLOCK_BOOTTIME: heartbeats and fences, counts suspended time */
int64_t plumb_wall_ms(void); /* CLOCK_REALTIME, Unix milliseconds */

/* "2026-01-02T03:04:05.678Z"; `out` holds 25 bytes; returns `out`. */
#define PLUMB_TIME_TEXT 25
char *plumb_time_text(int64_t unix_ms, char *out);

/* Read exactly `length` bytes of RFC 3339: a date, "T", hours and minutes, seconds with any
 * fraction unless left out, "Z" or an offset.  False: not of that form, or no such day. */
bool plumb_time_parse(int64_t *unix_ms, const char *text, size_t length);

#endif
