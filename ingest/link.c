/* One loop over one socket in, one socket out. */
#include "link.h"

#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "sock.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HERE_MS 1000
#define ENDPOINT_MAX 256

struct link {
    const plumb_conf_t *conf;
    handover_t *handover;
    char beacon_endpoint[ENDPOINT_MAX], results_endpoint[ENDPOINT_MAX];
    uint64_t instance;
    int stop_fd; /* readable: end */
    pthread_t thread;
    bool running;
};

/* ---- the thread ---- */

typedef struct wires {
    zsock_t *beacon, *results;
    plumb_note_space_t space;
    plumb_buf_t out;
} wires_t;

static void take_beacon(link_t *l, wires_t *w, zmq_msg_t *msg)
{
    plumb_note_t note = {0};
    plumb_err_t err = {0};
    int rc = plumb_note_decode(&note, &w->space, zmq_msg_data(msg), zmq_msg_size(msg), &err);
    if (rc == 0 && note.type == PLUMB_MSG_BEACON)
        handover_beacon(l->handover, &note, plumb_mono_ms());
    else
        plumb_metric_add(PLUMB_M_FRAMES_REFUSED, rc < 0 ? "malformed" : "unexpected", 1);
}

static void take_beacons(link_t *l, wires_t *w)
{
    zmq_msg_t msg;
    while (plumb_sock_receive(w->beacon, &msg) == 1) {
        take_beacon(l, w, &msg);
        zmq_msg_close(&msg);
    }
}

static void say_here(link_t *l, wires_t *w)
{
    plumb_err_t err = {0};
    plumb_note_t note = {.type = PLUMB_MSG_HERE,
                         .name = {l->conf->ingest_name, strlen(l->conf->ingest_name)},
                         .instance = l->instance};
    if (plumb_note_encode(&w->out, &note, &err) < 0)
        plumb_log_event(LOG_WARNING, "here_not_sent", "why=\"%s\"", err.text);
    else if (plumb_sock_send(w->results, w->out.data, w->out.length) == 0)
        plumb_metric_add(PLUMB_M_SENDS_REFUSED, "here", 1);
}

static void run(link_t *l, wires_t *w)
{
    zmq_pollitem_t items[] = {{.socket = zsock_resolve(w->beacon), .events = ZMQ_POLLIN},
                              {.fd = l->stop_fd, .events = ZMQ_POLLIN}};
    int64_t due_ms = plumb_mono_ms();
    while ((items[1].revents & ZMQ_POLLIN) == 0) {
        int64_t now_ms = plumb_mono_ms();
        if (now_ms >= due_ms) {
            say_here(l, w);
            due_ms = now_ms + HERE_MS;
        }
        zmq_poll(items, 2, (long)(due_ms - now_ms));
        take_beacons(l, w);
    }
}

static void *link_main(void *self)
{
    link_t *l = self;
    wires_t w = {0};
    plumb_err_t err = {0};
    w.beacon = plumb_sock_connect(PLUMB_SOCK_SUB, l->beacon_endpoint, NULL, &err);
    if (w.beacon != NULL)
        w.results = plumb_sock_connect(PLUMB_SOCK_PUSH, l->results_endpoint, NULL, &err);
    if (w.results != NULL)
        run(l, &w);
    else /* leads are still taken; all of them wait for the tracker */
        plumb_log_event(LOG_ERR, "no_socket", "why=\"%s\"", err.text);
    zsock_destroy(&w.results);
    zsock_destroy(&w.beacon);
    plumb_note_space_fini(&w.space);
    plumb_buf_fini(&w.out);
    return NULL;
}

/* ---- life ---- */

static int start(link_t *l, plumb_err_t *err)
{
    const plumb_conf_t *conf = l->conf;
    int rc = plumb_conf_endpoint(conf, conf->broker_beacon, "broker.beacon", l->beacon_endpoint,
                                 ENDPOINT_MAX, err);
    if (rc == 0)
        rc = plumb_conf_endpoint(conf, conf->tracker_results, "tracker.results",
                                 l->results_endpoint, ENDPOINT_MAX, err);
    if (rc < 0)
        return rc;
    l->stop_fd = eventfd(0, EFD_CLOEXEC);
    int error = l->stop_fd < 0 ? errno : pthread_create(&l->thread, NULL, link_main, l);
    if (error != 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "start the link: %s", strerror(error));
    l->running = true;
    return 0;
}

int link_new(link_t **ret, const plumb_conf_t *conf, handover_t *handover, plumb_err_t *err)
{
    link_t *l = calloc(1, sizeof *l);
    *ret = l;
    if (l == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "link");
    l->conf = conf;
    l->handover = handover;
    l->stop_fd = -1;
    randombytes_buf(&l->instance, sizeof l->instance);
    l->instance >>= 1; /* fits a signed column as well */
    int rc = start(l, err);
    if (rc < 0)
        link_destroy(ret);
    return rc;
}

void link_destroy(link_t **link)
{
    if (link == NULL || *link == NULL)
        return;
    link_t *l = *link;
    if (l->running) {
        eventfd_write(l->stop_fd, 1);
        pthread_join(l->thread, NULL);
    }
    if (l->stop_fd >= 0)
        close(l->stop_fd);
    free(l);
    *link = NULL;
}
