/* Sockets, and notes out. */
#include "links.h"

#include "log.h"
#include "metrics.h"

#include <stdio.h>

static zsock_t *open_one(const plumb_conf_t *conf, plumb_sock_kind_t kind, const char *value,
                         const char *name, bool bind, plumb_err_t *err)
{
    char endpoint[512];
    if (plumb_conf_endpoint(conf, value, name, endpoint, sizeof endpoint, err) < 0)
        return NULL;
    if (bind)
        return plumb_sock_bind(kind, endpoint, err);
    return plumb_sock_connect(kind, endpoint, kind == PLUMB_SOCK_DEALER ? conf->tracker_name : NULL,
                              err);
}

int links_open(links_t *links, const plumb_conf_t *conf, plumb_err_t *err)
{
    const struct {
        zsock_t **sock;
        plumb_sock_kind_t kind;
        const char *value, *name;
        bool bind;
    } table[] = {
        {&links->acks, PLUMB_SOCK_PUB, conf->tracker_acks, "tracker.acks", true},
        {&links->jobs, PLUMB_SOCK_PUSH, conf->broker_jobs, "broker.jobs", false},
        {&links->control, PLUMB_SOCK_DEALER, conf->broker_control, "broker.control", false},
        {&links->beacon, PLUMB_SOCK_SUB, conf->broker_beacon, "broker.beacon", false},
        {&links->results, PLUMB_SOCK_PULL, conf->tracker_results, "tracker.results", true},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        *table[i].sock =
            open_one(conf, table[i].kind, table[i].value, table[i].name, table[i].bind, err);
        if (*table[i].sock == NULL)
            return plumb_err_add(err, "socket %s", table[i].name);
    }
    return 0;
}

void links_close(links_t *links)
{
    zsock_destroy(&links->results);
    zsock_destroy(&links->beacon);
    zsock_destroy(&links->control);
    zsock_destroy(&links->jobs);
    zsock_destroy(&links->acks);
    plumb_buf_fini(&links->frame);
    plumb_note_space_fini(&links->space);
}

bool links_send(links_t *links, zsock_t *sock, const plumb_note_t *note)
{
    plumb_err_t err;
    if (plumb_note_encode(&links->frame, note, &err) < 0) {
        plumb_log_event(LOG_ERR, "encode_failed", "message=%s reason=\"%s\"",
                        plumb_msg_name(note->type), err.text);
        return false;
    }
    if (plumb_sock_send(sock, links->frame.data, links->frame.length) == 1)
        return true;
    plumb_metric_add(PLUMB_M_SENDS_REFUSED, plumb_msg_name(note->type), 1);
    return false;
}

bool links_send_list(links_t *links, zsock_t *sock, plumb_note_t note, const plumb_held_t *held,
                     size_t count)
{
    bool all = true;
    for (size_t done = 0; done < count; done += note.held_count) {
        note.held = held + done;
        note.held_count = count - done < PLUMB_HELD_MAX ? count - done : PLUMB_HELD_MAX;
        all = links_send(links, sock, &note) && all;
    }
    return all;
}

void links_ack(links_t *links, const plumb_held_t *held, size_t count)
{
    links_send_list(links, links->acks, (plumb_note_t){.type = PLUMB_MSG_ACKS}, held, count);
}

void slice_text(char *out, size_t size, const plumb_slice_t *slice)
{
    snprintf(out, size, "%.*s", (int)slice->length, slice->data == NULL ? "" : slice->data);
}
