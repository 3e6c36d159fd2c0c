/* The HTTP server: civetweb with every way in but ours closed. */
#ifndef INGEST_SERVER_H
#define INGEST_SERVER_H

#include "ingest.h"

/* Listen as the configuration says, and write the port to <run_dir>/ingest.port. */
int server_new(server_t **ret, ingest_t *ingest, plumb_err_t *err);

/* Refuse what comes in from now on, wait for what is under way. */
void server_drain(server_t *server);

/* Stop listening and end the handler threads.  False: it hangs; then nothing may be freed that its
 * threads use, and the process must end. */
bool server_destroy(server_t **server);

int server_port(const server_t *server);

/* Handler threads: those for requests, and those that streams may hold. */
unsigned server_threads(const plumb_conf_t *conf);

#endif
