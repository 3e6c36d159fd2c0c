/* The broker's loop: whatever has arrived goes into the core, in batches small enough that no
 * socket waits long for another; then the core's own step. */
#include "loop.h"

#include "clock.h"
#include "count.h"
#include "log.h"
#include "metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>

#define INPUTS 4
#define TURN_MS 1000   /* at least one turn in so long: watchdog, figures */
#define STOP_MS 5000   /* at most, for acks of what was given up */
#define TRIM_MS 10000  /* between returns of freed memory to the system */
#define STILL_MS 10000 /* a loop that has not turned for so long is not healthy */

/* --- outputs of the core --- */

static bool counted(int sent, const char *label)
{
    if (sent == 0)
        plumb_metric_add(PLUMB_M_SENDS_REFUSED, label, 1);
    return sent != 0;
}

static bool to_worker(void *self, const char *slot, const void *frame, size_t length)
{
    loop_t *loop = self;
    loop->work.sent = true;
    return counted(plumb_sock_send_to(loop->work.sock, slot, strlen(slot), frame, length), "work");
}

static bool to_tracker(void *self, const void *frame, size_t length)
{
    loop_t *loop = self;
    return counted(plumb_sock_send(loop->results, frame, length), "report");
}

static bool to_control(void *self, const void *identity, size_t identity_length, const void *frame,
                       size_t length)
{
    loop_t *loop = self;
    loop->control.sent = true;
    return counted(plumb_sock_send_to(loop->control.sock, identity, identity_length, frame, length),
                   "answer");
}

static void beacon(void *self, const void *frame, size_t length)
{
    loop_t *loop = self;
    (void)counted(plumb_sock_send(loop->beacon, frame, length), "beacon");
}

/* How each event is logged: its urgency, its name, what its subject and its number are called. */
#define EVENTS(ONE, TWO)                                                                           \
    ONE(BROKER_WORKER_HERE, LOG_NOTICE, "worker_here", "slot")                                     \
    TWO(BROKER_WORKER_REPLACED, LOG_NOTICE, "worker_replaced", "slot", "taken_back")               \
    TWO(BROKER_WORKER_DEAD, LOG_WARNING, "worker_dead", "slot", "lost")                            \
    TWO(BROKER_WORKER_LACKS, LOG_WARNING, "worker_lacks", "slot", "taken_back")                    \
    ONE(BROKER_WORKER_ASKED, LOG_WARNING, "worker_asked", "slot")                                  \
    ONE(BROKER_WORKER_RESERVED, LOG_NOTICE, "worker_reserved", "slot")                             \
    TWO(BROKER_BREAKER_OPEN, LOG_WARNING, "breaker_open", "credential", "for_ms")                  \
    ONE(BROKER_BREAKER_CLOSED, LOG_NOTICE, "breaker_closed", "credential")                         \
    ONE(BROKER_QUEUE_OPEN, LOG_NOTICE, "queue_open", "queue")                                      \
    ONE(BROKER_QUEUE_PAUSED, LOG_NOTICE, "queue_paused", "queue")                                  \
    ONE(BROKER_QUEUE_DRAINING, LOG_NOTICE, "queue_draining", "queue")                              \
    TWO(BROKER_EPOCH_NEW, LOG_NOTICE, "epoch_new", "broker", "epoch")                              \
    TWO(BROKER_EPOCH_DOUBT, LOG_WARNING, "epoch_in_doubt", "broker", "stood_still_ms")             \
    TWO(BROKER_EPOCH_STANDS, LOG_NOTICE, "epoch_stands", "broker", "epoch")                        \
    TWO(BROKER_FULL, LOG_WARNING, "memory_full", "broker", "given_up")

#define LOG_ONE(id, priority, name, subject_key)                                                   \
    case id:                                                                                       \
        plumb_log_event(priority, name, subject_key "=%s", subject);                               \
        break;
#define LOG_TWO(id, priority, name, subject_key, number_key)                                       \
    case id:                                                                                       \
        plumb_log_event(priority, name, subject_key "=%s " number_key "=%" PRIu64, subject,        \
                        number);                                                                   \
        break;

static void event(void *self, broker_event_t which, const char *subject, uint64_t number)
{
    (void)self;
    subject = subject[0] == '\0' ? "*" : subject; /* all queues */
    switch (which) {
        EVENTS(LOG_ONE, LOG_TWO)
    case BROKER_EVENTS:
        break;
    }
}

/* --- opening --- */

static int open_core(loop_t *loop, plumb_err_t *err)
{
    const plumb_conf_t *conf = &loop->daemon->conf;
    broker_settings_t settings = {.name = conf->broker_name,
                                  .memory = conf->broker_memory,
                                  .beacon_every_ms = conf->beacon_every,
                                  .epoch_dead_ms = conf->epoch_dead,
                                  .worker_dead_ms = conf->worker_dead,
                                  .fence_ms = conf->fence,
                                  .breaker_run = (unsigned)conf->breaker_run,
                                  .breaker_open_ms = conf->breaker_open,
                                  .breaker_open_max_ms = conf->breaker_open_max,
                                  .destination_start = (unsigned)conf->destination_start,
                                  .destination_max = (unsigned)conf->destination_max};
    broker_ports_t ports = {.self = loop,
                            .to_worker = to_worker,
                            .to_tracker = to_tracker,
                            .to_control = to_control,
                            .beacon = beacon,
                            .event = event};
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "getrandom: %s", strerror(errno));
    loop->core = broker_new(&settings, &ports, seed, plumb_boot_ms());
    return loop->core != NULL ? 0 : plumb_err_set(err, PLUMB_E_MEMORY, "make the broker");
}

static int watch_inputs(loop_t *loop, plumb_err_t *err)
{
    input_t *inputs[] = {&loop->acks, &loop->work, &loop->control, &loop->jobs};
    for (size_t i = 0; i < PLUMB_COUNT(inputs); i++) {
        inputs[i]->fd = plumb_sock_fd(inputs[i]->sock, err);
        inputs[i]->more = true;
        if (inputs[i]->fd < 0)
            return -err->code;
    }
    return 0;
}

int broker_loop_open(loop_t *loop, plumb_daemon_t *daemon, plumb_err_t *err)
{
    const plumb_conf_t *conf = &daemon->conf;
    const struct {
        zsock_t **sock;
        plumb_sock_kind_t kind;
        const char *value, *name; /* in the configuration; by default in run_dir */
        bool bind;
    } socks[] = {
        {&loop->jobs.sock, PLUMB_SOCK_PULL, conf->broker_jobs, "broker.jobs", true},
        {&loop->work.sock, PLUMB_SOCK_ROUTER, conf->broker_work, "broker.work", true},
        {&loop->control.sock, PLUMB_SOCK_ROUTER, conf->broker_control, "broker.control", true},
        {&loop->beacon, PLUMB_SOCK_PUB, conf->broker_beacon, "broker.beacon", true},
        {&loop->results, PLUMB_SOCK_PUSH, conf->tracker_results, "tracker.results", false},
        {&loop->acks.sock, PLUMB_SOCK_SUB, conf->tracker_acks, "tracker.acks", false},
    };
    loop->daemon = daemon;
    for (size_t i = 0; i < PLUMB_COUNT(socks); i++) {
        char endpoint[256];
        int rc = plumb_conf_endpoint(conf, socks[i].value, socks[i].name, endpoint, sizeof endpoint,
                                     err);
        if (rc < 0)
            return rc;
        *socks[i].sock = socks[i].bind ? plumb_sock_bind(socks[i].kind, endpoint, err)
                                       : plumb_sock_connect(socks[i].kind, endpoint, NULL, err);
        if (*socks[i].sock == NULL)
            return -err->code;
    }
    int rc = watch_inputs(loop, err);
    return rc == 0 ? open_core(loop, err) : rc;
}

void broker_loop_close(loop_t *loop)
{
    zsock_t **socks[] = {&loop->jobs.sock, &loop->work.sock, &loop->control.sock,
                         &loop->beacon,    &loop->results,   &loop->acks.sock};
    broker_destroy(&loop->core);
    if (loop->acks.sock != NULL) /* its subscription may still wait for a tracker */
        zsock_set_linger(loop->acks.sock, 0);
    for (size_t i = 0; i < PLUMB_COUNT(socks); i++)
        zsock_destroy(socks[i]);
}

/* --- inputs of the core; the clock is read after each frame, so that the core notices a standstill
 * before it answers what arrived meanwhile --- */

typedef void (*frame_fn)(broker_t *core, int64_t now_ms, const void *frame, size_t length);
typedef void (*peer_fn)(broker_t *core, int64_t now_ms, const void *identity,
                        size_t identity_length, const void *frame, size_t length);

static void drain(loop_t *loop, input_t *input, frame_fn take, int most)
{
    zmq_msg_t frame;
    int i = 0;
    for (; i < most && plumb_sock_receive(input->sock, &frame) == 1; i++) {
        take(loop->core, plumb_boot_ms(), zmq_msg_data(&frame), zmq_msg_size(&frame));
        zmq_msg_close(&frame);
    }
    input->more = i == most;
}

static void drain_router(loop_t *loop, input_t *input, peer_fn take, int most)
{
    zmq_msg_t identity;
    zmq_msg_t frame;
    int i = 0;
    for (; i < most && plumb_sock_receive_from(input->sock, &identity, &frame) == 1; i++) {
        take(loop->core, plumb_boot_ms(), zmq_msg_data(&identity), zmq_msg_size(&identity),
             zmq_msg_data(&frame), zmq_msg_size(&frame));
        zmq_msg_close(&identity);
        zmq_msg_close(&frame);
    }
    input->more = i == most;
}

/* Acks first: what is recorded must be known before a worker's hello is judged by it.  New jobs
 * last. */
static void drain_all(loop_t *loop)
{
    if (loop->acks.more)
        drain(loop, &loop->acks, broker_acks, 256);
    if (loop->work.more)
        drain_router(loop, &loop->work, broker_work, 512);
    if (loop->control.more)
        drain_router(loop, &loop->control, broker_control, 64);
    if (loop->jobs.more && broker_takes(loop->core))
        drain(loop, &loop->jobs, broker_job, 256);
}

/* What to wait for: the inputs that are received from now. */
static size_t watch(loop_t *loop, input_t **inputs, bool *more)
{
    input_t *all[INPUTS] = {&loop->acks, &loop->work, &loop->control, &loop->jobs};
    size_t count = broker_takes(loop->core) ? INPUTS : INPUTS - 1;
    *more = false;
    for (size_t i = 0; i < count; i++) {
        inputs[i] = all[i];
        if (all[i]->sent && !all[i]->more)
            all[i]->more = plumb_sock_has(all[i]->sock);
        all[i]->sent = false;
        *more = *more || all[i]->more;
    }
    return count;
}

static int wait_ms(const loop_t *loop)
{
    int64_t ms = broker_due_ms(loop->core) - plumb_boot_ms();
    return ms > TURN_MS ? TURN_MS : ms < 1 ? 1 : (int)ms;
}

static void begin_to_stop(loop_t *loop)
{
    loop->stopping = true;
    loop->stop_ms = plumb_boot_ms() + STOP_MS;
    plumb_daemon_stopping();
    plumb_log_event(LOG_NOTICE, "stopping", "broker=%s", loop->daemon->conf.broker_name);
    broker_stop(loop->core, plumb_boot_ms());
}

/* Wait for a frame, a signal, or what the core has to do next. */
static int wait_for_work(loop_t *loop, plumb_err_t *err)
{
    input_t *inputs[INPUTS];
    bool more = false;
    size_t count = watch(loop, inputs, &more);
    struct pollfd polled[1 + INPUTS] = {{.fd = loop->daemon->signal_fd, .events = POLLIN}};
    for (size_t i = 0; i < count; i++)
        polled[1 + i] = (struct pollfd){.fd = inputs[i]->fd, .events = POLLIN};
    if (poll(polled, 1 + count, more ? 0 : wait_ms(loop)) < 0) {
        if (errno == EINTR)
            return 0;
        return plumb_err_set(err, PLUMB_E_SYSTEM, "poll: %s", strerror(errno));
    }
    for (size_t i = 0; i < count; i++)
        inputs[i]->more = inputs[i]->more || polled[1 + i].revents != 0;
    if (polled[0].revents != 0 && plumb_daemon_signalled(loop->daemon) && !loop->stopping)
        begin_to_stop(loop);
    return 0;
}

/* Jobs that stay hold on to the pages of those that went before them; what is free between them
 * goes back. */
static void trim(loop_t *loop, int64_t now_ms)
{
    uint64_t taken = broker_counts(loop->core)->taken;
    if (now_ms - loop->trimmed_ms < TRIM_MS)
        return;
    if (taken != loop->trimmed_taken)
        malloc_trim(0);
    loop->trimmed_ms = now_ms;
    loop->trimmed_taken = taken;
}

static void tell(loop_t *loop)
{
    int64_t now_ms = plumb_boot_ms();
    atomic_store(&loop->turned_ms, now_ms);
    atomic_store(&loop->workers, broker_workers(loop->core));
    atomic_store(&loop->asks, !broker_takes(loop->core));
    atomic_store(&loop->stops, loop->stopping);
    if (now_ms - loop->figures_ms < TURN_MS)
        return;
    loop->figures_ms = now_ms;
    plumb_daemon_alive();
    broker_gauges(loop);
    trim(loop, now_ms);
}

static bool is_over(const loop_t *loop)
{
    return loop->stopping && (broker_is_idle(loop->core) || plumb_boot_ms() >= loop->stop_ms);
}

int broker_loop_run(loop_t *loop, plumb_err_t *err)
{
    int rc = 0;
    do {
        drain_all(loop);
        broker_step(loop->core, plumb_boot_ms());
        tell(loop);
    } while (!is_over(loop) && (rc = wait_for_work(loop, err)) == 0);
    return rc;
}

int broker_loop_ready(void *self, plumb_err_t *err)
{
    loop_t *loop = self;
    if (atomic_load(&loop->stops))
        return plumb_err_set(err, PLUMB_E_UNAVAILABLE, "stopping");
    if (plumb_boot_ms() - atomic_load(&loop->turned_ms) > STILL_MS)
        return plumb_err_set(err, PLUMB_E_UNAVAILABLE, "the loop stands still");
    if (atomic_load(&loop->asks))
        return plumb_err_set(err, PLUMB_E_UNAVAILABLE,
                             "waiting for the tracker to say whether our epoch stands");
    if (atomic_load(&loop->workers) == 0)
        return plumb_err_set(err, PLUMB_E_UNAVAILABLE, "no worker is here");
    return 0;
}
