/* Brokers as this tracker sees them: beacons in, the table of epochs, answers to those who ask. */
#ifndef PLUMB_TRACKER_BROKERS_H
#define PLUMB_TRACKER_BROKERS_H

#include "epochs.h"
#include "gate.h"

typedef struct tracker tracker_t;

#define BROKERS_QUESTIONS 16

typedef struct brokers_question {
    uint64_t epoch;
    char broker[NAME_SIZE];
} brokers_question_t;

typedef struct brokers {
    gate_t gate; /* the newest beacon of an epoch that stands */
    brokers_question_t questions[BROKERS_QUESTIONS];
    size_t question_count;
    bool loaded; /* the table's epochs are in memory */
} brokers_t;

void brokers_fini(brokers_t *b);

void brokers_beacon(tracker_t *t, const plumb_note_t *beacon);
void brokers_ask(tracker_t *t, const plumb_note_t *stands); /* a STANDS question */
void brokers_inventory(tracker_t *t, const plumb_note_t *inventory);

/* What is due: write down who was seen, declare the silent dead, answer, publish the census. */
int brokers_work(tracker_t *t, plumb_err_t *err);

/* The epoch whose broker speaks now, 0: none. */
uint64_t brokers_epoch(tracker_t *t);
/* The same, while it has room for jobs. */
uint64_t brokers_open_epoch(tracker_t *t);

#endif
