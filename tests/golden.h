/* Long output and messages are compared with files in tests/golden/. */
#ifndef PLUMB_TESTS_GOLDEN_H
#define PLUMB_TESTS_GOLDEN_H

#include <stddef.h>

/* Fail unless tests/golden/<name> holds exactly `text`; with PLUMB_GOLDEN=write, write it. */
void golden_text(const char *name, const char *text);

/* The same with bytes, kept as a hex dump that a person can read. */
void golden_bytes(const char *name, const void *data, size_t length);

#endif
