/* Answers that are due later: a heap, the earliest first. */
#include "sink.h"

#include "clock.h"

#include <stdlib.h>

static void set_timer(sink_t *s, size_t place, conn_t *c)
{
    s->timers[place] = c;
    c->timer = place;
}

static void sift(sink_t *s, size_t place, conn_t *c)
{
    for (; place > 1 && s->timers[place / 2]->due_us > c->due_us; place /= 2)
        set_timer(s, place, s->timers[place / 2]);
    for (size_t child; (child = place * 2) <= s->timer_count; place = child) {
        if (child < s->timer_count && s->timers[child + 1]->due_us < s->timers[child]->due_us)
            child++;
        if (s->timers[child]->due_us >= c->due_us)
            break;
        set_timer(s, place, s->timers[child]);
    }
    set_timer(s, place, c);
}

void timer_start(sink_t *s, conn_t *c, int64_t wait_us)
{
    if (s->timer_count + 1 >= s->timer_capacity) {
        s->timer_capacity = s->timer_capacity * 2 + 64;
        s->timers = realloc(s->timers, s->timer_capacity * sizeof(conn_t *));
        if (s->timers == NULL)
            sink_die("memory");
    }
    c->due_us = plumb_mono_us() + wait_us;
    s->timer_count++;
    sift(s, s->timer_count, c);
}

void timer_stop(sink_t *s, conn_t *c)
{
    if (c->timer == 0)
        return;
    conn_t *last = s->timers[s->timer_count--];
    if (last != c)
        sift(s, c->timer, last);
    c->timer = 0;
}
