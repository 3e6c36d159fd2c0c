/* The audit: what is queued in the tables against what the broker holds, and the ingests whose
 * falling silent asks for one at once. */
#ifndef PLUMB_TRACKER_AUDIT_H
#define PLUMB_TRACKER_AUDIT_H

#include "epochs.h"
#include "store.h"
#include "tickets.h"

typedef struct tracker tracker_t;

#define AUDIT_PAGE 1024
#define INGESTS_MAX 256

typedef enum audit_pass { AUDIT_NONE, AUDIT_FAST, AUDIT_YOUNG, AUDIT_OLD } audit_pass_t;

typedef struct audit_ingest {
    char name[NAME_SIZE];
    uint64_t instance;
    int64_t seen_ms;
    bool silent;
} audit_ingest_t;

typedef struct audit {
    audit_ingest_t ingests[INGESTS_MAX];
    size_t ingest_count;
    int64_t fast_ms, young_ms, old_ms; /* when each pass is due */
    int64_t fast_last_ms;              /* the latest moment for which a fast one was asked */
    audit_pass_t pass;                 /* the one that runs */
    queued_cursor_t cursor;
    bool end;        /* no page behind this one */
    uint64_t number; /* of the page asked about */
    uint64_t epoch;  /* of its rows */
    delivery_key_t page[AUDIT_PAGE];
    size_t page_count; /* 0: no answer is waited for */
    tickets_t index;   /* ticket → place in the page */
    delivery_key_t missing[AUDIT_PAGE];
    size_t missing_count;
    bool answered;
    unsigned tries;
    int64_t asked_ms;
} audit_t;

void audit_init(audit_t *a, int64_t now_ms, int64_t every_ms);
void audit_fini(audit_t *a);

void audit_here(tracker_t *t, const plumb_note_t *here);
void audit_missing(tracker_t *t, const plumb_note_t *missing);
void audit_restart(tracker_t *t); /* our own loop stood still: nobody fell silent */

int audit_work(tracker_t *t, plumb_err_t *err);
int64_t audit_next_ms(const audit_t *a); /* 0: now */

#endif
