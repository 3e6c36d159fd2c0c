/* Errors carry a code, a sentence and their causes.
 *
 * What can fail returns 0 or a negative code and fills a plumb_err_t.  A code is one row of
 * err_codes.h: its slug (stable, seen by API users), its HTTP status and its exit status. */
#ifndef PLUMB_ERR_H
#define PLUMB_ERR_H

#include <stdarg.h>

#define PLUMB_ERR_TEXT_MAX 512

typedef enum plumb_code {
    PLUMB_OK = 0,
#define PLUMB_ERR_CODE(name, slug, http, exit, title) PLUMB_E_##name,
#include "err_codes.h"
#undef PLUMB_ERR_CODE
    PLUMB_E_COUNT
} plumb_code_t;

typedef struct plumb_err {
    plumb_code_t code;
    char text[PLUMB_ERR_TEXT_MAX]; /* lower case, no newline; causes follow after ": " */
} plumb_err_t;

/* Replace what `err` (may be NULL) says. */
void plumb_err_fill(plumb_err_t *err, plumb_code_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static inline int plumb_err_return(plumb_code_t code)
{
    return -(int)code;
}

/* The same as an expression that is -code: a macro, so that a reader of one file, static analysis
 * included, sees that it is never 0. */
#define plumb_err_set(err, code, ...)                                                              \
    (plumb_err_fill((err), (code), __VA_ARGS__), plumb_err_return(code))

/* Put what was being done before the cause that `err` holds: "<new>: <old>".  Returns its -code. */
int plumb_err_add(plumb_err_t *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *plumb_code_slug(plumb_code_t code);
const char *plumb_code_title(plumb_code_t code);
int plumb_code_http(plumb_code_t code);
int plumb_code_exit(plumb_code_t code);

/* What `main` returns: 0, or the exit status of err->code after its text went to the log. */
int plumb_exit(int rc, const plumb_err_t *err);

#endif
