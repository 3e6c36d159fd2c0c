/* A private PostgreSQL server for one test program: unix socket only, in a directory of its own.
 *
 * A guardian process owns it: when the test ends, however it ends, the guardian stops the server
 * and removes the directory.  What goes wrong here ends the program with a line on stderr. */
#ifndef PLUMB_TESTS_PG_H
#define PLUMB_TESTS_PG_H

#include <stddef.h>

/* Connection string of the server's first database; starts the server when it is not there yet, so
 * call it before the program makes threads.  Its time zone is not UTC, to find who forgets to say.
 */
const char *pg_conninfo(void);

/* Make an empty database beside the first one; its connection string goes to `conninfo`. */
#define PG_CONNINFO_MAX 256
const char *pg_new_database(char conninfo[PG_CONNINFO_MAX]);

/* Run SQL over a connection of its own, such as what a fault needs; the first value or "" goes to
 * `value` (may be NULL). */
void pg_run(const char *conninfo, const char *sql, char *value, size_t size);

/* Stop the server: orderly with its clients told, or as a crash cuts it off; start it again. */
void pg_stop(void);
void pg_crash(void);
void pg_start(void);

#endif
