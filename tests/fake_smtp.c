/* The mail server: one thread, one connection at a time. */
#include "fake_smtp.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct fake_smtp {
    const char *command, *answer;
    int listener, port, client;
    pthread_t thread;
    pthread_mutex_t lock;
    int messages;
    char text[65536];
};

static bool say(int fd, const char *line)
{
    char out[256];
    int length = snprintf(out, sizeof out, "%s\r\n", line);
    return send(fd, out, (size_t)length, MSG_NOSIGNAL) == length;
}

static bool read_line(int fd, char *line, size_t size)
{
    size_t length = 0;
    for (char c; length + 1 < size && recv(fd, &c, 1, 0) == 1;) {
        line[length++] = c;
        if (c == '\n') {
            line[length] = '\0';
            return true;
        }
    }
    return false;
}

static void wait_gone(int fd)
{
    char byte;
    while (recv(fd, &byte, 1, 0) > 0) {
    }
}

/* Answer `yes`, or what was ordered for this command; false: the connection is over. */
static bool reply(fake_smtp_t *s, const char *command, const char *yes)
{
    if (s->command == NULL || strcmp(s->command, command) != 0)
        return say(s->client, yes);
    if (strcmp(s->answer, "hang") == 0)
        wait_gone(s->client);
    return s->answer[0] != '\0' && strcmp(s->answer, "hang") != 0 && say(s->client, s->answer);
}

static bool take_text(fake_smtp_t *s)
{
    char line[2048];
    pthread_mutex_lock(&s->lock);
    s->text[0] = '\0';
    pthread_mutex_unlock(&s->lock);
    while (read_line(s->client, line, sizeof line)) {
        if (strcmp(line, ".\r\n") == 0) {
            pthread_mutex_lock(&s->lock);
            s->messages++;
            pthread_mutex_unlock(&s->lock);
            return reply(s, ".", "250 taken");
        }
        pthread_mutex_lock(&s->lock);
        strncat(s->text, line, sizeof s->text - strlen(s->text) - 1);
        pthread_mutex_unlock(&s->lock);
    }
    return false;
}

static bool obey(fake_smtp_t *s, const char *line)
{
    if (strncasecmp(line, "EHLO", 4) == 0)
        return reply(s, "EHLO", "250-here\r\n250 AUTH PLAIN");
    if (strncasecmp(line, "AUTH", 4) == 0) {
        char secret[256];
        return say(s->client, "334 ") && read_line(s->client, secret, sizeof secret) &&
               reply(s, "AUTH", "235 welcome");
    }
    if (strncasecmp(line, "MAIL", 4) == 0)
        return reply(s, "MAIL", "250 sender");
    if (strncasecmp(line, "RCPT", 4) == 0)
        return reply(s, "RCPT", "250 recipient");
    if (strncasecmp(line, "DATA", 4) == 0) {
        bool refused = s->command != NULL && strcmp(s->command, "DATA") == 0;
        return reply(s, "DATA", "354 go on") && (refused || take_text(s));
    }
    if (strncasecmp(line, "QUIT", 4) == 0)
        return reply(s, "QUIT", "221 bye");
    return say(s->client, "250 fine");
}

static void *serve(void *self)
{
    fake_smtp_t *s = self;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0;) {
        char line[2048];
        pthread_mutex_lock(&s->lock);
        s->client = fd;
        pthread_mutex_unlock(&s->lock);
        bool more = reply(s, "", "220 here");
        while (more && read_line(fd, line, sizeof line))
            more = obey(s, line);
        pthread_mutex_lock(&s->lock);
        s->client = -1;
        close(fd);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

fake_smtp_t *fake_smtp_start(const char *command, const char *answer)
{
    fake_smtp_t *s = calloc(1, sizeof *s);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert(s != NULL);
    s->command = command;
    s->answer = answer;
    s->client = -1;
    pthread_mutex_init(&s->lock, NULL);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = bind(s->listener, (struct sockaddr *)&address, sizeof address);
    rc |= listen(s->listener, 16);
    rc |= getsockname(s->listener, (struct sockaddr *)&address, &size);
    s->port = ntohs(address.sin_port);
    rc |= pthread_create(&s->thread, NULL, serve, s);
    assert(rc == 0);
    return s;
}

void fake_smtp_stop(fake_smtp_t **stopped)
{
    fake_smtp_t *s = *stopped;
    shutdown(s->listener, SHUT_RDWR);
    pthread_mutex_lock(&s->lock);
    if (s->client >= 0)
        shutdown(s->client, SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    close(s->listener);
    pthread_mutex_destroy(&s->lock);
    free(s);
    *stopped = NULL;
}

int fake_smtp_port(const fake_smtp_t *s)
{
    return s->port;
}

int fake_smtp_messages(fake_smtp_t *s)
{
    pthread_mutex_lock(&s->lock);
    int messages = s->messages;
    pthread_mutex_unlock(&s->lock);
    return messages;
}

void fake_smtp_text(fake_smtp_t *s, char *out, size_t size)
{
    pthread_mutex_lock(&s->lock);
    snprintf(out, size, "%s", s->text);
    pthread_mutex_unlock(&s->lock);
}
