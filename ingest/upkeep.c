/* A thread that waits for the task that is due first. */
#include "upkeep.h"

#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TASKS_MAX 4

struct upkeep {
    upkeep_task_t tasks[TASKS_MAX];
    int64_t due_ms[TASKS_MAX];
    size_t count;
    int stop_fd; /* readable: end */
    pthread_t thread;
    bool running;
};

/* Run what is due.  Returns when the next one is. */
static int64_t run_due(upkeep_t *u)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < u->count; i++) {
        if (plumb_mono_ms() >= u->due_ms[i]) {
            u->tasks[i].run(u->tasks[i].self);
            u->due_ms[i] = plumb_mono_ms() + u->tasks[i].every_ms;
        }
        if (u->due_ms[i] < next_ms)
            next_ms = u->due_ms[i];
    }
    return next_ms;
}

static void *upkeep_main(void *self)
{
    upkeep_t *u = self;
    struct pollfd stop = {.fd = u->stop_fd, .events = POLLIN};
    while (stop.revents == 0) {
        int64_t wait_ms = run_due(u) - plumb_mono_ms();
        poll(&stop, 1, wait_ms > 0 ? (int)wait_ms : 0);
    }
    return NULL;
}

int upkeep_new(upkeep_t **ret, const upkeep_task_t *tasks, size_t count, plumb_err_t *err)
{
    upkeep_t *u = calloc(1, sizeof *u);
    *ret = u;
    if (u == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "upkeep");
    for (; u->count < count && u->count < TASKS_MAX; u->count++) {
        u->tasks[u->count] = tasks[u->count];
        u->due_ms[u->count] = plumb_mono_ms() + tasks[u->count].every_ms;
    }
    u->stop_fd = eventfd(0, EFD_CLOEXEC);
    int error = u->stop_fd < 0 ? errno : pthread_create(&u->thread, NULL, upkeep_main, u);
    u->running = error == 0;
    if (u->running)
        return 0;
    upkeep_destroy(ret);
    return plumb_err_set(err, PLUMB_E_SYSTEM, "start the upkeep: %s", strerror(error));
}

void upkeep_destroy(upkeep_t **upkeep)
{
    upkeep_t *u = *upkeep;
    if (u == NULL)
        return;
    if (u->running) {
        eventfd_write(u->stop_fd, 1);
        pthread_join(u->thread, NULL);
    }
    if (u->stop_fd >= 0)
        close(u->stop_fd);
    free(u);
    *upkeep = NULL;
}
