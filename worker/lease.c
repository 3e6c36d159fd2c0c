/* The lease: arithmetic of answered heartbeats. */
#include "lease.h"

#define NEVER INT64_MIN
#define AGAIN_MS 100 /* an attempt that found no broker */

void lease_init(lease_t *lease, uint64_t instance, int64_t fence_ms, int64_t ping_ms,
                int64_t now_ms)
{
    *lease = (lease_t){.instance = instance,
                       .fence_ms = fence_ms,
                       .ping_ms = ping_ms,
                       .started_ms = now_ms,
                       .answered_ms = NEVER,
                       .sent_ms = NEVER,
                       .hello_ms = NEVER,
                       .due_ms = now_ms,
                       .greeting = true};
}

lease_act_t lease_due(const lease_t *lease, int64_t now_ms)
{
    if (now_ms < lease->due_ms)
        return LEASE_NOTHING;
    return lease->greeting ? LEASE_HELLO : LEASE_PING;
}

void lease_sent(lease_t *lease, lease_act_t act, int64_t now_ms)
{
    lease->sent_ms = now_ms;
    if (act == LEASE_HELLO)
        lease->hello_ms = now_ms;
    lease->due_ms = now_ms + lease->ping_ms;
}

void lease_unsent(lease_t *lease, int64_t now_ms)
{
    lease->due_ms = now_ms + (lease->ping_ms < AGAIN_MS ? lease->ping_ms : AGAIN_MS);
}

void lease_greet(lease_t *lease)
{
    lease->greeting = true;
    lease->hello_ms = NEVER; /* the answer to an earlier HELLO does not count … */
    lease->due_ms =
        lease->sent_ms == NEVER ? NEVER : lease->sent_ms + 1; /* … so none has its time */
}

lease_event_t lease_fenced(lease_t *lease)
{
    lease->answered_ms = NEVER;
    lease_greet(lease);
    return LEASE_LOST;
}

/* An answer under another epoch than ours: that broker knows nothing of what we hold. */
static lease_event_t changed(lease_t *lease, uint64_t epoch)
{
    lease->epoch = epoch;
    return lease_fenced(lease);
}

/* Only what this process sent can have been answered. */
static bool is_answer(const lease_t *lease, int64_t clock_ms)
{
    return clock_ms >= lease->started_ms && clock_ms <= lease->sent_ms;
}

static void renew(lease_t *lease, int64_t clock_ms)
{
    if (clock_ms > lease->answered_ms)
        lease->answered_ms = clock_ms;
}

lease_event_t lease_welcome(lease_t *lease, uint64_t epoch, int64_t clock_ms, int64_t fence_ms)
{
    if (!is_answer(lease, clock_ms) || clock_ms != lease->hello_ms || !lease->greeting)
        return LEASE_IGNORED;
    if (lease->epoch != 0 && lease->epoch != epoch)
        return changed(lease, epoch);
    if (fence_ms > 0 && fence_ms < lease->fence_ms)
        lease->fence_ms = fence_ms;
    lease->epoch = epoch;
    lease->greeting = false;
    renew(lease, clock_ms);
    return LEASE_WELCOMED;
}

lease_event_t lease_pong(lease_t *lease, uint64_t epoch, int64_t clock_ms)
{
    if (!is_answer(lease, clock_ms) || lease->epoch == 0)
        return LEASE_IGNORED;
    if (lease->epoch != epoch)
        return changed(lease, epoch);
    if (lease->answered_ms == NEVER) /* given up meanwhile: only a WELCOME counts */
        return LEASE_IGNORED;
    renew(lease, clock_ms);
    return LEASE_RENEWED;
}

bool lease_stands(const lease_t *lease, int64_t now_ms)
{
    return lease->answered_ms != NEVER && now_ms - lease->answered_ms < lease->fence_ms;
}

bool lease_lets(const lease_t *lease, uint64_t epoch, int64_t now_ms)
{
    return epoch != 0 && epoch == lease->epoch && lease_stands(lease, now_ms);
}

bool lease_takes(const lease_t *lease, uint64_t epoch)
{
    return !lease->greeting && epoch != 0 && epoch == lease->epoch;
}

uint32_t lease_capacity(uint32_t credit, size_t unacked, size_t unacked_max, bool stopping)
{
    return stopping || unacked > unacked_max ? 0 : credit;
}
