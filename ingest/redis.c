/* The pool, and the thread that fills it.
 *
 * A connection that failed takes all others with it: what one command waited for in vain the next
 * would wait for too.  So a Redis that stands still costs each handler thread at most one wait. */
#include "redis.h"

#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "redis_url.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WHY_MAX 256
#define PROBE_MS 1000
#define CONNECT_MS 1000 /* the thread's own time, nobody waits for it */

struct redis {
    plumb_redis_url_t url;
    int64_t timeout_ms, retry_ms, retry_max_ms;
    unsigned most;
    pthread_mutex_t lock;
    pthread_cond_t freed; /* for who borrows */
    pthread_cond_t work;  /* for the thread */
    redisContext **free;  /* owned, as are those in it */
    unsigned free_count, open_count;
    uint64_t losses;                        /* connections made before the last one are given up */
    int64_t found_ms, backoff_ms, pause_ms; /* the last before the thread tries again */
    bool is_here, stopping, running;
    char why[WHY_MAX]; /* it is not here */
    pthread_t thread;
};

static struct timeval timeval_of(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static struct timespec after(int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    return until;
}

/* ---- one connection ---- */

/* False: it failed, or Redis said no; `why` tells. */
static bool ask(redisContext *c, int count, const char **words, char why[WHY_MAX])
{
    redisReply *reply = redisCommandArgv(c, count, words, NULL);
    bool good = reply != NULL && reply->type != REDIS_REPLY_ERROR;
    if (!good)
        snprintf(why, WHY_MAX, "%s: %s", words[0], reply != NULL ? reply->str : c->errstr);
    freeReplyObject(reply);
    return good;
}

static bool greet(const plumb_redis_url_t *url, redisContext *c, char why[WHY_MAX])
{
    char number[16];
    const char *ping[] = {"PING"}, *choose[] = {"SELECT", number};
    const char *named[] = {"AUTH", url->user, url->password}, *plain[] = {"AUTH", url->password};
    snprintf(number, sizeof number, "%d", url->database);
    if (url->user[0] != '\0' && !ask(c, 3, named, why))
        return false;
    if (url->user[0] == '\0' && url->password[0] != '\0' && !ask(c, 2, plain, why))
        return false;
    if (url->database != 0 && !ask(c, 2, choose, why))
        return false;
    return ask(c, 1, ping, why);
}

static redisContext *connect_to(const redis_t *r, char why[WHY_MAX])
{
    struct timeval patience = timeval_of(CONNECT_MS);
    redisContext *c = r->url.path[0] != '\0'
                          ? redisConnectUnixWithTimeout(r->url.path, patience)
                          : redisConnectWithTimeout(r->url.host, r->url.port, patience);
    if (c == NULL || c->err != 0)
        snprintf(why, WHY_MAX, "connect: %s", c == NULL ? "no memory" : c->errstr);
    else if (redisSetTimeout(c, patience) == REDIS_OK && greet(&r->url, c, why) &&
             redisSetTimeout(c, timeval_of(r->timeout_ms)) == REDIS_OK)
        return c;
    if (c != NULL)
        redisFree(c);
    return NULL;
}

/* ---- here and away; the caller has the lock ---- */

static void drop_free(redis_t *r)
{
    while (r->free_count > 0) {
        redisFree(r->free[--r->free_count]);
        r->open_count--;
    }
}

/* Waits double, also for a Redis that comes and goes. */
static int64_t longer(const redis_t *r)
{
    if (r->backoff_ms == 0 || (r->is_here && plumb_mono_ms() - r->found_ms > r->retry_max_ms))
        return r->retry_ms;
    return r->backoff_ms * 2 < r->retry_max_ms ? r->backoff_ms * 2 : r->retry_max_ms;
}

static void lose(redis_t *r, const char *why)
{
    if (r->is_here || r->why[0] == '\0')
        plumb_log_event(LOG_WARNING, "redis_lost", "limits=in_process why=\"%s\"", why);
    snprintf(r->why, sizeof r->why, "%s", why);
    r->backoff_ms = r->pause_ms = longer(r);
    r->is_here = false;
    r->losses++;
    drop_free(r);
    plumb_metric_set(PLUMB_M_REDIS_HERE, "", 0);
    pthread_cond_broadcast(&r->freed); /* nobody waits any longer */
    pthread_cond_signal(&r->work);
}

static void find(redis_t *r)
{
    if (r->is_here)
        return;
    plumb_log_event(LOG_NOTICE, "redis_found", "limits=shared");
    r->is_here = true;
    r->found_ms = plumb_mono_ms();
    plumb_metric_set(PLUMB_M_REDIS_HERE, "", 1);
}

/* ---- the thread ---- */

/* One more connection.  Where only further ones fail, those that are there go on. */
static void add_one(redis_t *r)
{
    char why[WHY_MAX] = "set a time-out";
    uint64_t losses = r->losses;
    pthread_mutex_unlock(&r->lock);
    redisContext *c = connect_to(r, why);
    pthread_mutex_lock(&r->lock);
    if (losses != r->losses) { /* it may be of before the loss */
        if (c != NULL)
            redisFree(c);
    } else if (c != NULL) {
        r->free[r->free_count++] = c;
        r->open_count++;
        find(r);
        pthread_cond_signal(&r->freed);
    } else if (r->is_here) {
        r->pause_ms = r->retry_max_ms;
    } else {
        lose(r, why);
    }
}

static void wait_for_turn(redis_t *r)
{
    struct timespec until = after(r->pause_ms);
    r->pause_ms = 0;
    while (!r->stopping && pthread_cond_timedwait(&r->work, &r->lock, &until) == 0)
        ;
}

/* Wait for something to do; ask now and then, so that a loss is known before a request finds it. */
static void probe(redis_t *r)
{
    const char *ping[] = {"PING"};
    struct timespec until = after(PROBE_MS);
    if (pthread_cond_timedwait(&r->work, &r->lock, &until) == 0)
        return;
    pthread_mutex_unlock(&r->lock);
    freeReplyObject(redis_run(r, 1, ping, NULL));
    pthread_mutex_lock(&r->lock);
}

static void *redis_main(void *self)
{
    redis_t *r = self;
    pthread_mutex_lock(&r->lock);
    while (!r->stopping) {
        if (r->pause_ms > 0)
            wait_for_turn(r);
        else if (r->open_count < r->most)
            add_one(r);
        else
            probe(r);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- life ---- */

static int start(redis_t *r, plumb_err_t *err)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->freed, &attr);
    pthread_cond_init(&r->work, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&r->lock, NULL);
    r->free = calloc(r->most, sizeof(redisContext *));
    if (r->free == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "redis");
    int error = pthread_create(&r->thread, NULL, redis_main, r);
    r->running = error == 0;
    return error == 0 ? 0 : plumb_err_set(err, PLUMB_E_SYSTEM, "redis: %s", strerror(error));
}

int redis_new(redis_t **ret, const plumb_conf_t *conf, plumb_err_t *err)
{
    *ret = NULL;
    if (conf->redis_url[0] == '\0')
        return 0;
    redis_t *r = calloc(1, sizeof *r);
    if (r == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "redis");
    r->most = (unsigned)conf->redis_connections;
    r->timeout_ms = conf->redis_timeout;
    r->retry_ms = conf->redis_retry;
    r->retry_max_ms = conf->redis_retry_max;
    int rc = plumb_redis_url_parse(&r->url, conf->redis_url, err);
    if (rc < 0) {
        free(r);
        return plumb_err_add(err, "redis.url");
    }
    rc = start(r, err);
    *ret = r;
    if (rc < 0)
        redis_destroy(ret);
    return rc;
}

void redis_destroy(redis_t **redis)
{
    if (*redis == NULL)
        return;
    redis_t *r = *redis;
    if (r->running) {
        pthread_mutex_lock(&r->lock);
        r->stopping = true;
        pthread_cond_signal(&r->work);
        pthread_mutex_unlock(&r->lock);
        pthread_join(r->thread, NULL);
    }
    drop_free(r);
    free(r->free);
    pthread_cond_destroy(&r->freed);
    pthread_cond_destroy(&r->work);
    pthread_mutex_destroy(&r->lock);
    free(r);
    *redis = NULL;
}

bool redis_is_here(redis_t *redis, plumb_err_t *err)
{
    pthread_mutex_lock(&redis->lock);
    bool here = redis->is_here;
    if (!here)
        plumb_err_set(err, PLUMB_E_UNAVAILABLE, "%s",
                      redis->why[0] != '\0' ? redis->why : "not reached yet");
    pthread_mutex_unlock(&redis->lock);
    return here;
}

void redis_distrust(redis_t *redis, const char *why)
{
    pthread_mutex_lock(&redis->lock);
    if (redis->is_here)
        lose(redis, why);
    pthread_mutex_unlock(&redis->lock);
}

/* ---- commands ---- */

static redisContext *borrow(redis_t *r, uint64_t *losses)
{
    redisContext *c = NULL;
    pthread_mutex_lock(&r->lock);
    if (r->is_here && r->free_count == 0) {
        struct timespec until = after(r->timeout_ms);
        while (r->is_here && r->free_count == 0 &&
               pthread_cond_timedwait(&r->freed, &r->lock, &until) == 0)
            ;
    }
    if (r->is_here && r->free_count > 0)
        c = r->free[--r->free_count];
    *losses = r->losses;
    pthread_mutex_unlock(&r->lock);
    return c;
}

static void give_back(redis_t *r, redisContext *c, uint64_t losses)
{
    const char *why = c->err == REDIS_ERR_IO && errno == EAGAIN ? "no answer in time" : c->errstr;
    pthread_mutex_lock(&r->lock);
    if (losses == r->losses && c->err == 0) {
        r->free[r->free_count++] = c;
        pthread_cond_signal(&r->freed);
        c = NULL;
    } else {
        r->open_count--;
        if (losses == r->losses)
            lose(r, why);
        pthread_cond_signal(&r->work);
    }
    pthread_mutex_unlock(&r->lock);
    if (c != NULL)
        redisFree(c);
}

redisReply *redis_run(redis_t *redis, int count, const char **words, const size_t *lengths)
{
    uint64_t losses;
    redisContext *c = borrow(redis, &losses);
    if (c == NULL)
        return NULL;
    redisReply *reply = redisCommandArgv(c, count, words, lengths);
    give_back(redis, c, losses);
    return reply;
}
