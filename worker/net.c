/* The loop's side of the library: sockets, timers, what has ended. */
#include "mail.h"
#include "net_priv.h"

#include "clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define CONNECTIONS_MAX 64 /* idle ones of one credential */

/* ---- descriptors ---- */

static watch_t *watch_of(net_t *net, int fd)
{
    size_t wanted = (size_t)fd + 1;
    if (wanted > net->watch_count) {
        size_t count = net->watch_count == 0 ? 64 : net->watch_count;
        while (count < wanted)
            count *= 2;
        watch_t *grown = realloc(net->watches, count * sizeof *grown);
        if (grown == NULL)
            return NULL;
        memset(grown + net->watch_count, 0, (count - net->watch_count) * sizeof *grown);
        net->watches = grown;
        net->watch_count = count;
    }
    return &net->watches[fd];
}

/* A descriptor's number may have been closed and given out again behind our back, so what the
 * kernel holds is believed before what we noted. */
static void set_events(net_t *net, int fd, watch_t *watch, uint32_t events)
{
    struct epoll_event event = {.events = events,
                                .data.u64 = (uint64_t)net->mark << 32 | (uint32_t)fd};
    int first = watch->have != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(net->epoll, first, fd, &event) != 0)
        epoll_ctl(net->epoll, errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
    watch->have = events;
}

void net_unwatch(net_t *net, int fd)
{
    watch_t *watch = &net->watches[fd];
    if (watch->have != 0)
        epoll_ctl(net->epoll, EPOLL_CTL_DEL, fd, NULL);
    *watch = (watch_t){0};
}

/* Between two requests on a connection the library stops and starts watching it.  The first is not
 * passed on to the kernel: should the idle connection stir, net_on_socket sees to it. */
static int on_watch(CURL *easy, curl_socket_t fd, int what, void *self, void *unused)
{
    lane_t *lane = self;
    watch_t *watch = watch_of(lane->net, fd);
    (void)easy;
    (void)unused;
    if (watch == NULL)
        return -1;
    if (what == CURL_POLL_REMOVE) {
        if (watch->lane == lane)
            watch->want = 0;
        return 0;
    }
    watch->lane = lane;
    watch->want = ((what & CURL_POLL_IN) != 0 ? (uint32_t)EPOLLIN : 0) |
                  ((what & CURL_POLL_OUT) != 0 ? (uint32_t)EPOLLOUT : 0);
    if (watch->want != watch->have)
        set_events(lane->net, fd, watch, watch->want);
    return 0;
}

/* ---- timers ---- */

static int on_timer(CURLM *multi, long wait_ms, void *self)
{
    lane_t *lane = self;
    (void)multi;
    if (wait_ms < 0)
        timers_unset(&lane->net->timers, &lane->due);
    else
        return timers_set(&lane->net->timers, &lane->due, plumb_mono_ms() + wait_ms);
    return 0;
}

int64_t net_due_ms(const net_t *net)
{
    const due_t *first = timers_first(&net->timers);
    return first != NULL ? first->at_ms : INT64_MAX;
}

/* ---- what happened ---- */

static void take_ended(lane_t *lane)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(lane->multi, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result;
        char *transfer = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
        curl_multi_remove_handle(lane->multi, easy);
        transfer_finish((transfer_t *)(void *)transfer, code);
    }
}

static void act(lane_t *lane, curl_socket_t fd, int flags)
{
    int running;
    curl_multi_socket_action(lane->multi, fd, flags, &running);
    take_ended(lane);
}

void net_on_socket(net_t *net, int fd, uint32_t events)
{
    if (fd == net->post_event) {
        mails_on_event(net);
        return;
    }
    watch_t *watch = (size_t)fd < net->watch_count ? &net->watches[fd] : NULL;
    if (watch == NULL)
        return;
    if (watch->lane == NULL || watch->want == 0) {
        net_unwatch(net, fd);
        return;
    }
    int flags = ((events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP)) != 0 ? CURL_CSELECT_IN : 0) |
                ((events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
                ((events & EPOLLERR) != 0 ? CURL_CSELECT_ERR : 0);
    act(watch->lane, fd, flags);
}

void net_run(net_t *net, int64_t now_ms)
{
    for (due_t *due; (due = timers_first(&net->timers)) != NULL && due->at_ms <= now_ms;) {
        timers_unset(&net->timers, due);
        act(due->owner, CURL_SOCKET_TIMEOUT, 0);
    }
    lanes_expire(net, now_ms);
}

/* ---- life ---- */

int net_adopt(net_t *net, lane_t *lane)
{
    (void)net;
    CURLMcode code = curl_multi_setopt(lane->multi, CURLMOPT_SOCKETFUNCTION, on_watch);
    code |= curl_multi_setopt(lane->multi, CURLMOPT_SOCKETDATA, lane);
    code |= curl_multi_setopt(lane->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    code |= curl_multi_setopt(lane->multi, CURLMOPT_TIMERDATA, lane);
    code |= curl_multi_setopt(lane->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
    code |= curl_multi_setopt(lane->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return code == CURLM_OK ? 0 : -1;
}

const guard_t *net_guard(const net_t *net)
{
    return &net->guard;
}

int net_open(net_t **ret, const plumb_conf_t *conf, int epoll, uint32_t mark,
             const net_hooks_t *hooks, plumb_err_t *err)
{
    net_t *net = *ret = calloc(1, sizeof *net);
    if (net == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return plumb_err_set(err, PLUMB_E_MEMORY, "outside calls");
    net->epoll = epoll;
    net->post_event = -1;
    net->mark = mark;
    net->hooks = *hooks;
    net->connect_timeout_ms = conf->connect_timeout;
    net->call_timeout_ms = conf->call_timeout;
    net->response_read = (size_t)conf->response_read;
    net->response_keep = (size_t)conf->response_keep;
    int rc = guard_init(&net->guard, conf, err);
    if (rc == 0 && conf->development)
        rc = guard_connect_to(conf->connect_to, &net->connect_to, err);
    if (rc == 0 && conf->development && conf->ca_file[0] != '\0') {
        net->ca_file = strdup(conf->ca_file);
        if (net->ca_file == NULL)
            rc = plumb_err_set(err, PLUMB_E_MEMORY, "outside calls");
    }
    if (rc == 0)
        rc = mails_open(net, err);
    if (rc < 0)
        net_close(ret);
    return rc;
}

void net_close(net_t **net)
{
    if (*net == NULL)
        return;
    mails_close(*net);
    lanes_close(*net);
    if ((*net)->post != NULL) /* a thread of it has not ended */
        return;
    curl_slist_free_all((*net)->connect_to);
    free((*net)->ca_file);
    free((*net)->watches);
    timers_fini(&(*net)->timers);
    free(*net);
    *net = NULL;
    curl_global_cleanup();
}
