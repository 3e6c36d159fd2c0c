/* The broker's core among workers and a tracker that die, sleep, and lose, delay and repeat
 * messages; seeded.  They keep the protocol in its simplest form.  After any schedule: no attempt
 * was called twice, no delivery was called again after a success unless its worker was lost with
 * it, and once the faults end everything is delivered and nothing is left in memory.
 *
 * PLUMB_SEED repeats one schedule; PLUMB_SEEDS says how many are run. */
#include "broker_world.h"

#define ROWS 300
#define WORKERS 3
#define ITEMS 256
#define CREDIT 24
#define FAULTS_MS 90000
#define QUIET_MS 900000
#define TICK_MS 50

typedef enum row_state { UNBORN, PENDING, QUEUED, FINAL } row_state_t;

typedef struct row {
    row_state_t state;
    uint32_t attempt;
    uint64_t epoch;
    int64_t queued_ms;
    int64_t copy_ms; /* a late copy of the job arrives then; 0 none */
    uint32_t copy_attempt;
    uint64_t copy_epoch;
    uint32_t called; /* the last attempt that was called */
    unsigned oks, excuses;
    bool crashes;
} row_t;

typedef struct item {
    unsigned row;
    uint32_t attempt;
    plumb_phase_t phase;
    plumb_outcome_t outcome;
    int64_t since_ms; /* of the phase */
    int64_t told_ms;  /* the result, last */
    bool ghost;       /* out of the flight file: listed, not held */
} item_t;

typedef struct worker {
    char slot[24];
    bool dead, asleep;
    int64_t wake_ms;
    uint64_t instance, previous, epoch;
    uint64_t owner;   /* of its flight file */
    int64_t hello_ms; /* its clock in the last hello; 0: welcomed */
    int64_t ping_ms, lease_ms;
    int64_t heard_ms; /* by the broker */
    item_t items[ITEMS];
    size_t count;
} worker_t;

typedef struct play {
    world_t w;
    uint64_t random;
    bool faults;
    row_t rows[ROWS];
    worker_t workers[WORKERS];
    size_t seen;    /* of world.said */
    uint64_t epoch; /* as the tracker knows it */
    uint64_t dead;  /* the epoch before; its rows are released at … */
    int64_t release_ms;
    int64_t audit_ms;
    uint64_t instances;
} play_t;

static uint64_t roll(play_t *p, uint64_t sides)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return p->random % sides;
}

/* A fault with a chance of one in `sides`. */
static bool fault(play_t *p, uint64_t sides)
{
    return p->faults && roll(p, sides) == 0;
}

static unsigned row_of(const plumb_ticket_t *ticket)
{
    return (unsigned)ticket->delivery.b[14] << 8 | ticket->delivery.b[15];
}

/* --- tracker --- */

static void push(play_t *p, unsigned n, uint32_t attempt, uint64_t epoch)
{
    row_t *row = &p->rows[n];
    plumb_job_t job = world_job(&p->w, n);
    job.ticket.attempt = attempt;
    job.epoch = epoch;
    job.account = world_id(2, n % 7);
    job.credential = world_id(4, n % 11);
    job.priority = (plumb_priority_t)(n % 3);
    job.queue = n % 2 ? WORLD_SLICE("integration-a") : WORLD_SLICE("integration-b");
    job.crashes = row->crashes;
    if (n % 5 == 0) {
        job.throttles[0] =
            (plumb_throttle_t){.key = WORLD_SLICE("a/0/x"), .per_kilosecond = 20000, .burst = 3};
        job.throttle_count = 1;
    }
    if (fault(p, 30)) { /* on its way for long */
        row->copy_ms = p->w.now + 5000 + (int64_t)roll(p, 60000);
        row->copy_attempt = attempt;
        row->copy_epoch = epoch;
    } else if (!fault(p, 30)) {
        world_put(&p->w, &job);
    }
}

static void late_copies(play_t *p)
{
    for (unsigned n = 0; n < ROWS; n++) {
        row_t *row = &p->rows[n];
        if (row->copy_ms != 0 && row->copy_ms <= p->w.now) {
            row->copy_ms = 0;
            push(p, n, row->copy_attempt, row->copy_epoch);
        }
    }
}

static void feed(play_t *p)
{
    unsigned fed = 0;
    for (unsigned n = 0; n < ROWS && fed < 8; n++) {
        row_t *row = &p->rows[n];
        if (row->state != PENDING)
            continue;
        row->state = QUEUED;
        row->attempt++;
        row->epoch = p->epoch;
        row->queued_ms = p->w.now;
        push(p, n, row->attempt, row->epoch);
        fed++;
    }
}

static void tell_workers(play_t *p, const plumb_ticket_t *ticket)
{
    for (int i = 0; i < WORKERS; i++) {
        worker_t *v = &p->workers[i];
        if (v->dead || v->asleep || fault(p, 20))
            continue;
        for (size_t k = 0; k < v->count; k++) {
            if (v->items[k].row == row_of(ticket) && v->items[k].attempt == ticket->attempt &&
                v->items[k].phase == PLUMB_PHASE_ANSWERED)
                v->items[k--] = v->items[--v->count];
        }
    }
}

static void ack(play_t *p, const plumb_ticket_t *ticket)
{
    tell_workers(p, ticket);
    if (!fault(p, 20))
        world_ack_ticket(&p->w, *ticket);
}

static bool is_current(const play_t *p, const plumb_ticket_t *ticket)
{
    const row_t *row = &p->rows[row_of(ticket)];
    return row->state == QUEUED && row->attempt == ticket->attempt;
}

static void take_result(play_t *p, const plumb_ticket_t *ticket, plumb_outcome_t outcome)
{
    row_t *row = &p->rows[row_of(ticket)];
    if (outcome == PLUMB_OUT_ok) {
        if (row->state == QUEUED && row->attempt > ticket->attempt) {
            plumb_held_t held = {.ticket = {ticket->delivery, row->attempt}};
            world_ask_list(&p->w, PLUMB_MSG_RECALL, &held, 1);
        }
        row->state = FINAL;
    } else if (is_current(p, ticket)) {
        row->state = PENDING;
    }
    ack(p, ticket);
}

static void take_report(play_t *p, const said_t *said)
{
    for (size_t i = 0; i < said->note.held_count; i++) {
        plumb_ticket_t ticket = said->held[i].ticket;
        row_t *row = &p->rows[row_of(&ticket)];
        if (said->type == PLUMB_MSG_UNACKED && is_current(p, &ticket)) {
            if (said->note.instance != 0 && row->epoch == said->note.epoch && !fault(p, 20))
                world_unrecorded(&p->w, ticket, said->note.epoch, said->note.instance);
            continue;
        }
        if (said->type == PLUMB_MSG_LOST && is_current(p, &ticket)) {
            row->state = PENDING;
            row->excuses += !said->note.given_up;
        }
        ack(p, &ticket);
    }
}

static void take_missing(play_t *p, const said_t *said)
{
    for (size_t i = 0; i < said->note.held_count; i++) {
        const plumb_ticket_t *ticket = &said->held[i].ticket;
        if (is_current(p, ticket) && p->rows[row_of(ticket)].epoch == p->epoch)
            push(p, row_of(ticket), ticket->attempt, p->epoch);
    }
}

static void audit(play_t *p)
{
    plumb_held_t held[ROWS];
    size_t count = 0;
    if (p->w.now < p->audit_ms)
        return;
    p->audit_ms = p->w.now + 5000;
    for (unsigned n = 0; n < ROWS; n++) {
        const row_t *row = &p->rows[n];
        if (row->state == QUEUED && row->epoch == p->epoch && p->w.now - row->queued_ms > 10000)
            held[count++] = (plumb_held_t){.ticket = world_ticket(n, row->attempt)};
    }
    if (count > 0 && !fault(p, 10))
        world_ask_list(&p->w, PLUMB_MSG_AUDIT, held, count);
}

static bool held_by_worker(const play_t *p, unsigned n, bool reachable)
{
    for (int i = 0; i < WORKERS; i++) {
        const worker_t *v = &p->workers[i];
        for (size_t k = 0; k < v->count; k++) {
            if (v->items[k].row == n && v->items[k].attempt == p->rows[n].attempt &&
                v->items[k].phase >= PLUMB_PHASE_PLUGIN &&
                (!reachable || (!v->dead && !v->asleep && v->epoch == p->epoch)))
                return true;
        }
    }
    return false;
}

/* Rows of a dead epoch: what a worker under the new one has is adopted, the rest is released. */
static void release(play_t *p)
{
    if (p->release_ms == 0 || p->w.now < p->release_ms)
        return;
    p->release_ms = 0;
    for (unsigned n = 0; n < ROWS; n++) {
        row_t *row = &p->rows[n];
        if (row->state != QUEUED || row->epoch == p->epoch)
            continue;
        if (held_by_worker(p, n, true)) {
            row->epoch = p->epoch;
        } else {
            row->excuses += held_by_worker(p, n, false);
            row->state = PENDING;
        }
    }
}

static void see_epoch(play_t *p, uint64_t epoch)
{
    if (epoch == p->epoch)
        return;
    p->epoch = epoch;
    p->release_ms = p->w.now + 12000; /* leases under the old one have ended by then */
}

/* --- workers --- */

static item_t *item_find(worker_t *v, unsigned row, uint32_t attempt)
{
    for (size_t k = 0; k < v->count; k++) {
        if (v->items[k].row == row && v->items[k].attempt == attempt)
            return &v->items[k];
    }
    return NULL;
}

static void forget_unbegun(worker_t *v, bool ghosts)
{
    for (size_t k = 0; k < v->count; k++) {
        if (v->items[k].phase == PLUMB_PHASE_ASSIGNED && (!ghosts || v->items[k].ghost))
            v->items[k--] = v->items[--v->count];
    }
}

static void hello(play_t *p, worker_t *v)
{
    plumb_held_t held[ITEMS];
    for (size_t k = 0; k < v->count; k++)
        held[k] = (plumb_held_t){.ticket = world_ticket(v->items[k].row, v->items[k].attempt),
                                 .phase = v->items[k].phase};
    v->hello_ms = p->w.now;
    if (fault(p, 10))
        return;
    plumb_slice_t queues[] = {WORLD_SLICE("integration-a"), WORLD_SLICE("integration-b")};
    plumb_note_t note = {.type = PLUMB_MSG_HELLO,
                         .name = {v->slot, strlen(v->slot)},
                         .instance = v->instance,
                         .previous = v->previous,
                         .clock_ms = v->hello_ms,
                         .credit = CREDIT,
                         .queues = queues,
                         .queue_count = 2,
                         .held = held,
                         .held_count = v->count};
    v->heard_ms = p->w.now;
    world_work(&p->w, v->slot, &note);
}

static void begin_again(play_t *p, worker_t *v, uint64_t epoch)
{
    forget_unbegun(v, false);
    v->epoch = epoch;
    v->lease_ms = 0;
    hello(p, v);
}

static void hear(play_t *p, worker_t *v, const said_t *said)
{
    if (v->dead || fault(p, 40))
        return;
    switch (said->type) {
    case PLUMB_MSG_JOB:
        assert_true(p->w.now - v->heard_ms <= 5000); /* no hand-out without a lease */
        if (v->hello_ms == 0 && v->count < ITEMS)
            v->items[v->count++] = (item_t){
                .row = row_of(&said->job), .attempt = said->job.attempt, .since_ms = p->w.now};
        break;
    case PLUMB_MSG_WELCOME:
        if (said->note.clock_ms != v->hello_ms)
            break;
        forget_unbegun(v, true);
        v->hello_ms = 0;
        v->owner = v->instance;
        v->epoch = said->note.epoch;
        v->lease_ms = said->note.clock_ms;
        break;
    case PLUMB_MSG_PONG:
        if (v->hello_ms == 0 && said->note.epoch != v->epoch)
            begin_again(p, v, said->note.epoch);
        else if (v->hello_ms == 0)
            v->lease_ms = said->note.clock_ms;
        break;
    case PLUMB_MSG_FENCED:
        begin_again(p, v, 0);
        break;
    case PLUMB_MSG_RECALL: {
        item_t *item = item_find(v, row_of(&said->held[0].ticket), said->held[0].ticket.attempt);
        if (item == NULL || item->phase != PLUMB_PHASE_ASSIGNED || item->ghost)
            break;
        *item = v->items[--v->count];
        plumb_note_t note = {.type = PLUMB_MSG_RECALLED, .held = said->held, .held_count = 1};
        world_work(&p->w, v->slot, &note);
        break;
    }
    default:
        break;
    }
}

static void call(play_t *p, item_t *item)
{
    row_t *row = &p->rows[item->row];
    if (row->called >= item->attempt)
        fail_msg("delivery %u: attempt %u called again (%u)", item->row, item->attempt,
                 row->called);
    row->called = item->attempt;
    item->phase = PLUMB_PHASE_SENT;
    item->since_ms = p->w.now;
}

static void answered(play_t *p, worker_t *v, item_t *item)
{
    uint64_t dice = roll(p, 20);
    row_t *row = &p->rows[item->row];
    item->phase = PLUMB_PHASE_ANSWERED;
    item->outcome = !p->faults || dice < 15 ? PLUMB_OUT_ok
                    : dice < 18             ? PLUMB_OUT_retry
                                            : PLUMB_OUT_ambiguous;
    if (item->outcome == PLUMB_OUT_ok && row->oks++ > row->excuses)
        fail_msg("delivery %u: %u successes, %u excuses", item->row, row->oks, row->excuses);
    if (!fault(p, 20))
        world_done_as(&p->w, (world_worker_t){v->slot, v->instance, CREDIT},
                      world_ticket(item->row, item->attempt), item->outcome, 0);
}

static void send_results(play_t *p, worker_t *v)
{
    for (size_t k = v->count; k-- > 0;) {
        item_t *item = k < v->count ? &v->items[k] : NULL;
        if (item == NULL || item->phase != PLUMB_PHASE_ANSWERED || p->w.now - item->told_ms < 2000)
            continue;
        item->told_ms = p->w.now;
        plumb_ticket_t ticket = world_ticket(item->row, item->attempt);
        if (!fault(p, 20))
            take_result(p, &ticket, item->outcome);
    }
}

static void work(play_t *p, worker_t *v)
{
    bool lease = v->hello_ms == 0 && p->w.now - v->lease_ms < 5000;
    for (size_t k = 0; k < v->count; k++) {
        item_t *item = &v->items[k];
        int64_t age = p->w.now - item->since_ms;
        if (item->phase == PLUMB_PHASE_ASSIGNED && lease && !item->ghost && age >= 100)
            call(p, item);
        else if (item->phase == PLUMB_PHASE_SENT && age >= 200 + (int64_t)(item->row % 9) * 100)
            answered(p, v, item);
    }
    send_results(p, v);
    if (p->w.now - v->ping_ms < 1000)
        return;
    v->ping_ms = p->w.now;
    if (v->hello_ms != 0) {
        hello(p, v);
    } else if (!fault(p, 10)) {
        v->heard_ms = p->w.now;
        world_ping(&p->w, (world_worker_t){v->slot, v->instance, CREDIT});
    }
}

/* A new process of the slot: with the flight file, or on a host that lost it. */
static void restart(play_t *p, worker_t *v, bool with_file)
{
    v->previous = with_file ? v->owner : 0;
    v->instance = ++p->instances;
    v->owner = with_file ? v->owner : v->instance;
    v->dead = false;
    v->epoch = 0;
    v->lease_ms = 0;
    for (size_t k = 0; !with_file && k < v->count; k++)
        p->rows[v->items[k].row].excuses += v->items[k].phase >= PLUMB_PHASE_PLUGIN;
    if (!with_file)
        v->count = 0;
    for (size_t k = 0; k < v->count; k++) {
        v->items[k].ghost = v->items[k].phase == PLUMB_PHASE_ASSIGNED;
        if (v->items[k].phase == PLUMB_PHASE_SENT) {
            v->items[k].phase = PLUMB_PHASE_ANSWERED;
            v->items[k].outcome = PLUMB_OUT_ambiguous;
        }
    }
    hello(p, v);
}

static void live(play_t *p, worker_t *v)
{
    if (v->dead || v->asleep) {
        if (p->w.now < v->wake_ms && p->faults)
            return;
        v->asleep = false;
        if (v->dead)
            restart(p, v, !fault(p, 3));
    } else if (fault(p, 400)) {
        v->wake_ms = p->w.now + (int64_t)roll(p, 15000);
        v->dead = roll(p, 2) == 0;
        v->asleep = !v->dead;
        return;
    }
    work(p, v);
}

/* --- the whole --- */

static void deliver(play_t *p)
{
    for (; p->seen < p->w.count; p->seen++) {
        said_t said = p->w.said[p->seen]; /* the list may move */
        if (said.port == BEACONS) {
            see_epoch(p, said.note.epoch);
        } else if (said.port == TO_WORKER) {
            for (int i = 0; i < WORKERS; i++) {
                if (strcmp(p->workers[i].slot, said.to) == 0)
                    hear(p, &p->workers[i], &said);
            }
        } else if (fault(p, 10)) {
            continue;
        } else if (said.type == PLUMB_MSG_STANDS) {
            plumb_note_t answer = {
                .type = PLUMB_MSG_STANDS, .epoch = said.note.epoch, .stands = roll(p, 2) == 0};
            world_ask(&p->w, &answer);
        } else if (said.type == PLUMB_MSG_LOST || said.type == PLUMB_MSG_UNACKED) {
            take_report(p, &said);
        } else if (said.type == PLUMB_MSG_MISSING) {
            take_missing(p, &said);
        }
    }
    if (p->seen > 5000) {
        world_forget(&p->w);
        p->seen = 0;
    }
}

static void tick(play_t *p)
{
    p->w.now += fault(p, 2000) ? 2000 + (int64_t)roll(p, 20000) : TICK_MS;
    if (p->faults && roll(p, 4) == 0) {
        row_t *row = &p->rows[roll(p, ROWS)];
        if (row->state == UNBORN) {
            row->state = PENDING;
            row->crashes = roll(p, 40) == 0;
        }
    }
    feed(p);
    late_copies(p);
    audit(p);
    release(p);
    for (int i = 0; i < WORKERS; i++)
        live(p, &p->workers[i]);
    world_step(&p->w);
    deliver(p);
}

static size_t unfinished(const play_t *p)
{
    size_t count = 0;
    for (unsigned n = 0; n < ROWS; n++)
        count += p->rows[n].state == PENDING || p->rows[n].state == QUEUED;
    return count;
}

static void run(uint64_t seed)
{
    static play_t p;
    memset(&p, 0, sizeof p);
    p.random = seed * 0x9e3779b97f4a7c15u + 1;
    p.faults = true;
    broker_settings_t set = world_settings();
    set.memory = seed % 3 == 0 ? 65536 : 4 << 20;
    set.breaker_open_ms = 500;
    set.breaker_open_max_ms = 2000;
    world_init(&p.w, &set);
    p.epoch = broker_epoch(p.w.b);
    for (int i = 0; i < WORKERS; i++) {
        snprintf(p.workers[i].slot, sizeof p.workers[i].slot, "worker-%d", i);
        restart(&p, &p.workers[i], false);
    }
    for (int64_t end = p.w.now + FAULTS_MS; p.w.now < end;)
        tick(&p);
    p.faults = false;
    for (int64_t end = p.w.now + QUIET_MS; p.w.now < end && unfinished(&p) > 0;)
        tick(&p);
    if (unfinished(&p) > 0)
        fail_msg("%zu deliveries never ended", unfinished(&p));
    for (int64_t end = p.w.now + 700000; p.w.now < end && broker_tickets(p.w.b) > 0;)
        tick(&p);
    assert_int_equal(broker_tickets(p.w.b), 0);
    assert_int_equal(broker_held(p.w.b), 0);
    world_fini(&p.w);
}

static void schedules(void **state)
{
    (void)state;
    const char *one = getenv("PLUMB_SEED");
    const char *many = getenv("PLUMB_SEEDS");
    uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 1;
    uint64_t count = one != NULL ? 1 : many != NULL ? strtoull(many, NULL, 10) : 40;
    for (uint64_t seed = first; seed < first + count; seed++) {
        print_message("PLUMB_SEED=%llu\n", (unsigned long long)seed);
        run(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(schedules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
