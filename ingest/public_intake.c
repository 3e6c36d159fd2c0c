/* POST /api/v1/intake/{key}: leads from pages and forms.
 *
 * Who may send: a token of the quiz's account; a page of one of the quiz's origins; whoever signs
 * the body with the quiz's secret.  What is sent becomes a JSON:API document and goes the way of
 * all leads.  The answer names the lead and nothing else: a page is read by anyone, and what the
 * checks decided is not for the sender. */
#include "checks.h"
#include "clock.h"
#include "form.h"
#include "handlers.h"
#include "route.h"
#include "serve.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NOTHING "there is nothing here"

/* ---- the quiz ---- */

/* False: the answer is made. */
static bool find_quiz(request_t *request)
{
    ingest_t *in = request->ingest;
    plumb_uuid_t account, id;
    plumb_err_t err = {0};
    int rc = intake_keys_find(in->intake_keys, &request->key, &account, &id, &err);
    if (rc == 0)
        rc = catalog_quiz(in->catalog, &account, &id, &request->quiz, &err);
    if (rc == 0 && request->quiz->is_known && request->quiz->project_active &&
        request->quiz->user_active)
        return true;
    if (rc < 0 && rc != -PLUMB_E_NOT_FOUND)
        answer_failure(request, &err);
    else if (serve_limit_stranger(request))
        answer_error(request, PLUMB_E_NOT_FOUND, NOTHING);
    return false;
}

/* ---- origins ---- */

static bool is_origin(const quiz_t *quiz, const char *origin)
{
    const quiz_list_t *list = &quiz->settings.origins;
    for (size_t i = 0; origin != NULL && i < list->count; i++)
        if (strcmp(list->item[i], origin) == 0 || strcmp(list->item[i], "*") == 0)
            return true;
    return false;
}

/* Let the page's script read the answer. */
static bool allow_origin(request_t *request)
{
    const char *origin = mg_get_header(request->conn, "Origin");
    answer_header(request, "Vary", "Origin");
    if (!is_origin(request->quiz, origin))
        return false;
    answer_header(request, "Access-Control-Allow-Origin", origin);
    answer_header(request, "Access-Control-Expose-Headers", "Retry-After, X-Request-Id");
    return true;
}

void public_options(request_t *request)
{
    if (!find_quiz(request))
        return;
    request->answer.status = 200;
    request->answer.type = "text/plain";
    if (allow_origin(request)) {
        answer_header(request, "Access-Control-Allow-Methods", "POST");
        answer_header(request, "Access-Control-Allow-Headers",
                      "Authorization, Content-Type, Idempotency-Key, X-Plumb-Signature");
        answer_header(request, "Access-Control-Max-Age", "600");
    }
}

/* ---- who sends ---- */

/* "sha256=<hex>" of the body as it came. */
static bool is_signed(const request_t *request, const char *signature)
{
    static const char prefix[] = "sha256=";
    const plumb_buf_t *secret = &request->quiz->intake_secret;
    uint8_t want[crypto_auth_hmacsha256_BYTES], given[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    size_t length;
    if (secret->length == 0 || strncmp(signature, prefix, sizeof prefix - 1) != 0 ||
        sodium_hex2bin(given, sizeof given, signature + sizeof prefix - 1,
                       strlen(signature + sizeof prefix - 1), NULL, &length, NULL) != 0 ||
        length != sizeof given)
        return false;
    crypto_auth_hmacsha256_init(&state, (const uint8_t *)secret->data, secret->length);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)request->body.data,
                                  request->body.length);
    crypto_auth_hmacsha256_final(&state, want);
    sodium_memzero(&state, sizeof state);
    return sodium_memcmp(want, given, sizeof want) == 0;
}

/* A token of another account finds nothing. */
static bool admit_token(request_t *request)
{
    if (!serve_authenticate(request, SCOPE_WRITE | SCOPE_INTAKE | SCOPE_ADMIN))
        return false;
    const identity_t *identity = &request->identity;
    const quiz_t *quiz = request->quiz;
    if (plumb_uuid_compare(&identity->account, &quiz->account) == 0 &&
        (plumb_uuid_is_nil(&identity->project) ||
         plumb_uuid_compare(&identity->project, &quiz->project) == 0))
        return true;
    answer_error(request, PLUMB_E_NOT_FOUND, NOTHING);
    return false;
}

/* The limits of a token hold for all who have none, quiz by quiz.  No token's id has a star. */
static void name_sender(request_t *request)
{
    char quiz[PLUMB_UUID_TEXT];
    plumb_uuid_text(&request->quiz->id, quiz);
    snprintf(request->identity.token, sizeof request->identity.token, "*%s",
             quiz + PLUMB_UUID_TEXT - TOKEN_ID);
}

/* False: the answer is made. */
static bool admit(request_t *request, bool from_origin)
{
    const char *signature = mg_get_header(request->conn, "X-Plumb-Signature");
    if (request->door.authorization != NULL)
        return admit_token(request);
    request->identity.account = request->quiz->account;
    request->identity.scopes = SCOPE_INTAKE;
    name_sender(request);
    if (signature != NULL ? is_signed(request, signature) : from_origin)
        return true;
    if (serve_limit_stranger(request))
        answer_error(request, PLUMB_E_UNAUTHENTICATED,
                     "want a token, a page of the quiz's origins, or a signed body");
    return false;
}

/* ---- the answer ---- */

/* A person whose browser shows what is answered, not a script. */
static bool is_shown(const request_t *request, form_type_t type)
{
    const char *accept = mg_get_header(request->conn, "Accept");
    return type != FORM_JSON && accept != NULL && strstr(accept, "text/html") != NULL;
}

/* The id, and nothing that was decided. */
static void answer_taken(request_t *request, form_type_t type, const char *id)
{
    answer_t *a = &request->answer;
    const char *url = request->quiz->settings.thank_you_url;
    plumb_buf_clear(&a->body);
    a->status = 201;
    a->type = "application/json";
    plumb_buf_printf(
        &a->body, "{\"jsonapi\":{\"version\":\"1.1\"},\"data\":{\"type\":\"leads\",\"id\":\"%s\"}}",
        id);
    if (url != NULL && is_shown(request, type)) {
        a->status = 303;
        answer_header(request, "Location", url);
    }
}

/* The line `name: …` is gone from the answer's headers. */
static void drop_header(plumb_buf_t *headers, const char *name)
{
    char *at = headers->length == 0 ? NULL : strstr(headers->data, name);
    char *end = at == NULL ? NULL : strstr(at, "\r\n");
    if (end == NULL)
        return;
    end += 2;
    memmove(at, end, strlen(end) + 1);
    headers->length -= (size_t)(end - at);
}

/* What the page sent has no "/data/attributes": its fields are at the top. */
static void point_at_fields(plumb_buf_t *body)
{
    static const char was[] = "\"pointer\":\"/data/attributes", is[] = "\"pointer\":\"";
    char *at = body->data == NULL ? NULL : strstr(body->data, was);
    while (at != NULL) {
        char *rest = at + sizeof was - 1;
        at += sizeof is - 1;
        memmove(at, rest, strlen(rest) + 1);
        body->length -= sizeof was - sizeof is;
        at = strstr(at, was);
    }
}

static void tell(request_t *request, form_type_t type)
{
    static const char member[] = "\"id\":\"";
    answer_t *a = &request->answer;
    char id[PLUMB_UUID_TEXT] = "";
    const char *at = a->body.data == NULL ? NULL : strstr(a->body.data, member);
    if (a->status >= 400) {
        point_at_fields(&a->body);
        return;
    }
    if (at != NULL)
        snprintf(id, sizeof id, "%.36s", at + sizeof member - 1);
    drop_header(&a->headers, "Location: ");
    answer_taken(request, type, id);
}

/* As if it had been accepted; nothing is stored. */
static void answer_trapped(request_t *request, form_type_t type)
{
    char id[PLUMB_UUID_TEXT];
    plumb_uuid_t none = plumb_uuid_at(committers_now_ms(request->ingest->committers));
    if (checks_charge(request))
        answer_taken(request, type, plumb_uuid_text(&none, id));
}

/* ---- the form ---- */

static const char *address_text(const request_t *request, char out[INET6_ADDRSTRLEN])
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    const uint8_t *address = request->source.address;
    bool is_v4 = memcmp(address, mapped, sizeof mapped) == 0;
    return inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? address + 12 : address, out,
                     INET6_ADDRSTRLEN);
}

/* Make the document of the body, in its place.  A public sender does not say its address. */
static bool make_document(request_t *request, form_t *form)
{
    const quiz_t *quiz = request->quiz;
    char address[INET6_ADDRSTRLEN];
    bool is_public = (request->identity.scopes & ~(unsigned)SCOPE_INTAKE) == 0;
    form_frame_t frame = {.user = &quiz->user,
                          .project = &quiz->project,
                          .quiz = &quiz->id,
                          .address = is_public ? address_text(request, address) : NULL,
                          .honeypot = quiz->settings.honeypot};
    plumb_buf_t *out = &request->work->message, was = request->body;
    form_document(form, &frame, out);
    if (out->failed)
        return false;
    request->body = *out;
    *out = was;
    return true;
}

static void take(request_t *request, form_type_t type)
{
    form_t form;
    plumb_err_t err = {0};
    const char *trap = request->quiz->settings.honeypot;
    if (form_read(&form, type, request->door.content_type, &request->body, &request->work->json,
                  &err) < 0) {
        answer_error(request, err.code, err.text);
        return;
    }
    if (trap != NULL && form_is_filled(&form, trap)) {
        answer_trapped(request, type);
        return;
    }
    if (!make_document(request, &form)) {
        answer_error(request, PLUMB_E_MEMORY, "our mistake; it is in the log");
        return;
    }
    quiz_t *quiz = request->quiz;
    request->quiz = NULL; /* the checks find it anew, by its id */
    intake_post(request);
    if (request->quiz == NULL)
        request->quiz = quiz;
    else
        catalog_release(quiz);
    tell(request, type);
}

void public_post(request_t *request)
{
    form_type_t type = form_type(request->door.content_type);
    if (!find_quiz(request))
        return;
    bool from_origin = allow_origin(request);
    if (type == FORM_NONE)
        answer_problem(request, PLUMB_E_MEDIA_TYPE, SOURCE_HEADER, "Content-Type",
                       "want application/json, application/x-www-form-urlencoded or "
                       "multipart/form-data");
    else if (admit(request, from_origin))
        take(request, type);
}
