/* Failures by source. */
#include "strangers.h"

#include "cells.h"

#include <pthread.h>
#include <stdlib.h>

#define SOURCES 4096
#define FAILURES 10 /* a minute */
#define MINUTE_MS 60000
#define KEPT_OUT_MAX_MS INT64_C(3600000)

typedef struct source {
    cell_t cell;
    int64_t minute_ms; /* began then */
    int64_t until_ms;  /* kept out */
    int64_t next_ms;   /* for so long the next time */
    unsigned failures; /* in this minute */
} source_t;

struct strangers {
    pthread_mutex_t lock;
    cells_t sources;
};

int strangers_new(strangers_t **ret, plumb_err_t *err)
{
    strangers_t *s = calloc(1, sizeof *s);
    *ret = s;
    if (s == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "table of strangers");
    pthread_mutex_init(&s->lock, NULL);
    if (!cells_init(&s->sources, sizeof(source_t), SOURCES)) {
        strangers_destroy(ret);
        return plumb_err_set(err, PLUMB_E_MEMORY, "table of strangers");
    }
    return 0;
}

void strangers_destroy(strangers_t **strangers)
{
    if (strangers == NULL || *strangers == NULL)
        return;
    cells_fini(&(*strangers)->sources);
    pthread_mutex_destroy(&(*strangers)->lock);
    free(*strangers);
    *strangers = NULL;
}

static source_t *find(strangers_t *s, const uint8_t source[16])
{
    bool fresh;
    uint8_t key[17] = {1}; /* so that the address of all zeroes is a name too */
    for (int i = 0; i < 16; i++)
        key[i + 1] = source[i];
    source_t *found = cells_find(&s->sources, key, sizeof key, &fresh);
    if (fresh) {
        cell_t cell = found->cell;
        *found = (source_t){.cell = cell, .next_ms = MINUTE_MS};
    }
    return found;
}

int64_t strangers_kept_out(strangers_t *strangers, const uint8_t source[16], int64_t now_ms)
{
    pthread_mutex_lock(&strangers->lock);
    const source_t *s = find(strangers, source);
    int64_t left = s->until_ms - now_ms;
    pthread_mutex_unlock(&strangers->lock);
    return left > 0 ? left : 0;
}

void strangers_failed(strangers_t *strangers, const uint8_t source[16], int64_t now_ms)
{
    pthread_mutex_lock(&strangers->lock);
    source_t *s = find(strangers, source);
    s->cell.used = now_ms;
    if (now_ms - s->minute_ms >= MINUTE_MS) {
        if (now_ms - s->minute_ms >= KEPT_OUT_MAX_MS * 2)
            s->next_ms = MINUTE_MS; /* it has behaved for long enough */
        s->minute_ms = now_ms;
        s->failures = 0;
    }
    if (++s->failures >= FAILURES && now_ms >= s->until_ms) {
        s->until_ms = now_ms + s->next_ms;
        s->next_ms = s->next_ms * 2 < KEPT_OUT_MAX_MS ? s->next_ms * 2 : KEPT_OUT_MAX_MS;
        s->failures = 0;
    }
    pthread_mutex_unlock(&strangers->lock);
}
