/* A lead as it is answered to whoever made it, and how its deliveries stand together. */
#ifndef INGEST_RESOURCE_H
#define INGEST_RESOURCE_H

#include "clock.h"
#include "err.h"
#include "lead.h"

/* How the lead's deliveries stand together (architecture 4: derived when read). */
typedef enum integration_status {
    INTEGRATION_NONE,
    INTEGRATION_PENDING,
    INTEGRATION_PARTIAL,
    INTEGRATION_DELIVERED,
    INTEGRATION_FAILED
} integration_status_t;

const char *integration_name(integration_status_t status);
/* By its name, which is one of those that integration_name gives. */
integration_status_t integration_find(const char *name);

/* Deliveries by what they came to. */
typedef struct integration {
    unsigned live, delivered, failed, skipped;
} integration_t;
/* Count one by its state. */
void integration_count(integration_t *integration, const char *state);
integration_status_t integration_status(const integration_t *integration);

/* Give a new lead its times; `text` must live as long as they are read. */
void resource_stamp(plumb_lead_t *lead, int64_t created_ms, char text[PLUMB_TIME_TEXT]);

/* Give it what the commit decided, as whoever sent it is told: never that it is blocked. `original`
 * (nil: none) is whose duplicate it is; `text` must live as long as it is read. */
void resource_mark(plumb_lead_t *lead, bool paid, const plumb_uuid_t *original,
                   char text[PLUMB_UUID_TEXT]);

/* Write the document that answers whoever made the lead; `out` is cleared first. */
int resource_document(plumb_buf_t *out, const plumb_lead_t *lead, integration_status_t status,
                      plumb_err_t *err);

#define DOCUMENT_HEAD "{\"jsonapi\":{\"version\":\"1.1\"},\"data\":"

#endif
