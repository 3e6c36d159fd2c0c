/* What one attempt of a delivery came to: one enum for the wire, the tables, the metrics and
 * plugins. */
#ifndef PLUMB_OUTCOME_H
#define PLUMB_OUTCOME_H

typedef enum plumb_outcome {
#define PLUMB_OUTCOME(name, charged) PLUMB_OUT_##name,
#include "outcomes.h"
#undef PLUMB_OUTCOME
    PLUMB_OUT_COUNT
} plumb_outcome_t;

#endif
