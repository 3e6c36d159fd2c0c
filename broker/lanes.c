/* One credential: how many calls at once, its circuit breaker, whether it may be fed.
 *
 * Concurrency grows by one for each full round of successes and halves on a failure.  The breaker
 * opens after a run of failures, or when half of the last minute's calls failed; then one call at a
 * time is let through, and two successes close it. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_CALLS 20 /* fewer in a minute prove nothing */
#define CLOSE_WINS 2
#define JITTER_PERCENT 20
#define HOLD_MAX_MS 86400000
#define IDLE_MS 600000    /* how long a credential without jobs is remembered */
#define FEED_SOON_MS 1000 /* half-open with a job at hand: ask again then */

static uint64_t hash_of(const broker_t *b, const plumb_uuid_t *id)
{
    return bk_hash(b->hash_seed, id->b, sizeof id->b);
}

static bool same(const bk_node_t *node, const void *key)
{
    return memcmp(BK_OF(const lane_t, node, node)->id.b, key, sizeof(plumb_uuid_t)) == 0;
}

lane_t *bk_lane_find(const broker_t *b, const plumb_uuid_t *id)
{
    bk_node_t *node = bk_table_find(&b->lanes, hash_of(b, id), same, id);
    return node == NULL ? NULL : BK_OF(lane_t, node, node);
}

static void fire(void *self, bk_timer_t *timer);

lane_t *bk_lane_get(broker_t *b, const plumb_uuid_t *id)
{
    lane_t *lane = bk_lane_find(b, id);
    if (lane != NULL)
        return lane;
    if (b->lanes.count >= BK_LANES_MAX && !bk_list_empty(&b->idle_lanes))
        bk_lane_free(b, BK_OF(lane_t, idle, bk_list_first(&b->idle_lanes)));
    lane = calloc(1, sizeof *lane);
    if (lane == NULL || !bk_heap_reserve(&b->timers)) {
        free(lane);
        return NULL;
    }
    lane->id = *id;
    lane->limit = b->set.destination_start;
    lane->open_ms = b->set.breaker_open_ms;
    lane->timer.fire = fire;
    lane->idle_ms = b->now_ms;
    bk_list_init(&lane->lines);
    bk_list_append(&b->idle_lanes, &lane->idle);
    bk_table_add(&b->lanes, &lane->node, hash_of(b, id));
    return lane;
}

static void forget_throttles(broker_t *b, lane_t *lane)
{
    for (unsigned i = 0; i < lane->throttle_count; i++)
        bk_throttle_put(b, lane->throttles[i]);
    lane->throttle_count = 0;
}

void bk_lane_free(broker_t *b, lane_t *lane)
{
    forget_throttles(b, lane);
    bk_timer_unset(&b->timers, &lane->timer);
    bk_heap_release(&b->timers);
    bk_list_remove(&lane->idle);
    bk_table_remove(&b->lanes, &lane->node);
    free(lane);
}

void bk_lane_throttles(broker_t *b, lane_t *lane, const payload_t *payload)
{
    throttle_t *keys[PLUMB_THROTTLES_MAX] = {0};
    for (unsigned i = 0; i < payload->throttle_count; i++)
        keys[i] = bk_throttle_ref(payload->throttles[i]); /* before the old ones go */
    forget_throttles(b, lane);
    memcpy(lane->throttles, keys, payload->throttle_count * sizeof(throttle_t *));
    lane->throttle_count = payload->throttle_count;
}

/* --- what may go --- */

/* While half-open the oldest job goes first; one that must go alone only when there is no other. */
static const line_t *oldest(const lane_t *lane)
{
    const line_t *best = NULL;
    for (const bk_link_t *at = lane->lines.next; at != &lane->lines; at = at->next) {
        const line_t *line = BK_OF(const line_t, in_lane, at);
        if (bk_list_empty(&line->tickets))
            continue;
        if (best == NULL || (best->ward && !line->ward) ||
            (best->ward == line->ward && bk_line_first(line)->seq < bk_line_first(best)->seq))
            best = line;
    }
    return best;
}

bool bk_lane_may(const broker_t *b, const lane_t *lane, const line_t *line)
{
    if (lane->hold_ms > b->now_ms)
        return false;
    switch (lane->breaker) {
    case BK_OPEN:
        return false;
    case BK_HALF_OPEN:
        return !lane->probing && oldest(lane) == line;
    default:
        return lane->inflight < lane->limit;
    }
}

void bk_lane_refresh(broker_t *b, lane_t *lane)
{
    for (bk_link_t *at = lane->lines.next; at != &lane->lines; at = at->next)
        bk_line_refresh(b, BK_OF(line_t, in_lane, at));
}

void bk_lane_began(broker_t *b, lane_t *lane, ticket_t *t)
{
    lane->inflight++;
    if (lane->breaker == BK_HALF_OPEN && !lane->probing) {
        lane->probing = true;
        t->probe = true;
    }
    bk_lane_refresh(b, lane);
}

void bk_lane_ended(broker_t *b, lane_t *lane, ticket_t *t)
{
    lane->inflight--;
    if (t->probe)
        lane->probing = false;
    t->probe = false;
    bk_lane_refresh(b, lane);
}

/* --- what came of it --- */

static void set_timer(broker_t *b, lane_t *lane)
{
    int64_t due = lane->breaker == BK_OPEN ? lane->until_ms : 0;
    if (lane->hold_ms > b->now_ms && (due == 0 || lane->hold_ms < due))
        due = lane->hold_ms;
    if (due != 0)
        bk_timer_set(&b->timers, &lane->timer, due);
    else
        bk_timer_unset(&b->timers, &lane->timer);
}

static void fire(void *self, bk_timer_t *timer)
{
    broker_t *b = self;
    lane_t *lane = BK_OF(lane_t, timer, timer);
    if (lane->breaker == BK_OPEN && lane->until_ms <= b->now_ms) {
        lane->breaker = BK_HALF_OPEN;
        lane->probing = false;
        lane->wins = 0;
    }
    b->beacon_wanted = true;
    set_timer(b, lane);
    bk_lane_refresh(b, lane);
}

static void open_breaker(broker_t *b, lane_t *lane)
{
    int64_t jitter = lane->open_ms * JITTER_PERCENT / 100;
    int64_t wait = lane->open_ms + (int64_t)(bk_random(b) % (uint64_t)(jitter + 1));
    lane->breaker = BK_OPEN;
    lane->until_ms = b->now_ms + wait;
    lane->open_ms *= 2;
    if (lane->open_ms > b->set.breaker_open_max_ms)
        lane->open_ms = b->set.breaker_open_max_ms;
    lane->run = 0;
    memset(lane->window, 0, sizeof lane->window);
    b->beacon_wanted = true;
    set_timer(b, lane);
    bk_event_id(b, BROKER_BREAKER_OPEN, &lane->id, (uint64_t)wait);
    bk_lane_refresh(b, lane);
    bk_lane_spill(b, lane);
}

static void close_breaker(broker_t *b, lane_t *lane)
{
    lane->breaker = BK_CLOSED;
    lane->open_ms = b->set.breaker_open_ms;
    lane->limit = 1;
    lane->round = 0;
    b->beacon_wanted = true;
    bk_event_id(b, BROKER_BREAKER_CLOSED, &lane->id, 0);
}

/* Half of at least WINDOW_CALLS in a minute?  A setting that lets more failures pass in a row asks
 * for as many calls here. */
static bool window_fails(broker_t *b, lane_t *lane, bool failure)
{
    int64_t slot = b->now_ms / BK_WINDOW_SLOT_MS;
    uint32_t calls = 0;
    uint32_t failures = 0;
    size_t at = (size_t)(slot % BK_WINDOW_SLOTS);
    if (lane->window[at].slot != slot) {
        lane->window[at].slot = slot;
        lane->window[at].calls = 0;
        lane->window[at].failures = 0;
    }
    lane->window[at].calls++;
    lane->window[at].failures += failure;
    for (size_t i = 0; i < BK_WINDOW_SLOTS; i++) {
        if (lane->window[i].slot > slot - BK_WINDOW_SLOTS) {
            calls += lane->window[i].calls;
            failures += lane->window[i].failures;
        }
    }
    uint32_t least = b->set.breaker_run > WINDOW_CALLS ? b->set.breaker_run : WINDOW_CALLS;
    return calls >= least && failures * 2 >= calls;
}

static void count_closed(broker_t *b, lane_t *lane, bool failure)
{
    lane->run = failure ? lane->run + 1 : 0;
    bool fails = window_fails(b, lane, failure);
    if (failure && (lane->run >= b->set.breaker_run || fails))
        open_breaker(b, lane);
}

static void count_half_open(broker_t *b, lane_t *lane, bool failure)
{
    if (failure)
        open_breaker(b, lane);
    else if (++lane->wins == CLOSE_WINS)
        close_breaker(b, lane);
}

static void adapt(broker_t *b, lane_t *lane, bool success)
{
    if (!success) {
        lane->limit = lane->limit > 1 ? lane->limit / 2 : 1;
        lane->round = 0;
    } else if (++lane->round >= lane->limit) {
        lane->limit += lane->limit < b->set.destination_max;
        lane->round = 0;
    }
}

/* Answers to calls that went out before the breaker opened say nothing new about it.  Content that
 * is refused and limits that are met speak neither for nor against the destination's health; being
 * throttled does ask for fewer calls at once. */
void bk_lane_outcome(broker_t *b, lane_t *lane, bool probe, plumb_outcome_t outcome)
{
    bool success = outcome == PLUMB_OUT_ok;
    bool failure = outcome == PLUMB_OUT_retry || outcome == PLUMB_OUT_ambiguous;
    if (success || outcome == PLUMB_OUT_duplicate)
        adapt(b, lane, true);
    else if (failure || outcome == PLUMB_OUT_throttled)
        adapt(b, lane, false);
    if (!success && !failure)
        return;
    if (lane->breaker == BK_CLOSED)
        count_closed(b, lane, failure);
    else if (lane->breaker == BK_HALF_OPEN && probe)
        count_half_open(b, lane, failure);
}

/* Retry-After: the first key that is somebody's own, or else the credential itself, is left alone
 * for so long. */
void bk_lane_hold(broker_t *b, lane_t *lane, int64_t ms)
{
    ms = ms < HOLD_MAX_MS ? ms : HOLD_MAX_MS;
    unsigned i = 0;
    while (i < lane->throttle_count && lane->throttles[i]->wide)
        i++;
    if (i < lane->throttle_count) {
        bk_throttle_hold(b, lane->throttles[i], ms);
    } else if (b->now_ms + ms > lane->hold_ms) {
        lane->hold_ms = b->now_ms + ms;
        b->beacon_wanted = true;
        set_timer(b, lane);
    }
    bk_lane_refresh(b, lane);
    if (ms >= b->set.epoch_dead_ms)
        bk_lane_spill(b, lane);
}

/* --- feeding --- */

static bool has_waiting(const lane_t *lane)
{
    return oldest(lane) != NULL;
}

int64_t bk_lane_wait_ms(const broker_t *b, const lane_t *lane)
{
    int64_t wait = lane->hold_ms - b->now_ms;
    for (unsigned i = 0; i < lane->throttle_count; i++) {
        if (lane->throttles[i]->hold_ms - b->now_ms > wait)
            wait = lane->throttles[i]->hold_ms - b->now_ms;
    }
    if (lane->breaker == BK_OPEN && lane->until_ms - b->now_ms > wait)
        wait = lane->until_ms - b->now_ms;
    if (wait <= 0 && (lane->closed || (lane->breaker == BK_HALF_OPEN && has_waiting(lane))))
        wait = FEED_SOON_MS;
    return wait > 0 ? wait : 0;
}

/* What may not go for long gives its room to others; a few stay, to try with. */
void bk_lane_spill(broker_t *b, lane_t *lane)
{
    for (bk_link_t *at = lane->lines.next, *next = NULL; at != &lane->lines; at = next) {
        next = at->next;
        bk_line_spill(b, BK_OF(line_t, in_lane, at));
    }
}

void bk_lanes_sweep(broker_t *b)
{
    for (;;) {
        bk_link_t *first = bk_list_first(&b->idle_lanes);
        if (first == NULL || b->now_ms - BK_OF(lane_t, idle, first)->idle_ms < IDLE_MS)
            break;
        lane_t *lane = BK_OF(lane_t, idle, first);
        if (bk_lane_wait_ms(b, lane) == 0 && lane->breaker == BK_CLOSED) {
            bk_lane_free(b, lane);
        } else { /* look again later */
            lane->idle_ms = b->now_ms;
            bk_list_remove(&lane->idle);
            bk_list_append(&b->idle_lanes, &lane->idle);
        }
    }
}
