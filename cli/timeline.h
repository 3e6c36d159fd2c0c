/* The first lead: posted through the real API, and its way as the API tells it. */
#ifndef PLUMB_CLI_TIMELINE_H
#define PLUMB_CLI_TIMELINE_H

#include "up.h"

#include <stdint.h>

/* The way of a lead, in this order. */
typedef enum station {
    STATION_CHECKED,
    STATION_STORED,
    STATION_QUEUED,
    STATION_SENT,
    STATION_ANSWERED,
    STATION_RECORDED,
    STATIONS
} station_t;

typedef struct timeline {
    char lead[PLUMB_UUID_TEXT];
    int64_t at_us[STATIONS]; /* Unix microseconds; 0: not yet */
    int status;              /* of the receiver's answer; 0: none yet */
    char state[32];          /* of the delivery, "" when there is none */
    char reason[256];        /* why it is not further, as far as it says */
} timeline_t;

/* Read the answer of GET /api/v1/leads/{id}?include=deliveries,deliveries.attempts.  BAD_DOCUMENT:
 * something else. */
int timeline_read(timeline_t *timeline, const char *text, size_t length, plumb_err_t *err);

/* 0 when it went all the way, else UNAVAILABLE with what is missing. */
int timeline_check(const timeline_t *timeline, plumb_err_t *err);

void timeline_print(const timeline_t *timeline, FILE *out);

/* "2026-01-02T03:04:05.678901Z" as Unix microseconds; 0 for NULL and anything else. */
int64_t timeline_time(const char *text);

/* Post one lead and watch it until it is recorded. */
int timeline_first_lead(up_t *up, timeline_t *timeline, plumb_err_t *err);

/* The document of a lead for the demo quiz, in one line. */
void timeline_document(const demo_t *demo, const char *name, const char *phone, const char *email,
                       char *out, size_t size);

#endif
