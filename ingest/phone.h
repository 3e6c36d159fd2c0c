/* Phone numbers as E.164. */
#ifndef INGEST_PHONE_H
#define INGEST_PHONE_H

#include "err.h"

#include <stddef.h>

#define PHONE_MAX 17 /* "+", 15 digits, NUL */

/* Read a number as people write it: E.164 behind "+" or "00" from anywhere; national numbers of the
 * countries of the table.  `country` is a two-letter hint or "".  INVALID: says what is wrong. */
int phone_normalise(char out[PHONE_MAX], const char *text, size_t length, const char *country,
                    plumb_err_t *err);

#endif
