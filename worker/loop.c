/* The loop: one turn takes what has arrived, moves it on as far as it goes, and sends what came of
 * it. */
#include "loop.h"

#include "clock.h"
#include "log.h"
#include "metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 256
#define STEP_LIMIT_MS 2000
#define LOOK_MS 10000       /* the directory is looked at even when nothing was announced */
#define LOOK_BLIND_MS 1000  /* … when it cannot be watched */
#define STOP_CALLS_MS 24000 /* a call still open then is ended */
#define STOP_MS 25000
#define CREDIT_MAX 1024 /* what is held must fit one HELLO */

enum { FROM_NET, FROM_SIGNAL, FROM_DIRECTORY, FROM_WORK, FROM_ACKS };

/* ---- opening ---- */

static int watch_fd(worker_t *w, int fd, uint32_t from, plumb_err_t *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)from << 32 | (uint32_t)fd};
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "epoll: %s", strerror(errno));
    return 0;
}

static int watch_socket(worker_t *w, zsock_t *sock, uint32_t from, plumb_err_t *err)
{
    int fd = plumb_sock_fd(sock, err);
    return fd < 0 ? -(int)err->code : watch_fd(w, fd, from, err);
}

/* The socket for results is not watched: nothing comes from it, and what its descriptor tells of, a
 * peer that went, is looked at by the next send only; until then the loop would not sleep. */
static int watch_all(worker_t *w, plumb_err_t *err)
{
    int rc = watch_fd(w, w->daemon->signal_fd, FROM_SIGNAL, err);
    if (rc == 0 && plugins_fd(w->plugins) >= 0)
        rc = watch_fd(w, plugins_fd(w->plugins), FROM_DIRECTORY, err);
    if (rc == 0)
        rc = watch_socket(w, w->peers.work, FROM_WORK, err);
    return rc == 0 ? watch_socket(w, w->peers.acks, FROM_ACKS, err) : rc;
}

static int open_flight(worker_t *w, uint32_t credit, plumb_err_t *err)
{
    const plumb_conf_t *conf = &w->daemon->conf;
    char path[128], name[128];
    if (snprintf(name, sizeof name, "%s.flight", conf->worker_slot) >= (int)sizeof name)
        return plumb_err_set(err, PLUMB_E_CONFIG, "worker.slot: too long");
    int rc = plumb_conf_run_path(conf, path, sizeof path, name, err);
    return rc < 0 ? rc : flight_open(&w->flight, path, 6 * credit, err);
}

static int open_results(worker_t *w, uint32_t credit, plumb_err_t *err)
{
    size_t count = 0;
    const plumb_conf_t *conf = &w->daemon->conf;
    int rc = results_init(&w->results, w->flight, conf->worker_slot, conf->result_resend,
                          (size_t)4 * credit, err);
    if (rc == 0)
        rc = results_recover(&w->results, &count, err);
    if (rc == 0 && (count > 0 || flight_damaged(w->flight) > 0))
        plumb_log_event(LOG_NOTICE, "flight_recovered", "results=%zu damaged=%u", count,
                        flight_damaged(w->flight));
    return rc;
}

static int open_calls(worker_t *w, uint32_t credit, plumb_err_t *err)
{
    net_hooks_t hooks = {.may_send = call_may_send, .done = call_done};
    int rc = plugins_open(&w->plugins, &w->daemon->conf, err);
    if (rc == 0)
        rc = net_open(&w->net, &w->daemon->conf, w->epoll, FROM_NET, &hooks, err);
    if (rc == 0)
        rc = watchdog_start(&w->watchdog, STEP_LIMIT_MS, err);
    w->calls = (calls_t){.net = w->net,
                         .plugins = w->plugins,
                         .flight = w->flight,
                         .results = &w->results,
                         .lease = &w->peers.lease,
                         .watchdog = w->watchdog};
    return rc == 0 ? calls_init(&w->calls, credit, err) : rc;
}

static int open_link(worker_t *w, uint32_t credit, plumb_err_t *err)
{
    uint64_t instance;
    do
        randombytes_buf(&instance, sizeof instance);
    while (instance == 0);
    size_t unacked = PLUMB_HELD_MAX - 2 * (size_t)credit;
    w->peers.slot = w->daemon->conf.worker_slot;
    w->peers.calls = &w->calls;
    w->peers.kept = &w->results;
    w->peers.plugins = w->plugins;
    w->peers.flight = w->flight;
    w->peers.credit = credit;
    w->peers.unacked_max = unacked < 4 * (size_t)credit ? unacked : 4 * (size_t)credit;
    w->peers.previous = flight_previous(w->flight);
    return peers_open(&w->peers, &w->daemon->conf, instance, err);
}

int worker_open(worker_t *w, plumb_daemon_t *daemon, plumb_err_t *err)
{
    const plumb_conf_t *conf = &daemon->conf;
    *w = (worker_t){.daemon = daemon, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    setlocale(LC_CTYPE, "C.UTF-8"); /* the library turns names of hosts in any script by it */
    if (w->epoll < 0 || sodium_init() < 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "open the loop");
    uint32_t credit = conf->worker_credit < CREDIT_MAX ? (uint32_t)conf->worker_credit : CREDIT_MAX;
    if (credit < conf->worker_credit)
        plumb_log_event(LOG_WARNING, "credit_capped", "wanted=%" PRId64 " credit=%u",
                        conf->worker_credit, credit);
    int rc = open_flight(w, credit, err);
    if (rc == 0)
        rc = open_results(w, credit, err);
    if (rc == 0)
        rc = open_calls(w, credit, err);
    if (rc == 0)
        rc = open_link(w, credit, err);
    if (rc == 0)
        rc = watch_all(w, err);
    if (rc == 0)
        rc = plumb_daemon_admin(daemon, conf->worker_slot, worker_is_ready, w, err);
    if (rc == 0)
        plumb_log_event(LOG_NOTICE, "started", "slot=%s credit=%u", conf->worker_slot, credit);
    return rc;
}

void worker_close(worker_t *w)
{
    if (w->daemon == NULL)
        return;
    watchdog_stop(&w->watchdog);
    if (w->calls.net != NULL)
        calls_fini(&w->calls);
    net_close(&w->net);
    peers_close(&w->peers);
    if (w->results.flight != NULL)
        results_fini(&w->results);
    plugins_close(&w->plugins);
    flight_close(&w->flight);
    if (w->epoll >= 0)
        close(w->epoll);
}

/* ---- health ---- */

int worker_is_ready(void *self, plumb_err_t *err)
{
    worker_t *w = self;
    int64_t answered_ms = atomic_load(&w->peers.answered_ms);
    if (answered_ms == 0)
        return plumb_err_set(err, PLUMB_E_UNAVAILABLE, "no broker has welcomed this worker");
    int64_t silent_ms = plumb_boot_ms() - answered_ms;
    if (silent_ms >= w->daemon->conf.fence)
        return plumb_err_set(err, PLUMB_E_UNAVAILABLE,
                             "the broker has been silent for %" PRId64 " ms", silent_ms);
    return 0;
}

static void tell_systemd(worker_t *w)
{
    if (!w->ready && w->peers.answered_ms != 0) {
        w->ready = true;
        plumb_daemon_ready("delivering");
    }
    plumb_daemon_alive();
}

/* ---- the loop ---- */

static void look(worker_t *w, bool announced, int64_t now_ms)
{
    w->look_ms = now_ms + (plugins_fd(w->plugins) >= 0 ? LOOK_MS : LOOK_BLIND_MS);
    if (announced ? plugins_on_change(w->plugins) : plugins_look(w->plugins))
        peers_channels_changed(&w->peers);
}

static void keep_house(worker_t *w, int64_t now_ms)
{
    w->second_ms = now_ms + 500;
    calls_expire(&w->calls, now_ms);
    plumb_metric_set(PLUMB_M_CALLS, "", (int64_t)calls_count(&w->calls));
    plumb_metric_set(PLUMB_M_UNACKED, "", (int64_t)results_count(&w->results));
    tell_systemd(w);
    if (now_ms >= w->look_ms)
        look(w, false, now_ms);
}

static void begin_to_stop(worker_t *w, int64_t now_ms)
{
    if (w->stop_ms != 0)
        return;
    w->stop_ms = now_ms;
    plumb_daemon_stopping();
    plumb_log_event(LOG_NOTICE, "stopping", "calls=%zu results=%zu", calls_count(&w->calls),
                    results_count(&w->results));
    peers_stop(&w->peers);
}

static bool has_stopped(worker_t *w, int64_t now_ms)
{
    if (w->stop_ms == 0)
        return false;
    if (now_ms - w->stop_ms >= STOP_CALLS_MS && calls_count(&w->calls) > 0)
        calls_cut(&w->calls);
    return peers_is_idle(&w->peers) || now_ms - w->stop_ms >= STOP_MS;
}

static void on_events(worker_t *w, const struct epoll_event *events, int count, int64_t now_ms)
{
    for (int i = 0; i < count; i++) {
        switch (events[i].data.u64 >> 32) {
        case FROM_NET:
            net_on_socket(w->net, (int)(events[i].data.u64 & UINT32_MAX), events[i].events);
            break;
        case FROM_SIGNAL:
            if (plumb_daemon_signalled(w->daemon))
                begin_to_stop(w, now_ms);
            break;
        case FROM_DIRECTORY:
            look(w, true, now_ms);
            break;
        case FROM_WORK:
            w->peers.work_stirred = true;
            break;
        case FROM_ACKS:
            w->peers.acks_stirred = true;
            break;
        default:
            break;
        }
    }
}

static int wait_ms(const worker_t *w, bool busy, int64_t now_ms)
{
    int64_t due_ms = w->second_ms, net_ms = net_due_ms(w->net), link_ms = peers_due_ms(&w->peers);
    due_ms = net_ms < due_ms ? net_ms : due_ms;
    due_ms = link_ms < due_ms ? link_ms : due_ms;
    if (busy || due_ms <= now_ms)
        return 0;
    return (int)(due_ms - now_ms);
}

int worker_run(worker_t *w, plumb_err_t *err)
{
    struct epoll_event events[EVENTS];
    bool busy = true;
    int64_t now_ms = plumb_mono_ms();
    while (!has_stopped(w, now_ms)) {
        int count = epoll_wait(w->epoll, events, EVENTS, wait_ms(w, busy, now_ms));
        if (count < 0 && errno != EINTR)
            return plumb_err_set(err, PLUMB_E_SYSTEM, "epoll: %s", strerror(errno));
        now_ms = plumb_mono_ms();
        on_events(w, events, count, now_ms);
        peers_drain(&w->peers);
        net_run(w->net, now_ms);
        peers_flush(&w->peers);
        if (now_ms >= w->second_ms)
            keep_house(w, now_ms);
        /* Sending may have swallowed the signal that something came: look once more. */
        busy = peers_drain(&w->peers);
    }
    plumb_log_event(LOG_NOTICE, "stopped", "calls=%zu results=%zu", calls_count(&w->calls),
                    results_count(&w->results));
    return 0;
}
