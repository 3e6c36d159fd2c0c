/* plumb-ingest: takes leads in over HTTP, checks them, commits them, hands their jobs on. */
#include "entropy.h"
#include "ingest.h"
#include "log.h"
#include "server.h"

#include <malloc.h>
#include <poll.h>

#define ALIVE_MS 1000

static void ingest_run(ingest_t *in)
{
    struct pollfd signals = {.fd = in->daemon.signal_fd, .events = POLLIN};
    plumb_daemon_ready("taking leads");
    plumb_log_event(LOG_NOTICE, "started", "port=%d", server_port(in->server));
    while (poll(&signals, 1, ALIVE_MS) <= 0 || !plumb_daemon_signalled(&in->daemon))
        plumb_daemon_alive();
    plumb_daemon_stopping();
    plumb_log_event(LOG_NOTICE, "stopping", "why=signal");
}

int main(int argc, char **argv)
{
    ingest_t in = {.daemon = {.signal_fd = -1}};
    plumb_err_t err = {0};
    plumb_entropy_use();
    int rc = plumb_daemon_open(&in.daemon, "ingest", argc, argv, &err);
    mallopt(M_ARENA_MAX, 2); /* many threads, but one for each would cost more than all the rest */
    if (rc == 0 && !in.daemon.check_only) {
        rc = ingest_open(&in, &in.daemon.conf, &err);
        if (rc == 0)
            rc =
                plumb_daemon_admin(&in.daemon, in.daemon.conf.ingest_name, ingest_ready, &in, &err);
        if (rc == 0)
            ingest_run(&in);
        ingest_close(&in);
    }
    plumb_daemon_close(&in.daemon);
    return plumb_exit(rc, &err);
}
