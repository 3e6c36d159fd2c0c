/* Group commit, greedy: an idle system pays no delay and a busy one forms its groups by itself.
 * Only while deliveries lag behind do groups gather for a few milliseconds: senders who wait for
 * their answers then send no faster than delivery goes, and fewer, larger commits leave it the
 * processors.
 *
 * A group that fails because of its content is tried again in halves, so that a bad row fails
 * alone; one whose outcome is unknown is never tried again. */
#include "committer.h"

#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "sock.h"
#include "store_commit.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define GROUP_BYTES (1U << 20) /* of one group, unless a single lead is larger */
#define CONFLICT_TRIES 3
#define CONFLICT_MS 2500   /* no further try after this: those behind wait too */
#define PROBE_MS 1000      /* between questions while nothing is to be committed */
#define GATHER_MORE_US 150 /* longer after each group that found the broker full … */
#define GATHER_LESS_US 25  /* … and shorter after each that did not */

/* Leads that are committed together. */
typedef struct commit_group {
    prepared_t **leads;         /* owned; group_max of them */
    commit_verdict_t *verdicts; /* owned; likewise */
    size_t count;
} group_t;

typedef struct committer {
    committers_t *all;
    pthread_t thread;
    bool running;
    commit_store_t store;
    zsock_t *jobs; /* PUSH to the broker */
    group_t group;
    group_t done; /* committed, its senders not told yet */
} committer_t;

struct committers {
    const plumb_conf_t *conf;
    size_t group_max, queue_max;
    char jobs_endpoint[256];
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    prepared_t *first, *last; /* the queue */
    size_t waiting;
    unsigned idle; /* committers that wait for work */
    int64_t gather_us;
    bool stopping;
    bool connected;        /* the newest news of the database */
    char why[256];         /* it is not */
    atomic_llong clock_ms; /* PostgreSQL's clock minus our monotonic one; 0: not known */
    unsigned count;
    committer_t *each; /* owned */
};

/* ---- prepared leads ---- */

void prepared_clear(prepared_t *prepared)
{
    plumb_buf_clear(&prepared->record);
    plumb_buf_clear(&prepared->deliveries);
    plumb_buf_clear(&prepared->jobs);
    prepared->delivery_count = 0;
    prepared->is_keyed = false;
    prepared->is_crowded = false;
    prepared->keys = (lead_keys_t){.quiz = NULL};
    prepared->fate = (lead_fate_t){.paid = true};
    prepared->next = NULL;
}

void prepared_fini(prepared_t *prepared)
{
    plumb_buf_fini(&prepared->record);
    plumb_buf_fini(&prepared->deliveries);
    plumb_buf_wipe(&prepared->jobs);
}

/* ---- waking ---- */

/* A futex each, since a condition variable would make every waiter take the one lock again. */
static void settle(prepared_t *p, commit_verdict_t verdict)
{
    atomic_store(&p->verdict, verdict);
    syscall(SYS_futex, &p->verdict, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static commit_verdict_t await(prepared_t *p)
{
    int verdict;
    while ((verdict = atomic_load(&p->verdict)) == COMMIT_WAITING)
        syscall(SYS_futex, &p->verdict, FUTEX_WAIT_PRIVATE, COMMIT_WAITING, NULL, NULL, 0);
    return (commit_verdict_t)verdict;
}

commit_verdict_t committers_commit(committers_t *committers, prepared_t *prepared)
{
    committers_t *c = committers;
    atomic_store(&prepared->verdict, COMMIT_WAITING);
    pthread_mutex_lock(&c->lock);
    bool full = c->waiting >= c->queue_max || c->stopping;
    if (!full) {
        prepared->next = NULL;
        if (c->last != NULL)
            c->last->next = prepared;
        else
            c->first = prepared;
        c->last = prepared;
        c->waiting++;
        if (c->idle > 0)
            pthread_cond_signal(&c->arrived);
    }
    pthread_mutex_unlock(&c->lock);
    return full ? COMMIT_AWAY : await(prepared);
}

size_t committers_waiting(committers_t *committers)
{
    pthread_mutex_lock(&committers->lock);
    size_t waiting = committers->waiting;
    pthread_mutex_unlock(&committers->lock);
    return waiting;
}

/* ---- clock and health ---- */

int64_t committers_now_ms(const committers_t *committers)
{
    int64_t offset = atomic_load(&committers->clock_ms);
    return offset == 0 ? 0 : plumb_mono_ms() + offset;
}

static void set_clock(committers_t *c, int64_t now_ms)
{
    if (now_ms != 0)
        atomic_store(&c->clock_ms, now_ms - plumb_mono_ms());
}

int committers_ready(committers_t *committers, plumb_err_t *err)
{
    pthread_mutex_lock(&committers->lock);
    int rc = committers->connected
                 ? 0
                 : plumb_err_set(err, PLUMB_E_DB_AWAY, "database: %s", committers->why);
    pthread_mutex_unlock(&committers->lock);
    return rc;
}

/* Note whether the database is there; each change is one line in the log. */
static void note(committers_t *c, int rc, const plumb_err_t *err)
{
    bool away = rc == -PLUMB_E_DB_AWAY || rc == -PLUMB_E_DB_UNKNOWN || rc == -PLUMB_E_DATABASE;
    pthread_mutex_lock(&c->lock);
    bool changed = c->connected == away;
    c->connected = !away;
    if (away)
        strncpy(c->why, err->text, sizeof c->why - 1);
    pthread_mutex_unlock(&c->lock);
    if (changed && away)
        plumb_log_event(LOG_ERR, "database_lost", "why=\"%s\"", err->text);
    else if (changed)
        plumb_log_event(LOG_NOTICE, "database_found", "for=commits");
}

/* ---- one group ---- */

static void push_jobs(committer_t *c, const prepared_t *p)
{
    size_t length;
    for (size_t at = 0; at < p->jobs.length; at += sizeof length + length) {
        memcpy(&length, p->jobs.data + at, sizeof length);
        /* Nothing is lost when the broker is away or full: the tracker's audit finds the row. */
        if (plumb_sock_send(c->jobs, p->jobs.data + at + sizeof length, length) == 0)
            plumb_metric_add(PLUMB_M_SENDS_REFUSED, "job", 1);
    }
}

/* Stored, and its deliveries not held. */
static bool goes_out(const group_t *group, size_t i)
{
    const lead_fate_t *fate = &group->leads[i]->fate;
    return group->verdicts[i] == COMMIT_DONE && fate->paid && plumb_uuid_is_nil(&fate->original);
}

static void settle_committed(committer_t *c, const group_t *group)
{
    for (size_t i = 0; i < group->count; i++) {
        if (goes_out(group, i))
            push_jobs(c, group->leads[i]);
        settle(group->leads[i], group->verdicts[i]);
    }
}

/* Tell the senders of the group before: they are woken while the server works on the next one. */
static void settle_done(void *self)
{
    committer_t *c = self;
    settle_committed(c, &c->done);
    c->done.count = 0;
}

/* A database without our schema is as good as none: it is no fault of the leads. */
static int connect_store(committer_t *c, int64_t timeout_ms, int64_t *now_ms, plumb_err_t *err)
{
    int rc = commit_store_connect(&c->store, timeout_ms, now_ms, err);
    if (rc == 0 || rc == -PLUMB_E_DB_AWAY)
        return rc;
    plumb_err_t why = *err;
    return plumb_err_set(err, PLUMB_E_DB_AWAY, "%s", why.text);
}

/* Run the statement; what another transaction's lock or a deadlock broke off is tried again. */
static int run_group(committer_t *c, const group_t *group, plumb_err_t *err)
{
    const plumb_meanwhile_t meanwhile = {settle_done, c};
    int64_t began_ms = plumb_mono_ms();
    for (int try = 1;; try++) {
        int64_t now_ms = 0, timeout_ms = c->all->conf->commit_timeout;
        int rc = connect_store(c, timeout_ms, &now_ms, err);
        int64_t began_us = plumb_mono_us();
        if (rc == 0)
            rc = commit_store_run(&c->store,
                                  &(commit_batch_t){group->leads, group->verdicts, group->count,
                                                    committers_now_ms(c->all)},
                                  &now_ms, timeout_ms, &meanwhile, err);
        set_clock(c->all, now_ms);
        if (rc == 0) {
            plumb_metric_observe_ms(PLUMB_M_COMMIT_LEADS, "", (double)group->count);
            plumb_metric_observe_ms(PLUMB_M_COMMIT_SECONDS, "",
                                    (double)(plumb_mono_us() - began_us) / 1000);
        }
        note(c->all, group->count > 1 && rc == -PLUMB_E_DATABASE ? 0 : rc, err);
        if (rc != -PLUMB_E_DB_CONFLICT || try == CONFLICT_TRIES ||
            plumb_mono_ms() - began_ms > CONFLICT_MS)
            return rc;
        struct timespec pause = {.tv_nsec = randombytes_uniform(20000000)};
        nanosleep(&pause, NULL);
    }
}

static commit_verdict_t verdict_of(int rc)
{
    switch (-rc) {
    case PLUMB_E_DB_VALUE:
        return COMMIT_REFUSED;
    case PLUMB_E_DB_AWAY:
    case PLUMB_E_DB_UNKNOWN:
    case PLUMB_E_DB_CONFLICT:
        return COMMIT_AWAY;
    default:
        return COMMIT_FAILED;
    }
}

static void settle_refused(committer_t *c, const group_t *part, int rc, const plumb_err_t *err);

/* Commit a part of a group that failed as a whole, in halves again: as deep as the group's
 * logarithm. */
static void commit_part(committer_t *c, const group_t *part)
{
    plumb_err_t err = {0};
    int rc = run_group(c, part, &err);
    if (rc == 0)
        settle_committed(c, part);
    else
        settle_refused(c, part, rc, &err);
}

/* What failed because of its content is tried in halves, so that a bad row fails alone. */
static void settle_refused(committer_t *c, const group_t *part, int rc, const plumb_err_t *err)
{
    commit_verdict_t verdict = verdict_of(rc);
    bool is_at_fault = verdict == COMMIT_REFUSED || verdict == COMMIT_FAILED;
    plumb_metric_add(PLUMB_M_DB_ERRORS, plumb_code_slug(err->code), 1);
    if (is_at_fault && part->count > 1) {
        size_t half = part->count / 2;
        commit_part(c, &(group_t){part->leads, part->verdicts, half});
        commit_part(c, &(group_t){part->leads + half, part->verdicts + half, part->count - half});
        return;
    }
    if (is_at_fault)
        plumb_log_event(LOG_WARNING, "lead_not_stored", "why=\"%s\"", err->text);
    for (size_t i = 0; i < part->count; i++)
        settle(part->leads[i], verdict);
}

static void commit_group(committer_t *c)
{
    plumb_err_t err = {0};
    int rc = run_group(c, &c->group, &err);
    settle_done(c); /* unless that was done while the server worked */
    if (rc < 0) {
        settle_refused(c, &c->group, rc, &err);
        return;
    }
    group_t done = c->group;
    c->group = c->done;
    c->done = done;
}

/* ---- the thread ---- */

/* Wait for leads.  False: for so long there were none that the database should be asked after. */
static bool wait_for_work(committers_t *c)
{
    struct timespec until;
    int late = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PROBE_MS / 1000;
    c->idle++;
    while (c->first == NULL && !c->stopping && late == 0)
        late = pthread_cond_timedwait(&c->arrived, &c->lock, &until);
    c->idle--;
    return late == 0;
}

/* Will the next group be on its way at once? */
static bool is_next_at_hand(const committers_t *c)
{
    return c->first != NULL && c->gather_us == 0;
}

/* Give others time to join the first that came. */
static void gather(committers_t *c)
{
    int64_t gather_us = c->gather_us;
    if (gather_us == 0 || c->first == NULL || c->waiting >= c->group_max || c->stopping)
        return;
    struct timespec pause = {.tv_nsec = gather_us * 1000};
    pthread_mutex_unlock(&c->lock);
    nanosleep(&pause, NULL);
    pthread_mutex_lock(&c->lock);
}

static void adapt_gathering(committers_t *c, bool crowded)
{
    int64_t gather_us = c->gather_us + (crowded ? GATHER_MORE_US : -GATHER_LESS_US);
    int64_t most_us = c->conf->ingest_gather * 1000;
    gather_us = gather_us > most_us ? most_us : gather_us;
    c->gather_us = gather_us > 0 ? gather_us : 0;
    plumb_metric_set(PLUMB_M_INTAKE_GATHER, "", c->gather_us);
}

/* Take what has gathered, within the bounds of a group. */
static void take_group(committer_t *c)
{
    committers_t *all = c->all;
    group_t *group = &c->group;
    size_t bytes = 0, crowded = 0;
    group->count = 0;
    while (all->first != NULL && group->count < all->group_max && bytes < GROUP_BYTES) {
        prepared_t *p = all->first;
        all->first = p->next;
        if (all->first == NULL)
            all->last = NULL;
        bytes += p->record.length + p->deliveries.length;
        crowded += p->is_crowded;
        group->leads[group->count++] = p;
    }
    all->waiting -= group->count;
    if (group->count > 0)
        adapt_gathering(all, crowded > 0);
    plumb_metric_set(PLUMB_M_INTAKE_WAITING, "", (int64_t)all->waiting);
    if (all->first != NULL && all->idle > 0)
        pthread_cond_signal(&all->arrived);
}

/* Ask the database for its time: for our clock, and to know early when it is away or back. */
static void probe(committer_t *c)
{
    plumb_err_t err = {0};
    int64_t now_ms = 0;
    int rc = commit_store_probe(&c->store, c->all->conf->commit_timeout, &now_ms, &err);
    set_clock(c->all, now_ms);
    note(c->all, rc, &err);
}

/* All senders wait for this thread, so it does not wait for those that run, as the others do. */
static void wake_at_once(void)
{
    const struct sched_param none = {.sched_priority = 0};
    pthread_setschedparam(pthread_self(), SCHED_OTHER, &none);
}

static void *committer_main(void *self)
{
    committer_t *c = self;
    committers_t *all = c->all;
    plumb_err_t err = {0};
    wake_at_once();
    c->jobs = plumb_sock_connect(PLUMB_SOCK_PUSH, all->jobs_endpoint, NULL, &err);
    if (c->jobs == NULL) /* what would be pushed is found by the tracker's audit */
        plumb_log_event(LOG_ERR, "no_socket", "why=\"%s\"", err.text);
    probe(c);
    pthread_mutex_lock(&all->lock);
    while (!all->stopping || all->first != NULL || c->done.count > 0) {
        if (c->done.count > 0 && !is_next_at_hand(all)) {
            pthread_mutex_unlock(&all->lock);
            settle_done(c);
            pthread_mutex_lock(&all->lock);
            continue;
        }
        bool quiet = !wait_for_work(all);
        gather(all);
        take_group(c);
        pthread_mutex_unlock(&all->lock);
        if (c->group.count > 0)
            commit_group(c);
        else if (quiet)
            probe(c);
        pthread_mutex_lock(&all->lock);
    }
    pthread_mutex_unlock(&all->lock);
    zsock_destroy(&c->jobs);
    return NULL;
}

/* ---- life ---- */

static bool group_init(group_t *group, size_t max)
{
    group->leads = calloc(max, sizeof(prepared_t *));
    group->verdicts = calloc(max, sizeof *group->verdicts);
    return group->leads != NULL && group->verdicts != NULL;
}

static void group_fini(group_t *group)
{
    free(group->leads);
    free(group->verdicts);
}

static int start(committers_t *all, committer_t *c, plumb_err_t *err)
{
    c->all = all;
    if (!group_init(&c->group, all->group_max) || !group_init(&c->done, all->group_max))
        return plumb_err_set(err, PLUMB_E_MEMORY, "committer");
    int rc = commit_store_init(&c->store, all->conf->database, err);
    if (rc < 0)
        return rc;
    int error = pthread_create(&c->thread, NULL, committer_main, c);
    if (error != 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "start a committer: %s", strerror(error));
    c->running = true;
    return 0;
}

int committers_new(committers_t **ret, const plumb_conf_t *conf, plumb_err_t *err)
{
    committers_t *c = calloc(1, sizeof *c);
    *ret = c;
    if (c == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "committers");
    c->conf = conf;
    c->group_max = (size_t)conf->ingest_group;
    c->queue_max = (size_t)conf->ingest_queue;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->arrived, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&c->lock, NULL);
    strncpy(c->why, "not connected yet", sizeof c->why - 1);
    int rc = plumb_conf_endpoint(conf, conf->broker_jobs, "broker.jobs", c->jobs_endpoint,
                                 sizeof c->jobs_endpoint, err);
    c->each = calloc((size_t)conf->ingest_committers, sizeof *c->each);
    if (rc == 0 && c->each == NULL)
        rc = plumb_err_set(err, PLUMB_E_MEMORY, "committers");
    for (; rc == 0 && c->count < (unsigned)conf->ingest_committers; c->count++)
        rc = start(c, &c->each[c->count], err);
    if (rc < 0)
        committers_destroy(ret);
    return rc;
}

void committers_destroy(committers_t **committers)
{
    if (committers == NULL || *committers == NULL)
        return;
    committers_t *c = *committers;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_broadcast(&c->arrived);
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < c->count; i++) {
        if (c->each[i].running)
            pthread_join(c->each[i].thread, NULL);
        commit_store_fini(&c->each[i].store);
        group_fini(&c->each[i].group);
        group_fini(&c->each[i].done);
    }
    free(c->each);
    pthread_cond_destroy(&c->arrived);
    pthread_mutex_destroy(&c->lock);
    free(c);
    *committers = NULL;
}
