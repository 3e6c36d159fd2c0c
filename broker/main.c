/* plumb-broker: holds jobs in memory and hands them to workers. */
#include "loop.h"

#include "log.h"

int main(int argc, char **argv)
{
    plumb_daemon_t daemon = {0};
    loop_t loop = {0};
    plumb_err_t err = {0};
    int rc = plumb_daemon_open(&daemon, "broker", argc, argv, &err);
    if (rc == 0 && !daemon.check_only) {
        rc = broker_loop_open(&loop, &daemon, &err);
        if (rc == 0)
            rc = plumb_daemon_admin(&daemon, daemon.conf.broker_name, broker_loop_ready, &loop,
                                    &err);
        if (rc == 0) {
            plumb_daemon_ready("holding jobs");
            plumb_log_event(LOG_NOTICE, "started", "broker=%s", daemon.conf.broker_name);
            rc = broker_loop_run(&loop, &err);
        }
        plumb_log_event(LOG_NOTICE, "stopped", "broker=%s", daemon.conf.broker_name);
    }
    plumb_daemon_close(&daemon); /* its thread looks at the loop */
    broker_loop_close(&loop);
    return plumb_exit(rc, &err);
}
