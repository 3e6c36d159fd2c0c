/* Several growing logs as one: whole lines, ordered by the times they begin with. */
#ifndef PLUMB_CLI_MERGE_H
#define PLUMB_CLI_MERGE_H

#include "buf.h"

#include <stddef.h>

#define MERGE_SOURCES_MAX 16
#define MERGE_STAMP 24      /* "2026-01-02T03:04:05.678" and NUL */
#define MERGE_LINE_MAX 8192 /* longer lines are shown in pieces */

typedef struct merge_line {
    size_t start, length; /* in `text` */
    unsigned source;
    unsigned order; /* of arrival */
    char stamp[MERGE_STAMP];
} merge_line_t;

typedef struct merge {
    plumb_buf_t rest[MERGE_SOURCES_MAX];        /* bytes of a line that has not ended */
    char stamp[MERGE_SOURCES_MAX][MERGE_STAMP]; /* of the last line that had one */
    plumb_buf_t text;                           /* of the lines that wait */
    merge_line_t *lines;                        /* owned */
    size_t count, capacity;
} merge_t;

void merge_fini(merge_t *merge); /* safe on zeroes */

/* Take bytes of one source.  Out of memory loses lines, nothing else. */
void merge_feed(merge_t *merge, unsigned source, const char *data, size_t length);

/* Hand out what has been gathered, oldest first: a line without a time (a stack trace) stays behind
 * the one before it in its own source.  `line` is without its newline. */
typedef void (*merge_emit_fn)(void *self, unsigned source, const char *line, size_t length);
void merge_flush(merge_t *merge, merge_emit_fn emit, void *self);

#endif
