/* The tracker's sockets, and messages onto them. */
#ifndef PLUMB_TRACKER_LINKS_H
#define PLUMB_TRACKER_LINKS_H

#include "conf.h"
#include "msg.h"
#include "sock.h"

typedef struct links {
    zsock_t *results;         /* PULL, bound: results, and notes of brokers, workers, ingests */
    zsock_t *acks;            /* PUB, bound: to workers and brokers */
    zsock_t *jobs;            /* PUSH to the broker */
    zsock_t *control;         /* DEALER to the broker */
    zsock_t *beacon;          /* SUB to the broker */
    plumb_buf_t frame;        /* of what goes out */
    plumb_note_space_t space; /* of what comes in */
} links_t;

int links_open(links_t *links, const plumb_conf_t *conf, plumb_err_t *err);
void links_close(links_t *links);

/* Encode and send.  False: not sent (counted); whoever needs it repeats it. */
bool links_send(links_t *links, zsock_t *sock, const plumb_note_t *note);

/* A list of tickets in as many notes as it needs; `note` gives the rest.  False: not all went. */
bool links_send_list(links_t *links, zsock_t *sock, plumb_note_t note, const plumb_held_t *held,
                     size_t count);

/* Publish that these are recorded. */
void links_ack(links_t *links, const plumb_held_t *held, size_t count);

/* `slice` as a C string, cut to `size`. */
void slice_text(char *out, size_t size, const plumb_slice_t *slice);

#endif
