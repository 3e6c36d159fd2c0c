/* plumb-tracker: takes results in, and owns every delivery's state after intake. */
#include "tracker.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    plumb_err_t err = {0};
    tracker_t *t = calloc(1, sizeof *t); /* large for a stack */
    if (t == NULL)
        return EXIT_FAILURE;
    int rc = plumb_daemon_open(&t->daemon, "tracker", argc, argv, &err);
    bool works = rc == 0 && !t->daemon.check_only;
    if (works)
        rc = tracker_open(t, &err);
    if (works && rc == 0)
        rc = tracker_run(t, &err);
    tracker_close(t);
    free(t);
    return plumb_exit(rc, &err);
}
