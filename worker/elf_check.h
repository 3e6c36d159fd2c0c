/* Is a shared object whole?  The dynamic loader maps what the headers promise and dies of a bus
 * error where the file is shorter, so a truncated file is told apart before it gets there. */
#ifndef PLUMB_WORKER_ELF_CHECK_H
#define PLUMB_WORKER_ELF_CHECK_H

#include <stddef.h>

/* NULL when the `length` bytes at `data` are a whole 64-bit shared object, else what is wrong. */
const char *elf_check(const void *data, size_t length);

#endif
