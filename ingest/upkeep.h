/* What is done now and then beside the requests, on one thread. */
#ifndef INGEST_UPKEEP_H
#define INGEST_UPKEEP_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct upkeep_task {
    int64_t every_ms;
    void (*run)(void *self);
    void *self;
} upkeep_task_t;

typedef struct upkeep upkeep_t;

/* Run each of `count` tasks once an interval, the first time after one. */
int upkeep_new(upkeep_t **ret, const upkeep_task_t *tasks, size_t count, plumb_err_t *err);
/* Returns when the task that runs has ended. */
void upkeep_destroy(upkeep_t **upkeep);

#endif
