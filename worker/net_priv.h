/* What net.c, lanes.c and transfer.c share, and nobody else. */
#ifndef PLUMB_WORKER_NET_PRIV_H
#define PLUMB_WORKER_NET_PRIV_H

#include "net.h"
#include "timers.h"

#include <curl/curl.h>

#define LANE_BUCKETS 1024            /* power of two */
#define NET_CA_PATH "/etc/ssl/certs" /* by hash, on demand: a bundle would be held once a lane */

typedef struct post post_t; /* mail.c: what its threads and the loop share */
typedef struct mail mail_t;

typedef struct watch { /* one descriptor */
    lane_t *lane;
    uint32_t have; /* events registered at the kernel */
    uint32_t want; /* events the library asked for; 0: none */
} watch_t;

struct net {
    int epoll;
    uint32_t mark;
    net_hooks_t hooks;
    guard_t guard;
    struct curl_slist *connect_to; /* owned; NULL none */
    char *ca_file;                 /* owned; NULL none */
    int64_t connect_timeout_ms, call_timeout_ms;
    size_t response_read, response_keep;
    post_t *post;   /* owned */
    int post_event; /* its descriptor */
    timers_t timers;
    watch_t *watches; /* by descriptor; owned */
    size_t watch_count;
    lane_t *buckets[LANE_BUCKETS];
    lane_t *idle_first, *idle_last; /* longest idle first */
    unsigned idle_count;
};

struct lane {
    net_t *net;
    lane_t *next;                    /* in its bucket */
    lane_t *idle_before, *idle_next; /* while idle */
    plumb_uuid_t credential;
    unsigned refs;
    int64_t idle_since_ms;
    CURLM *multi;
    due_t due; /* the library's own timer */
    transfer_t *unused;
    unsigned unused_count;
    /* what was made of the credential's fields */
    plumb_buf_t raw; /* the bytes they came as */
    uint64_t generation;
    json_t *fields;
    redact_t redact;
    char why[160];
    plumb_buf_t vetted; /* the URL that passed the guard last */
};

struct transfer {
    lane_t *lane;
    transfer_t *next; /* while unused */
    CURL *easy;
    mail_t *mail; /* its thread, while it runs; NULL: HTTP */
    ask_t *ask;
    void *owner;
    plumb_buf_t body; /* of the answer */
    sent_t sent;
    bool running;   /* added to the multi handle */
    bool truncated; /* more was there than is kept */
    size_t head_bytes, head_lines, read;
    char agent[96];
    plumb_buf_t url; /* that the handle is set to, and the same parsed */
    CURLU *parsed;
};

/* Make a lane's handle call us back; give the lane's transfers back when it goes. */
int net_adopt(net_t *net, lane_t *lane);
void transfer_destroy(transfer_t *transfer);
/* It is over, with this code of the library; or with what transfer->sent says. */
void transfer_finish(transfer_t *transfer, CURLcode code);
void transfer_over(transfer_t *transfer);
void net_unwatch(net_t *net, int fd);
void lanes_expire(net_t *net, int64_t now_ms);
void lanes_close(net_t *net);

#endif
