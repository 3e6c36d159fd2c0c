/* What a test of the HTTP API begins with: an account and one or two ingests over its database. */
#ifndef PLUMB_TESTS_API_WORLD_H
#define PLUMB_TESTS_API_WORLD_H

#include "account.h"
#include "clock.h"
#include "http.h"
#include "ingest.h"
#include "server.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define JSONAPI "application/vnd.api+json"
#define WORLD_INGESTS 2
#define UNUSED_OK __attribute__((unused))

typedef struct world {
    account_t *account;
    ingest_t ingest[WORLD_INGESTS];
    int ports[WORLD_INGESTS];
    unsigned count;
} world_t;

/* The interval of asking again, never a wait by itself. */
static void pause_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

/* A further ingest; settings that were made in `account->conf` hold for it. */
static void world_start(world_t *w)
{
    plumb_err_t err = {0};
    ingest_t *in = &w->ingest[w->count];
    int64_t deadline_ms = plumb_mono_ms() + 20000;
    *in = (ingest_t){.daemon = {.signal_fd = -1}};
    if (ingest_open(in, &w->account->conf, &err) < 0)
        fail_msg("open: %s", err.text);
    w->ports[w->count++] = server_port(in->server);
    while (ingest_ready(in, &err) < 0) {
        if (plumb_mono_ms() > deadline_ms)
            fail_msg("not ready: %s", err.text);
        pause_ms(5);
    }
}

static UNUSED_OK int world_setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    *state = w;
    w->account = account_new();
    world_start(w);
    return 0;
}

static UNUSED_OK int world_teardown(void **state)
{
    world_t *w = *state;
    for (unsigned i = 0; i < w->count; i++)
        ingest_close(&w->ingest[i]);
    account_destroy(&w->account);
    free(w);
    return 0;
}

/* Ask one ingest with a token, with further header lines, with a body (NULL: none). */
static UNUSED_OK http_answer_t world_ask(const world_t *w, unsigned ingest, const char *token,
                                         const char *method, const char *path, const char *more,
                                         const char *body)
{
    char headers[2048];
    snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\nAccept: " JSONAPI "\r\n%s%s",
             token, body != NULL ? "Content-Type: " JSONAPI "\r\n" : "", more);
    return http_exchange(w->ports[ingest], method, path, headers, body);
}

/* Post a lead of the account's quiz with these attributes (account_document), with further header
 * lines. */
static UNUSED_OK http_answer_t world_post(const world_t *w, unsigned ingest, const char *token,
                                          const char *attributes, const char *more)
{
    char document[4096];
    account_document(w->account, attributes, document, sizeof document);
    return world_ask(w, ingest, token, "POST", "/api/v1/leads", more, document);
}

/* The same as the account itself; want `status`. */
static UNUSED_OK void world_want(const world_t *w, const char *what, const char *attributes,
                                 int status)
{
    http_answer_t answer = world_post(w, 0, w->account->token, attributes, "");
    if (answer.status != status)
        fail_msg("%s: %d, want %d: %s", what, answer.status, status, answer.body);
    http_answer_fini(&answer);
}

static UNUSED_OK json_t *world_parse(const http_answer_t *answer)
{
    json_error_t why;
    json_t *tree = json_loads(answer->body, JSON_REJECT_DUPLICATES, &why);
    if (tree == NULL)
        fail_msg("no JSON (%s): %s", why.text, answer->body);
    return tree;
}

/* The value at a path such as "data.attributes.name" or "errors.0.code"; NULL: it is not there. */
static UNUSED_OK json_t *world_at(json_t *tree, const char *path)
{
    char name[64];
    while (*path != '\0') {
        size_t length = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)length, path);
        tree = json_is_array(tree) ? json_array_get(tree, strtoul(name, NULL, 10))
                                   : json_object_get(tree, name);
        path += length + (path[length] == '.');
    }
    return tree;
}

/* The answer's text at a path, copied; "" if it is not there. */
static UNUSED_OK void world_text(const http_answer_t *answer, const char *path, char *out,
                                 size_t size)
{
    json_t *tree = world_parse(answer), *value = world_at(tree, path);
    snprintf(out, size, "%s", json_is_string(value) ? json_string_value(value) : "");
    json_decref(tree);
}

/* The answer is an error of that status whose first error has that code and pointer (NULL: any). */
static UNUSED_OK void world_want_error(const char *what, const http_answer_t *answer, int status,
                                       const char *code, const char *pointer)
{
    char got[64], at[256];
    if (answer->status != status)
        fail_msg("%s: status %d, want %d: %s", what, answer->status, status, answer->body);
    world_text(answer, "errors.0.code", got, sizeof got);
    world_text(answer, "errors.0.source.pointer", at, sizeof at);
    if (strcmp(got, code) != 0 || (pointer != NULL && strcmp(at, pointer) != 0))
        fail_msg("%s: %s, want %s at %s", what, answer->body, code, pointer != NULL ? pointer : "");
}

#endif
