/* The step watchdog. */
#include "watchdog.h"

#include "clock.h"
#include "log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOKS 4 /* in one limit */

struct watchdog {
    pthread_t thread;
    pthread_mutex_t lock; /* of `stopping` */
    pthread_cond_t wake;
    bool stopping;
    _Atomic uint64_t step; /* grows as one is entered and as it is left: odd inside */
    /* of that step: written before it is entered, read of one that does not end */
    const char *channel;
    plumb_uuid_t delivery;
    int64_t limit_ms;
};

static void end_process(const watchdog_t *w)
{
    char delivery[PLUMB_UUID_TEXT];
    plumb_log_event(LOG_CRIT, "channel_stuck", "channel=%s delivery=%s limit_ms=%d", w->channel,
                    plumb_uuid_text(&w->delivery, delivery), (int)w->limit_ms);
    abort();
}

/* Wait for a share of the limit; false when told to stop. */
static bool wait_share(watchdog_t *w)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + w->limit_ms * 1000000 / LOOKS;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    int rc = 0;
    while (!w->stopping && rc == 0)
        rc = pthread_cond_timedwait(&w->wake, &w->lock, &until);
    return !w->stopping;
}

/* Looks, not clock readings, are counted: while the whole process sleeps none is missed. */
static void *watch(void *self)
{
    watchdog_t *w = self;
    uint64_t seen = 0;
    int looks = 0;
    pthread_mutex_lock(&w->lock);
    while (wait_share(w)) {
        uint64_t step = atomic_load_explicit(&w->step, memory_order_acquire);
        looks = step % 2 == 1 && step == seen ? looks + 1 : 0;
        seen = step;
        if (looks >= LOOKS)
            end_process(w);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

int watchdog_start(watchdog_t **ret, int64_t limit_ms, plumb_err_t *err)
{
    *ret = NULL;
    watchdog_t *w = calloc(1, sizeof *w);
    if (w == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "watchdog");
    w->limit_ms = limit_ms;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&w->lock, NULL);
    int code = pthread_create(&w->thread, NULL, watch, w);
    if (code != 0) {
        pthread_mutex_destroy(&w->lock);
        pthread_cond_destroy(&w->wake);
        free(w);
        return plumb_err_set(err, PLUMB_E_SYSTEM, "watchdog: %s", strerror(code));
    }
    *ret = w;
    return 0;
}

void watchdog_stop(watchdog_t **watchdog)
{
    watchdog_t *w = *watchdog;
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    free(w);
    *watchdog = NULL;
}

/* Two stores: no lock is taken for what happens twice a lead and is looked at twice a second. */
void watchdog_enter(watchdog_t *w, const char *channel, const plumb_uuid_t *delivery)
{
    if (w == NULL)
        return;
    w->channel = channel;
    w->delivery = *delivery;
    atomic_fetch_add_explicit(&w->step, 1, memory_order_release);
}

void watchdog_leave(watchdog_t *w)
{
    if (w != NULL)
        atomic_fetch_add_explicit(&w->step, 1, memory_order_release);
}
