/* The one request that a step asks for, while it is put together and until its answer was read. */
#ifndef PLUMB_WORKER_ASK_H
#define PLUMB_WORKER_ASK_H

#include "arena.h"
#include "buf.h"

#include "plumb/channel.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ASK_BODY_MAX (1 << 20)
#define ASK_URL_MAX 8192
#define ASK_HEADERS_MAX 64

typedef struct ask {
    bool begun, mail, has_body, has_type;
    char method[16];
    plumb_buf_t url, body;
    arena_t memory;                           /* of the lists and texts below */
    struct curl_slist *headers, *last_header; /* "Name: value" */
    size_t header_count;
    int64_t timeout_ms; /* 0: the host's */
    /* mail */
    struct curl_slist *recipients, *last_recipient;
    char *from, *user, *password;
    size_t sent;        /* of the body, by the transfer */
    const char *broken; /* the first way in which the plugin broke its contract */
} ask_t;

/* Each of these notes in `broken` what the plugin may not do; later calls then do nothing. */
void ask_request(ask_t *ask, const char *method, const char *url);
void ask_header(ask_t *ask, const char *name, const char *value);
void ask_body(ask_t *ask, const char *content_type, const plumb_part_t *parts, size_t count);
void ask_mail(ask_t *ask, const char *url, const char *from, const char *user,
              const char *password);
void ask_mail_to(ask_t *ask, const char *address);
void ask_timeout(ask_t *ask, int64_t ms);

/* Keep the library from adding these by itself.  False: out of memory. */
bool ask_suppress(ask_t *ask, const char *name);

/* What is missing before it can go out; NULL: nothing. */
const char *ask_complete(const ask_t *ask);

void ask_clear(ask_t *ask); /* keeps memory for the next one */
void ask_fini(ask_t *ask);

#endif
