/* Throttle keys: how often a destination may be called (GCRA), and Retry-After.
 *
 * A line whose first job may not go yet waits at the key that holds it up longest.  The key wakes
 * as many lines as it has calls to give; a line that was woken and then could not go loses nothing,
 * since waking goes on for as long as lines wait. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

#define US 1000
#define SECOND_US 1000000
#define WAKE_MAX_MS 1000
#define SWEEP_BATCH 64

typedef struct name {
    const char *data;
    size_t length;
} name_t;

static bool same(const bk_node_t *node, const void *key)
{
    const throttle_t *throttle = BK_OF(const throttle_t, node, node);
    const name_t *name = key;
    return throttle->length == name->length && memcmp(throttle->key, name->data, name->length) == 0;
}

static int64_t interval_us(const throttle_t *throttle)
{
    int64_t interval = (int64_t)1000 * SECOND_US / throttle->per_kilosecond;
    return interval > 0 ? interval : 1;
}

static int64_t now_us(const broker_t *b)
{
    return b->now_ms * US;
}

int64_t bk_throttle_wait_us(const broker_t *b, const throttle_t *throttle)
{
    int64_t wait = throttle->hold_ms * US - now_us(b);
    if (throttle->per_kilosecond != 0) {
        int64_t early = throttle->tat_us - interval_us(throttle) * (throttle->burst - 1);
        if (early - now_us(b) > wait)
            wait = early - now_us(b);
    }
    return wait > 0 ? wait : 0;
}

/* How many calls it has to give now, at most `most`. */
static unsigned calls_now(const broker_t *b, const throttle_t *throttle, unsigned most)
{
    if (bk_throttle_wait_us(b, throttle) > 0)
        return 0;
    if (throttle->per_kilosecond == 0)
        return most;
    int64_t tat = throttle->tat_us > now_us(b) ? throttle->tat_us : now_us(b);
    int64_t calls = (now_us(b) - tat) / interval_us(throttle) + throttle->burst;
    return calls < most ? (unsigned)calls : most;
}

void bk_throttle_charge(broker_t *b, throttle_t *throttle)
{
    if (throttle->per_kilosecond == 0)
        return;
    if (throttle->tat_us < now_us(b))
        throttle->tat_us = now_us(b);
    throttle->tat_us += interval_us(throttle);
}

static void set_timer(broker_t *b, throttle_t *throttle)
{
    if (bk_list_empty(&throttle->waiters)) {
        bk_timer_unset(&b->timers, &throttle->timer);
        return;
    }
    int64_t wait_ms = (bk_throttle_wait_us(b, throttle) + US - 1) / US;
    bk_timer_set(&b->timers, &throttle->timer, b->now_ms + (wait_ms > 0 ? wait_ms : 1));
}

static void fire(void *self, bk_timer_t *timer)
{
    broker_t *b = self;
    throttle_t *throttle = BK_OF(throttle_t, timer, timer);
    unsigned calls = calls_now(b, throttle, 256);
    for (unsigned i = 0; i < calls && !bk_list_empty(&throttle->waiters); i++) {
        line_t *line = BK_OF(line_t, waiter, bk_list_first(&throttle->waiters));
        bk_list_remove(&line->waiter);
        line->blocked_by = NULL;
        bk_line_refresh(b, line);
    }
    if (calls == 0 || bk_list_empty(&throttle->waiters)) {
        set_timer(b, throttle);
        return;
    }
    int64_t next_ms =
        throttle->per_kilosecond == 0 ? 1 : (interval_us(throttle) * calls + US - 1) / US;
    bk_timer_set(&b->timers, &throttle->timer,
                 b->now_ms + (next_ms < WAKE_MAX_MS ? next_ms : WAKE_MAX_MS));
}

void bk_throttle_block(broker_t *b, throttle_t *throttle, line_t *line)
{
    line->blocked_by = throttle;
    bk_list_append(&throttle->waiters, &line->waiter);
    if (throttle->timer.place == 0)
        set_timer(b, throttle);
}

/* A later moment only: two answers may cross. */
void bk_throttle_hold(broker_t *b, throttle_t *throttle, int64_t ms)
{
    if (b->now_ms + ms > throttle->hold_ms) {
        throttle->hold_ms = b->now_ms + ms;
        b->beacon_wanted = true;
    }
}

/* "<channel>/<level>/<value>": without a value it is the whole channel's. */
static bool is_wide(const char *key, size_t length)
{
    const char *slash = memchr(key, '/', length);
    if (slash == NULL)
        return true;
    size_t rest = length - (size_t)(slash - key) - 1;
    const char *second = memchr(slash + 1, '/', rest);
    return second == NULL || second + 1 == key + length;
}

static throttle_t *make(broker_t *b, name_t name, uint64_t hash)
{
    if (b->throttles.count >= BK_THROTTLES_MAX && !bk_list_empty(&b->idle_throttles))
        bk_throttle_free(b, BK_OF(throttle_t, idle, bk_list_first(&b->idle_throttles)));
    throttle_t *throttle = calloc(1, sizeof *throttle + name.length);
    if (throttle == NULL || !bk_heap_reserve(&b->timers)) {
        free(throttle);
        return NULL;
    }
    throttle->timer.fire = fire;
    bk_list_init(&throttle->waiters);
    throttle->length = name.length;
    memcpy(throttle->key, name.data, name.length);
    throttle->wide = is_wide(name.data, name.length);
    bk_table_add(&b->throttles, &throttle->node, hash);
    return throttle;
}

throttle_t *bk_throttle_get(broker_t *b, const plumb_throttle_t *limit)
{
    name_t name = {limit->key.data, limit->key.length};
    uint64_t hash = bk_hash(b->hash_seed, name.data, name.length);
    bk_node_t *node = bk_table_find(&b->throttles, hash, same, &name);
    throttle_t *throttle = node != NULL ? BK_OF(throttle_t, node, node) : make(b, name, hash);
    if (throttle == NULL)
        return NULL;
    throttle->per_kilosecond = limit->per_kilosecond;
    throttle->burst = limit->burst > 0 ? limit->burst : 1;
    return bk_throttle_ref(throttle);
}

throttle_t *bk_throttle_ref(throttle_t *throttle)
{
    throttle->refs++;
    bk_list_remove(&throttle->idle);
    return throttle;
}

void bk_throttle_put(broker_t *b, throttle_t *throttle)
{
    if (--throttle->refs == 0)
        bk_list_append(&b->idle_throttles, &throttle->idle);
}

void bk_throttle_free(broker_t *b, throttle_t *throttle)
{
    bk_timer_unset(&b->timers, &throttle->timer);
    bk_heap_release(&b->timers);
    bk_list_remove(&throttle->idle);
    bk_table_remove(&b->throttles, &throttle->node);
    free(throttle);
}

/* Forget keys that nobody uses and that hold up nothing any more; a few at a time. */
void bk_throttles_sweep(broker_t *b)
{
    for (int i = 0; i < SWEEP_BATCH && !bk_list_empty(&b->idle_throttles); i++) {
        throttle_t *throttle = BK_OF(throttle_t, idle, bk_list_first(&b->idle_throttles));
        if (throttle->hold_ms <= b->now_ms && throttle->tat_us <= now_us(b)) {
            bk_throttle_free(b, throttle);
        } else {
            bk_list_remove(&throttle->idle);
            bk_list_append(&b->idle_throttles, &throttle->idle);
        }
    }
}
