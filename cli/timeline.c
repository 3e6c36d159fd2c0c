/* Following one lead through the API. */
#include "timeline.h"

#include "clock.h"
#include "http.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RECORDED_MS 15000
#define REQUEST_MS 5000
#define BEACON_SPARE_MS 200 /* for the way to ingest */

static const char *const words[STATIONS] = {"checked", "stored",   "queued",
                                            "sent",    "answered", "recorded"};

/* ---- reading ---- */

int64_t timeline_time(const char *text)
{
    struct tm tm = {0};
    int used = 0;
    if (text == NULL || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon,
                               &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t us = 0, unit = 1000000;
    const char *at = text + used;
    if (*at == '.')
        for (at++; *at >= '0' && *at <= '9'; at++) {
            unit /= 10;
            us += (*at - '0') * unit;
        }
    return strcmp(at, "Z") == 0 ? (int64_t)timegm(&tm) * 1000000 + us : 0;
}

static int64_t time_of(const json_t *attributes, const char *key)
{
    return timeline_time(json_string_value(json_object_get(attributes, key)));
}

static void copy_text(char *out, size_t size, const json_t *attributes, const char *key)
{
    const char *text = json_string_value(json_object_get(attributes, key));
    if (text != NULL)
        snprintf(out, size, "%s", text);
}

static void take_delivery(timeline_t *t, const json_t *attributes)
{
    t->at_us[STATION_STORED] = time_of(attributes, "createdAt");
    t->at_us[STATION_QUEUED] = time_of(attributes, "queuedAt");
    copy_text(t->state, sizeof t->state, attributes, "state");
    copy_text(t->reason, sizeof t->reason, attributes, "reason");
}

static void take_attempt(timeline_t *t, const json_t *attributes)
{
    int64_t started = time_of(attributes, "startedAt");
    const json_t *timings = json_object_get(attributes, "timings");
    json_int_t first_byte = json_integer_value(json_object_get(timings, "firstByteUs"));
    t->status = (int)json_integer_value(json_object_get(attributes, "status"));
    t->at_us[STATION_SENT] = started;
    t->at_us[STATION_ANSWERED] = first_byte > 0 ? started + first_byte : 0;
    t->at_us[STATION_RECORDED] = time_of(attributes, "recordedAt");
    copy_text(t->reason, sizeof t->reason, attributes, "detail");
}

int timeline_read(timeline_t *t, const char *text, size_t length, plumb_err_t *err)
{
    json_t *root = text == NULL ? NULL : json_loadb(text, length, 0, NULL);
    json_t *data = json_object_get(root, "data");
    const char *id = json_string_value(json_object_get(data, "id"));
    json_t *included = json_object_get(root, "included"), *resource;
    size_t i;
    *t = (timeline_t){0};
    if (id == NULL) {
        json_decref(root);
        return plumb_err_set(err, PLUMB_E_BAD_DOCUMENT, "the answer is not a lead");
    }
    snprintf(t->lead, sizeof t->lead, "%s", id);
    t->at_us[STATION_CHECKED] = time_of(json_object_get(data, "attributes"), "createdAt");
    json_array_foreach(included, i, resource)
    {
        const char *type = json_string_value(json_object_get(resource, "type"));
        const json_t *attributes = json_object_get(resource, "attributes");
        if (type != NULL && strcmp(type, "deliveries") == 0)
            take_delivery(t, attributes);
        else if (type != NULL && strcmp(type, "attempts") == 0)
            take_attempt(t, attributes);
    }
    json_decref(root);
    return 0;
}

/* ---- judging and showing ---- */

int timeline_check(const timeline_t *t, plumb_err_t *err)
{
    const char *because = t->reason[0] != '\0' ? t->reason : "no reason given";
    if (t->state[0] == '\0')
        return plumb_err_set(err, PLUMB_E_UNAVAILABLE,
                             "lead %s is stored, but no delivery was made of it", t->lead);
    if (strcmp(t->state, "delivered") == 0 && t->at_us[STATION_RECORDED] != 0)
        return 0;
    if (t->at_us[STATION_RECORDED] != 0)
        return plumb_err_set(err, PLUMB_E_UNAVAILABLE,
                             "lead %s was sent, but its delivery is %s (status %d, %s)", t->lead,
                             t->state, t->status, because);
    return plumb_err_set(err, PLUMB_E_UNAVAILABLE,
                         "lead %s is stored and its delivery is %s, but no attempt is recorded",
                         t->lead, t->state);
}

void timeline_print(const timeline_t *t, FILE *out)
{
    int64_t first = t->at_us[STATION_CHECKED];
    fprintf(out, "lead %s\n", t->lead);
    for (int i = 0; i < STATIONS; i++) {
        char day[32] = "", word[32];
        time_t seconds = (time_t)(t->at_us[i] / 1000000);
        struct tm tm;
        snprintf(word, sizeof word, "%s", words[i]);
        if (i == STATION_ANSWERED && t->status != 0)
            snprintf(word, sizeof word, "%d", t->status);
        if (t->at_us[i] == 0) {
            fprintf(out, "  %-10s -\n", word);
            continue;
        }
        strftime(day, sizeof day, "%H:%M:%S", gmtime_r(&seconds, &tm));
        fprintf(out, "  %-10s %s.%03d  +%.1f ms\n", word, day, (int)(t->at_us[i] / 1000 % 1000),
                (double)(t->at_us[i] - first) / 1000);
    }
}

/* ---- doing it ---- */

void timeline_document(const demo_t *demo, const char *name, const char *phone, const char *email,
                       char *out, size_t size)
{
    char user[PLUMB_UUID_TEXT], project[PLUMB_UUID_TEXT], quiz[PLUMB_UUID_TEXT];
    snprintf(out, size,
             "{\"data\":{\"type\":\"leads\",\"attributes\":{\"userId\":\"%s\",\"projectId\":\"%s\","
             "\"quizId\":\"%s\",\"name\":\"%s\",\"phone\":\"%s\",\"email\":\"%s\"}}}",
             plumb_uuid_text(&demo->user, user), plumb_uuid_text(&demo->project, project),
             plumb_uuid_text(&demo->quiz, quiz), name, phone, email);
}

/* What the API says against it, in one line. */
static int refused(const http_answer_t *answer, plumb_err_t *err)
{
    json_t *root = answer->body.data == NULL
                       ? NULL
                       : json_loadb(answer->body.data, answer->body.length, 0, NULL);
    const json_t *error = json_array_get(json_object_get(root, "errors"), 0);
    const char *title = json_string_value(json_object_get(error, "title"));
    const char *detail = json_string_value(json_object_get(error, "detail"));
    int rc = plumb_err_set(err, PLUMB_E_UNAVAILABLE, "the API answered %ld: %s%s%s", answer->status,
                           title == NULL ? "no reason given" : title, detail == NULL ? "" : ", ",
                           detail == NULL ? "" : detail);
    json_decref(root);
    return rc;
}

/* One request of the demo's token; the lead it answers with goes to `timeline`. */
static int ask(const up_t *up, const char *method, const char *path, const char *body, long want,
               timeline_t *timeline, plumb_err_t *err)
{
    char url[512];
    http_answer_t answer;
    http_ask_t question = {.method = method,
                           .url = url,
                           .token = up->demo.token,
                           .body = body,
                           .timeout_ms = REQUEST_MS};
    snprintf(url, sizeof url, "%s%s", up->url, path);
    int rc = http_request(&question, &answer, err);
    if (rc == 0 && answer.status != want)
        rc = refused(&answer, err);
    if (rc == 0)
        rc = timeline_read(timeline, answer.body.data, answer.body.length, err);
    http_answer_fini(&answer);
    return rc;
}

typedef struct watch {
    const up_t *up;
    timeline_t *timeline;
} watch_t;

static int recorded(void *self, plumb_err_t *err)
{
    const watch_t *watch = self;
    timeline_t now = {0};
    char path[256];
    snprintf(path, sizeof path, "/api/v1/leads/%s?include=deliveries,deliveries.attempts",
             watch->timeline->lead);
    int rc = ask(watch->up, "GET", path, NULL, 200, &now, err);
    if (rc < 0)
        return rc;
    *watch->timeline = now;
    return timeline_check(&now, err);
}

static int has_come(void *self, plumb_err_t *err)
{
    const int64_t *moment_ms = self;
    return plumb_mono_ms() >= *moment_ms ? 0 : plumb_err_set(err, PLUMB_E_TIMEOUT, "too early");
}

/* Ingest hands its leads to the broker itself once it has heard a beacon; before, they go the
 * tracker's slower way, which is not what a first look should show. */
static int await_beacon(up_t *up, plumb_err_t *err)
{
    int64_t moment_ms = plumb_mono_ms() + up->conf.beacon_every + BEACON_SPARE_MS;
    return supervisor_wait(&up->supervisor, has_come, &moment_ms,
                           up->conf.beacon_every + RECORDED_MS, err);
}

int timeline_first_lead(up_t *up, timeline_t *timeline, plumb_err_t *err)
{
    char document[1024], phone[24], email[64];
    uint32_t number = randombytes_uniform(10000000); /* another person each time */
    snprintf(phone, sizeof phone, "+7900%07" PRIu32, number);
    snprintf(email, sizeof email, "anna-%07" PRIu32 "@mail.example", number);
    timeline_document(&up->demo, "Anna First", phone, email, document, sizeof document);
    int rc = await_beacon(up, err);
    if (rc == 0)
        rc = ask(up, "POST", "/api/v1/leads", document, 201, timeline, err);
    if (rc < 0)
        return plumb_err_add(err, "post the first lead");
    watch_t watch = {up, timeline};
    return supervisor_wait(&up->supervisor, recorded, &watch, RECORDED_MS, err);
}
