/* What workers' plugins say of themselves, into the table `channels`. */
#ifndef PLUMB_TRACKER_CHANNELS_H
#define PLUMB_TRACKER_CHANNELS_H

#include "err.h"
#include "msg.h"

typedef struct tracker tracker_t;

#define CHANNELS_TEXT_MAX 65536
#define CHANNELS_WAITING 64 /* notes kept until the database takes them; workers repeat theirs */

typedef struct channels {
    char *texts[CHANNELS_WAITING]; /* owned */
    size_t count;
} channels_t;

void channels_fini(channels_t *c);
void channels_note(tracker_t *t, const plumb_note_t *note);
int channels_work(tracker_t *t, plumb_err_t *err);

#endif
