/* A private directory for a test, gone afterwards. */
#ifndef PLUMB_TESTS_SCRATCH_H
#define PLUMB_TESTS_SCRATCH_H

/* cmocka's setup and teardown: *state is the directory's path, short enough for sockets. */
int scratch_setup(void **state);
int scratch_teardown(void **state);

/* "<prefix><dir>/<name>" in memory that the next call but three reuses. */
const char *scratch_path(void **state, const char *prefix, const char *name);

#endif
