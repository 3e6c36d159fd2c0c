/* HTTP by libcurl, without its generosity: no redirects, no proxy, no other protocol. */
#include "http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#define BODY_MAX (1 << 20)
#define READY_MS 2000

int http_open(plumb_err_t *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "the HTTP client does not start");
    return 0;
}

void http_close(void)
{
    curl_global_cleanup();
}

static size_t take_body(char *data, size_t size, size_t count, void *self)
{
    plumb_buf_t *body = self;
    if (body->length + size * count > BODY_MAX)
        return 0;
    plumb_buf_put(body, data, size * count);
    return body->failed ? 0 : size * count;
}

static struct curl_slist *make_headers(const http_ask_t *ask)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/vnd.api+json");
    headers = curl_slist_append(headers, "Expect:");
    if (ask->body != NULL)
        headers = curl_slist_append(headers, "Content-Type: application/vnd.api+json");
    if (ask->token != NULL) {
        char line[256];
        snprintf(line, sizeof line, "Authorization: Bearer %s", ask->token);
        headers = curl_slist_append(headers, line);
    }
    return headers;
}

static void arrange(CURL *curl, const http_ask_t *ask, http_answer_t *answer,
                    struct curl_slist *headers, char *why)
{
    curl_easy_setopt(curl, CURLOPT_URL, ask->url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, ask->method);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)ask->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer->body);
    if (ask->socket != NULL)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, ask->socket);
    if (ask->body != NULL)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, ask->body);
}

int http_request(const http_ask_t *ask, http_answer_t *answer, plumb_err_t *err)
{
    char why[CURL_ERROR_SIZE] = "";
    int rc = 0;
    *answer = (http_answer_t){0};
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = make_headers(ask);
    if (curl == NULL || headers == NULL) {
        rc = plumb_err_set(err, PLUMB_E_MEMORY, "ask %s", ask->url);
        goto out;
    }
    arrange(curl, ask, answer, headers, why);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    if (code != CURLE_OK)
        rc = plumb_err_set(err,
                           code == CURLE_OPERATION_TIMEDOUT ? PLUMB_E_TIMEOUT : PLUMB_E_UNAVAILABLE,
                           "%s: %s", ask->socket != NULL ? ask->socket : ask->url,
                           why[0] != '\0' ? why : curl_easy_strerror(code));
out:
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return rc;
}

void http_answer_fini(http_answer_t *answer)
{
    plumb_buf_fini(&answer->body);
}

int http_ready(const char *socket, plumb_err_t *err)
{
    http_answer_t answer;
    http_ask_t ask = {.socket = socket,
                      .method = "GET",
                      .url = "http://localhost/readyz?verbose",
                      .timeout_ms = READY_MS};
    int rc = http_request(&ask, &answer, err);
    if (rc == 0 && answer.status != 200) {
        const char *text = answer.body.data == NULL ? "" : answer.body.data;
        rc = plumb_err_set(err, PLUMB_E_UNAVAILABLE, "%.*s",
                           text[0] == '\0' ? 9 : (int)strcspn(text, "\r\n"),
                           text[0] == '\0' ? "not ready" : text);
    }
    http_answer_fini(&answer);
    return rc;
}
