/* The pairs of a log line, taken apart: what a terminal line and journal fields are both made of.
 */
#ifndef PLUMB_LOG_PAIRS_H
#define PLUMB_LOG_PAIRS_H

#include <stdarg.h>
#include <stddef.h>

#define PLUMB_LOG_PAIRS_MAX 32
#define PLUMB_LOG_TEXT_MAX 4096 /* also PIPE_BUF: a line is written whole, whoever else writes */

typedef struct plumb_log_pair {
    const char *key, *value; /* into `memory` */
} plumb_log_pair_t;

typedef struct plumb_log_pairs {
    plumb_log_pair_t pair[PLUMB_LOG_PAIRS_MAX];
    size_t count;
    char format[PLUMB_LOG_TEXT_MAX];
    char memory[PLUMB_LOG_TEXT_MAX];
} plumb_log_pairs_t;

/* Fill in `format` ("delivery=%s reason=\"%s\"") and take the pairs apart.  Where one ends is read
 * from `format` alone, so a value cannot forge another pair, whatever it holds.  What is too long
 * is cut. */
void plumb_log_pairs(plumb_log_pairs_t *pairs, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Write "key=value key=\"two words\"" to `text` (size bytes): quoted where needed, control
 * characters escaped.  Returns the length. */
size_t plumb_log_pairs_text(const plumb_log_pairs_t *pairs, char *text, size_t size);

#endif
