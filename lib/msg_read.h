/* Reading the values of a message; msg_frame.c reads what is around them. */
#ifndef PLUMB_MSG_READ_H
#define PLUMB_MSG_READ_H

#include "msg_check.h"
#include "msg_fields.h"

typedef struct plumb_msg_reader {
    plumb_walk_t walk;
    const plumb_msg_target_t *target;
} plumb_msg_reader_t;

/* Take the value at the cursor into the member of `field`. */
int plumb_msg_take(plumb_msg_reader_t *reader, const plumb_msg_field_t *field);

#endif
