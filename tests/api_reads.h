/* Reading over the API, on top of tests/api_world.h. */
#ifndef PLUMB_TESTS_API_READS_H
#define PLUMB_TESTS_API_READS_H

#include "api_world.h"

/* Ask as `token`; `body` may be NULL. */
static inline http_answer_t api_ask_as(world_t *w, const char *token, const char *method,
                                       const char *path, const char *body)
{
    char headers[512];
    snprintf(headers, sizeof headers,
             "Authorization: Bearer %s\r\nContent-Type: " JSONAPI "\r\nAccept: " JSONAPI "\r\n",
             token);
    return http_exchange(w->ports[0], method, path, headers, body);
}

/* GET as the account's own token; the answer's document, which is the caller's. */
static inline json_t *api_read(world_t *w, const char *path, int status)
{
    http_answer_t answer = api_ask_as(w, w->account->token, "GET", path, NULL);
    json_error_t why;
    json_t *tree = json_loads(answer.body, JSON_REJECT_DUPLICATES, &why);
    if (answer.status != status || tree == NULL)
        fail_msg("%s: status %d, want %d: %s", path, answer.status, status, answer.body);
    http_answer_fini(&answer);
    return tree;
}

/* The text at a path such as "data.0.attributes.name"; "" if there is none. */
static inline const char *api_text(json_t *tree, const char *path)
{
    json_t *at = world_at(tree, path);
    return json_is_string(at) ? json_string_value(at) : "";
}

/* Make a lead with these further attributes (",\"name\":…" or ""); its id goes to `id`. */
static inline void api_make_lead(world_t *w, const char *attributes, char id[PLUMB_UUID_TEXT])
{
    char document[4096];
    account_document(w->account, attributes, document, sizeof document);
    http_answer_t made = api_ask_as(w, w->account->token, "POST", "/api/v1/leads", document);
    if (made.status != 201)
        fail_msg("a lead: %s", made.body);
    snprintf(id, PLUMB_UUID_TEXT, "%s", strrchr(http_header(&made, "Location"), '/') + 1);
    http_answer_fini(&made);
}

/* The answer is an error of this status and code that names this parameter. */
static inline void api_want_parameter(world_t *w, const char *path, const char *code,
                                      const char *parameter)
{
    json_t *tree = api_read(w, path, 400);
    if (strcmp(api_text(tree, "errors.0.code"), code) != 0 ||
        strcmp(api_text(tree, "errors.0.source.parameter"), parameter) != 0)
        fail_msg("%s: %s names %s", path, api_text(tree, "errors.0.code"),
                 api_text(tree, "errors.0.source.parameter"));
    json_decref(tree);
}

#endif
