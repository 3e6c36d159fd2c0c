/* A client that sends exactly the bytes it is told to, for tests of an HTTP server on loopback. */
#ifndef PLUMB_TESTS_HTTP_H
#define PLUMB_TESTS_HTTP_H

#include <stdbool.h>
#include <stddef.h>

typedef struct http {
    int fd;
    char buffer[1048576]; /* what came and was not taken yet; ended by NUL */
    size_t length;
} http_t;

typedef struct http_answer {
    int status;        /* 0: the connection ended without one */
    char *head, *body; /* owned, ended by NUL */
} http_answer_t;
void http_answer_fini(http_answer_t *answer);

/* What goes wrong on the client's own side ends the program. */
http_t *http_open(int port);
void http_close(http_t **http);

void http_send(http_t *http, const void *data, size_t length);
void http_send_text(http_t *http, const char *text);

/* Take the next answer, waiting for it; its body is as long as Content-Length says (none for HEAD,
 * `is_head`). 100 Continue is skipped. */
http_answer_t http_take(http_t *http, bool is_head);

/* Did the other side end the connection (waiting for at most five seconds), with nothing more said?
 */
bool http_ended(http_t *http);

/* A whole exchange over a connection of its own. `headers` are lines each ended by "\r\n" or "". */
http_answer_t http_exchange(int port, const char *method, const char *path, const char *headers,
                            const char *body);

/* The value of a header, "" if there is none; in memory that the next call but three reuses. */
const char *http_header(const http_answer_t *answer, const char *name);

#endif
