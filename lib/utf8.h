/* UTF-8, as RFC 3629 has it: shortest form, no surrogates, nothing above U+10FFFF. */
#ifndef PLUMB_UTF8_H
#define PLUMB_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the well-formed character that begins at `at`, where `left` bytes (at least 1) are
 * readable; 0 when there is none.  NUL is a character here. */
size_t plumb_utf8_length(const char *at, size_t left);

/* Bytes at the front of `text` that are whole characters, none of them NUL. */
size_t plumb_utf8_prefix(const char *text, size_t length);

/* The longest length <= max at which the valid text may be cut without splitting a character. */
size_t plumb_utf8_cut(const char *text, size_t length, size_t max);

#endif
