/* E-mail addresses. */
#ifndef INGEST_EMAIL_H
#define INGEST_EMAIL_H

#include "err.h"

#include <stddef.h>

#define EMAIL_MAX 255 /* with NUL */

/* Trim blanks and write the domain's ASCII letters small.  An internationalised domain stays in the
 * spelling it came in.  INVALID: says what is wrong. */
int email_normalise(char out[EMAIL_MAX], const char *text, size_t length, plumb_err_t *err);

#endif
