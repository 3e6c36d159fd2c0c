/* `plumb channels …`: a word to the broker on its control socket, and its answer. */
#include "clock.h"
#include "commands.h"
#include "msg.h"
#include "queues.h"
#include "settings.h"
#include "sock.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS 5000

/* ---- asking ---- */

/* Wait until the socket can be read (or written), or the deadline. */
static bool await(zsock_t *sock, short events, int64_t deadline_ms)
{
    int64_t left = deadline_ms - plumb_mono_ms();
    zmq_pollitem_t item = {.socket = zsock_resolve(sock), .events = events};
    return left > 0 && zmq_poll(&item, 1, (long)left) > 0;
}

static int send_control(zsock_t *sock, const char *queue, const char *verb, int64_t deadline_ms,
                        plumb_err_t *err)
{
    plumb_buf_t frame = {0};
    plumb_note_t note = {
        .type = PLUMB_MSG_CONTROL, .name = {queue, strlen(queue)}, .text = {verb, strlen(verb)}};
    int rc = plumb_note_encode(&frame, &note, err);
    bool sent = false;
    while (rc == 0 && !sent && await(sock, ZMQ_POLLOUT, deadline_ms))
        sent = plumb_sock_send(sock, frame.data, frame.length) == 1;
    if (rc == 0 && !sent)
        rc = plumb_err_set(err, PLUMB_E_TIMEOUT, "no broker takes the question within %d s",
                           ANSWER_MS / 1000);
    plumb_buf_fini(&frame);
    return rc;
}

/* The first STATE that comes, as a tree. */
static int receive_state(zsock_t *sock, json_t **state, int64_t deadline_ms, plumb_err_t *err)
{
    plumb_note_space_t space = {0};
    *state = NULL;
    while (*state == NULL && await(sock, ZMQ_POLLIN, deadline_ms)) {
        zmq_msg_t msg;
        plumb_note_t note;
        if (plumb_sock_receive(sock, &msg) != 1)
            continue;
        if (plumb_note_decode(&note, &space, zmq_msg_data(&msg), zmq_msg_size(&msg), NULL) == 0 &&
            note.type == PLUMB_MSG_STATE)
            *state = json_loadb(note.text.data, note.text.length, 0, NULL);
        zmq_msg_close(&msg);
    }
    plumb_note_space_fini(&space);
    if (*state == NULL)
        return plumb_err_set(err, PLUMB_E_TIMEOUT, "the broker does not answer within %d s",
                             ANSWER_MS / 1000);
    return 0;
}

/* Without its socket there is no broker, and nothing to wait for. */
static bool is_there(const char *endpoint)
{
    static const char ipc[] = "ipc://";
    return strncmp(endpoint, ipc, sizeof ipc - 1) != 0 ||
           access(endpoint + sizeof ipc - 1, F_OK) == 0;
}

static int ask(const plumb_conf_t *conf, const char *queue, const char *verb, json_t **state,
               plumb_err_t *err)
{
    char endpoint[256];
    int64_t deadline_ms = plumb_mono_ms() + ANSWER_MS;
    int rc = plumb_conf_endpoint(conf, conf->broker_control, "broker.control", endpoint,
                                 sizeof endpoint, err);
    if (rc < 0)
        return rc;
    if (!is_there(endpoint))
        return plumb_err_set(err, PLUMB_E_UNAVAILABLE,
                             "no broker runs at %s; start everything: plumb up", endpoint);
    zsys_handler_set(NULL); /* Ctrl-C ends us as it ends any program */
    zsock_t *sock = plumb_sock_connect(PLUMB_SOCK_DEALER, endpoint, NULL, err);
    if (sock == NULL)
        return -(int)err->code;
    rc = send_control(sock, queue, verb, deadline_ms, err);
    if (rc == 0)
        rc = receive_state(sock, state, deadline_ms, err);
    zsock_destroy(&sock);
    return rc < 0
               ? plumb_err_add(err, "ask the broker at %s (is it up? see 'plumb status')", endpoint)
               : 0;
}

/* ---- showing ---- */

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *age(char *out, size_t size, json_int_t ms)
{
    if (ms < 1000)
        snprintf(out, size, "%" JSON_INTEGER_FORMAT "ms", ms);
    else if (ms < 120000)
        snprintf(out, size, "%" JSON_INTEGER_FORMAT "s", ms / 1000);
    else if (ms < 7200000)
        snprintf(out, size, "%" JSON_INTEGER_FORMAT "m", ms / 60000);
    else
        snprintf(out, size, "%" JSON_INTEGER_FORMAT "h", ms / 3600000);
    return out;
}

static void print_row(const json_t *queue)
{
    char oldest[24];
    const char *name = json_string_value(json_object_get(queue, "name"));
    const char *state = json_string_value(json_object_get(queue, "state"));
    json_int_t waiting = number(queue, "waiting");
    printf("%-28s %-9s %9" JSON_INTEGER_FORMAT " %9" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT
           " %8s %10" JSON_INTEGER_FORMAT "\n",
           name == NULL ? "?" : name, state == NULL ? "?" : state, waiting,
           number(queue, "assigned"), number(queue, "unacked"),
           waiting > 0 ? age(oldest, sizeof oldest, number(queue, "oldestMs")) : "-",
           number(queue, "done"));
}

/* A list is one object a line in JSON, and nothing at all when it is empty. */
static void print_queues(const json_t *state, const char *only, bool json)
{
    size_t i;
    json_t *queue;
    if (!json)
        printf("%-28s %-9s %9s %9s %8s %8s %10s\n", "QUEUE", "STATE", "WAITING", "ASSIGNED",
               "UNACKED", "OLDEST", "DONE");
    json_array_foreach(json_object_get(state, "queues"), i, queue)
    {
        const char *name = json_string_value(json_object_get(queue, "name"));
        if (only[0] != '\0' && (name == NULL || strcmp(name, only) != 0))
            continue;
        if (!json) {
            print_row(queue);
            continue;
        }
        json_dumpf(queue, stdout, JSON_COMPACT);
        putchar('\n');
    }
}

/* The broker would make any queue it is told of, for a job that may come: the name is checked
 * here. */
static int check_queue(const plumb_conf_t *conf, const char *queue, plumb_err_t *err)
{
    json_t *state = NULL;
    int rc = ask(conf, "", "stats", &state, err);
    if (rc == 0)
        rc = queues_check(queue, state, conf->database, err);
    json_decref(state);
    return rc;
}

static int run(const args_t *args, const char *verb, plumb_err_t *err)
{
    plumb_conf_t conf = {0};
    json_t *state = NULL;
    const char *queue = args->word_count > 0 ? args->word[0] : "";
    int rc = settings_load(&conf, args, true, err);
    if (rc == 0 && args->word_count > 0)
        rc = check_queue(&conf, queue, err);
    if (rc == 0)
        rc = ask(&conf, queue, verb, &state, err);
    const char *refusal = json_string_value(json_object_get(state, "error"));
    if (rc == 0 && refusal != NULL)
        rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, "%s (see 'plumb channels ls')", refusal);
    if (rc == 0)
        print_queues(state, queue, args_has(args, OPT_JSON));
    json_decref(state);
    plumb_conf_fini(&conf);
    return rc;
}

int run_channels_ls(const args_t *args, plumb_err_t *err)
{
    return run(args, "stats", err);
}

int run_channels_pause(const args_t *args, plumb_err_t *err)
{
    return run(args, "pause", err);
}

int run_channels_resume(const args_t *args, plumb_err_t *err)
{
    return run(args, "resume", err);
}

int run_channels_drain(const args_t *args, plumb_err_t *err)
{
    return run(args, "drain", err);
}
