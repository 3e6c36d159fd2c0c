/* The logs of a state directory on the screen, as they grow. */
#ifndef PLUMB_CLI_FOLLOW_H
#define PLUMB_CLI_FOLLOW_H

#include "err.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct follow follow_t;

/* Remember where every log ends now.  `names` (of `count`) are the files without ".log"; they need
 * not be there yet. */
int follow_new(follow_t **ret, const char *log_dir, const char *const names[], unsigned count,
               bool colour, plumb_err_t *err);
void follow_destroy(follow_t **follow);

/* Readable when a log grew. */
int follow_fd(const follow_t *follow);

/* Print whole lines that came since the last call (or since follow_new), each behind its name.
 * A file that was put aside is read to its end first; of one that was put aside twice between two
 * calls, what is no longer there is not shown.  True: there is more, after a look at the signals.
 */
bool follow_print(follow_t *follow, FILE *out);

/* Forget what came until now. */
void follow_skip(follow_t *follow);

/* Print at most `lines` lines of each log that came since the last call. */
void follow_tail(follow_t *follow, FILE *out, unsigned lines);

/* May `out` be coloured?  A terminal, no NO_COLOR, no TERM=dumb. */
bool follow_may_colour(FILE *out);

#endif
