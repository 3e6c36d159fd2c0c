/* A test sends one job after another through a credential, all with given outcomes. */
#ifndef PLUMB_TESTS_BROKER_STREAM_H
#define PLUMB_TESTS_BROKER_STREAM_H

#include "broker_world.h"

typedef struct stream {
    world_t w;
    unsigned next; /* number of the next job put */
    unsigned told; /* what was said until here is looked at */
    unsigned out[64];
    unsigned out_count; /* with the worker */
} stream_t;

static inline void stream_look(stream_t *s)
{
    world_step(&s->w);
    for (; s->told < s->w.count; s->told++) {
        if (s->w.said[s->told].type == PLUMB_MSG_JOB)
            s->out[s->out_count++] = world_number(&s->w.said[s->told]);
    }
}

static inline void stream_init(stream_t *s, const broker_settings_t *set)
{
    *s = (stream_t){.next = 1};
    world_init(&s->w, set);
    world_hello(&s->w, world_wide, 0, NULL, 0);
}

static inline void stream_put(stream_t *s, unsigned count)
{
    world_put_many(&s->w, s->next, count);
    s->next += count;
    stream_look(s);
}

/* The oldest call with the worker ends. */
static inline void stream_end(stream_t *s, plumb_outcome_t outcome, int64_t retry_after_ms)
{
    assert_true(s->out_count > 0);
    plumb_ticket_t ticket = world_ticket(s->out[0], 1);
    memmove(s->out, s->out + 1, --s->out_count * sizeof s->out[0]);
    world_done_as(&s->w, world_wide, ticket, outcome, retry_after_ms);
    world_ack_ticket(&s->w, ticket);
    stream_look(s);
}

static inline void stream_live(stream_t *s, int64_t ms)
{
    world_live(&s->w, &world_wide, 1, ms);
    stream_look(s);
}

#endif
