/* plumb-worker: runs the calls to outside services. */
#include "entropy.h"
#include "loop.h"

int main(int argc, char **argv)
{
    plumb_daemon_t daemon = {.signal_fd = -1};
    worker_t worker = {.epoll = -1};
    plumb_err_t err = {0};
    plumb_entropy_use();
    int rc = plumb_daemon_open(&daemon, "worker", argc, argv, &err); /* --check stops here */
    if (rc == 0 && !daemon.check_only)
        rc = worker_open(&worker, &daemon, &err); /* flight file, plugins, sockets */
    if (rc == 0 && !daemon.check_only)
        rc = worker_run(&worker, &err); /* 0 on SIGTERM */
    worker_close(&worker);
    plumb_daemon_close(&daemon);
    return plumb_exit(rc, &err);
}
