/* A private redis-server for one test program: unix socket only, in a directory of its own, ended
 * with the test however that ends.  What goes wrong here ends the program with a line on stderr. */
#ifndef PLUMB_TESTS_REDIS_SERVER_H
#define PLUMB_TESTS_REDIS_SERVER_H

#include <sys/types.h>

typedef struct redis_server {
    char dir[64], socket[96], url[112];
    pid_t pid; /* 0: it does not run */
} redis_server_t;

/* Start it, empty; it answers when this returns. */
void redis_server_start(redis_server_t *server);
/* End it as a crash does. */
void redis_server_kill(redis_server_t *server);
/* Send a signal, such as SIGSTOP. */
void redis_server_signal(const redis_server_t *server, int number);
/* Run a command that must work, such as "SCRIPT FLUSH". */
void redis_server_say(const redis_server_t *server, const char *command);
/* End it and remove its directory. */
void redis_server_destroy(redis_server_t *server);

#endif
