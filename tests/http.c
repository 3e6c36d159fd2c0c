/* Raw HTTP. */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 20000
#define END_MS 5000

static void fatal(const char *what)
{
    fprintf(stderr, "http: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

http_t *http_open(int port)
{
    http_t *http = calloc(1, sizeof *http);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (http == NULL)
        fatal("memory");
    http->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (http->fd < 0 || connect(http->fd, (struct sockaddr *)&address, sizeof address) != 0)
        fatal("connect");
    return http;
}

void http_close(http_t **http)
{
    if (*http == NULL)
        return;
    close((*http)->fd);
    free(*http);
    *http = NULL;
}

void http_send(http_t *http, const void *data, size_t length)
{
    const char *at = data;
    while (length > 0) {
        ssize_t n = send(http->fd, at, length, MSG_NOSIGNAL);
        if (n < 0) /* it was refused before all of it was sent: the answer tells */
            return;
        at += n;
        length -= (size_t)n;
    }
}

void http_send_text(http_t *http, const char *text)
{
    http_send(http, text, strlen(text));
}

/* More of what comes.  False: the end. */
static bool receive(http_t *http, int wait_ms)
{
    struct pollfd fd = {.fd = http->fd, .events = POLLIN};
    if (http->length + 1 >= sizeof http->buffer || poll(&fd, 1, wait_ms) <= 0)
        return false;
    ssize_t n =
        recv(http->fd, http->buffer + http->length, sizeof http->buffer - 1 - http->length, 0);
    if (n <= 0)
        return false;
    http->length += (size_t)n;
    http->buffer[http->length] = '\0';
    return true;
}

static void drop(http_t *http, size_t count)
{
    http->length -= count;
    memmove(http->buffer, http->buffer + count, http->length + 1);
}

static char *copy(const char *data, size_t length)
{
    char *text = strndup(data, length);
    if (text == NULL)
        fatal("memory");
    return text;
}

http_answer_t http_take(http_t *http, bool is_head)
{
    http_answer_t answer = {0};
    char *end;
    while ((end = strstr(http->buffer, "\r\n\r\n")) == NULL)
        if (!receive(http, WAIT_MS))
            return answer;
    size_t head = (size_t)(end + 4 - http->buffer);
    answer.head = copy(http->buffer, head);
    answer.status = atoi(answer.head + strlen("HTTP/1.1 "));
    size_t body = is_head ? 0 : strtoul(http_header(&answer, "Content-Length"), NULL, 10);
    while (http->length < head + body)
        if (!receive(http, WAIT_MS))
            fatal("answer cut short");
    answer.body = copy(http->buffer + head, body);
    drop(http, head + body);
    if (answer.status == 100) {
        http_answer_fini(&answer);
        return http_take(http, is_head);
    }
    return answer;
}

void http_answer_fini(http_answer_t *answer)
{
    free(answer->head);
    free(answer->body);
    *answer = (http_answer_t){0};
}

bool http_ended(http_t *http)
{
    struct pollfd fd = {.fd = http->fd, .events = POLLIN};
    char byte;
    if (http->length > 0)
        return false;
    return poll(&fd, 1, END_MS) > 0 && recv(http->fd, &byte, 1, 0) <= 0;
}

http_answer_t http_exchange(int port, const char *method, const char *path, const char *headers,
                            const char *body)
{
    http_t *http = http_open(port);
    char head[4096], length[64] = "";
    if (body != NULL)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s\r\n", method, path,
             port, length, headers);
    http_send_text(http, head);
    if (body != NULL)
        http_send_text(http, body);
    http_answer_t answer = http_take(http, strcmp(method, "HEAD") == 0);
    http_close(&http);
    return answer;
}

const char *http_header(const http_answer_t *answer, const char *name)
{
    static _Thread_local char values[4][1024];
    static _Thread_local unsigned next;
    char *value = values[next++ % 4];
    size_t length = strlen(name);
    value[0] = '\0';
    for (const char *line = answer->head; line != NULL && *line != '\0';
         line = strstr(line, "\r\n") == NULL ? NULL : strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, name, length) != 0 || line[length] != ':')
            continue;
        line += length + 1;
        line += strspn(line, " ");
        snprintf(value, sizeof values[0], "%.*s", (int)strcspn(line, "\r\n"), line);
        break;
    }
    return value;
}
