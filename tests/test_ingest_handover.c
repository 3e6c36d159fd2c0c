/* What goes to the broker with the commit and what waits: the beacon's rules, and a whole ingest
 * between a broker and a tracker that this test plays. */
#include "account.h"
#include "clock.h"
#include "count.h"
#include "http.h"
#include "ingest.h"
#include "msg.h"
#include "server.h"
#include "sock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define QUEUE "integration-webhooks"
#define EPOCH UINT64_C(123456789)

static plumb_err_t err;

static plumb_slice_t slice(const char *text)
{
    return (plumb_slice_t){text, strlen(text)};
}

/* ---- the rules ---- */

static void follows_the_beacon(void **state)
{
    handover_t *h;
    uint64_t epoch = 0;
    static const plumb_uuid_t lanes[] = {{{9}}, {{3}}, {{5}}}, free_lane = {{4}};
    static const int64_t waits[] = {100, 5000, 100};
    plumb_slice_t queues[] = {slice("integration-mail"), slice("export_queue")};
    plumb_note_t beacon = {.type = PLUMB_MSG_BEACON,
                           .epoch = EPOCH,
                           .room = 1000,
                           .queues = queues,
                           .queue_count = 2,
                           .lanes = lanes,
                           .lane_wait_ms = waits,
                           .lane_count = 3};
    (void)state;
    assert_int_equal(handover_new(&h, &err), 0);
    assert_int_equal(handover_way(h, QUEUE, &free_lane, 10000, &epoch),
                     HANDOVER_CLOSED); /* none heard yet */
    handover_beacon(h, &beacon, 10000);
    assert_int_equal(handover_way(h, QUEUE, &free_lane, 12999, &epoch), HANDOVER_OPEN);
    assert_true(epoch == EPOCH);
    assert_int_equal(handover_way(h, QUEUE, &free_lane, 13000, &epoch),
                     HANDOVER_CLOSED); /* stale */
    for (size_t i = 0; i < PLUMB_COUNT(queues); i++)
        assert_int_equal(handover_way(h, queues[i].data, &free_lane, 10001, &epoch),
                         HANDOVER_CLOSED);
    for (size_t i = 0; i < PLUMB_COUNT(lanes); i++) {
        handover_way_t held = i == 1 ? HANDOVER_CLOSED : HANDOVER_FULL;
        assert_int_equal(handover_way(h, QUEUE, &lanes[i], 10099, &epoch), held);
        assert_int_equal(handover_way(h, QUEUE, &lanes[i], 10100, &epoch),
                         i == 1 ? HANDOVER_CLOSED : HANDOVER_OPEN);
    }
    assert_true(handover_reserve(h, 500));
    assert_false(handover_reserve(h, 500)); /* the bookkeeping counts as well */
    assert_true(handover_reserve(h, 100));
    beacon.room = -1;
    handover_beacon(h, &beacon, 11000);
    assert_int_equal(handover_way(h, QUEUE, &free_lane, 11000, &epoch), HANDOVER_FULL);
    handover_destroy(&h);
}

/* ---- a whole ingest ---- */

typedef struct world {
    account_t *account;
    ingest_t ingest;
    zsock_t *jobs, *beacon, *results;
    plumb_uuid_t credential;
    plumb_buf_t out;
} world_t;

static zsock_t *bind_socket(const world_t *w, plumb_sock_kind_t kind, const char *name)
{
    char endpoint[128];
    if (plumb_conf_endpoint(&w->account->conf, "", name, endpoint, sizeof endpoint, &err) < 0)
        fail_msg("%s", err.text);
    zsock_t *sock = plumb_sock_bind(kind, endpoint, &err);
    if (sock == NULL)
        fail_msg("%s: %s", endpoint, err.text);
    return sock;
}

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    *state = w;
    w->account = account_new();
    w->jobs = bind_socket(w, PLUMB_SOCK_PULL, "broker.jobs");
    w->beacon = bind_socket(w, PLUMB_SOCK_PUB, "broker.beacon");
    w->results = bind_socket(w, PLUMB_SOCK_PULL, "tracker.results");
    w->credential = account_credential(
        w->account, "webhooks", "{\"url\":\"https://one.example/\",\"secret\":\"s3\"}", NULL);
    w->ingest.daemon.signal_fd = -1;
    if (ingest_open(&w->ingest, &w->account->conf, &err) < 0)
        fail_msg("open: %s", err.text);
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    ingest_close(&w->ingest);
    zsock_destroy(&w->results);
    zsock_destroy(&w->beacon);
    zsock_destroy(&w->jobs);
    plumb_buf_fini(&w->out);
    account_destroy(&w->account);
    free(w);
    return 0;
}

static bool receive(zsock_t *sock, zmq_msg_t *msg, int64_t wait_ms)
{
    zmq_pollitem_t item = {.socket = zsock_resolve(sock), .events = ZMQ_POLLIN};
    int64_t deadline_ms = plumb_mono_ms() + wait_ms;
    while (plumb_sock_receive(sock, msg) != 1) {
        int64_t left = deadline_ms - plumb_mono_ms();
        if (left <= 0)
            return false;
        zmq_poll(&item, 1, (long)left);
    }
    return true;
}

/* Is the newest beacon that ingest heard the one of this epoch?  Asked of a queue and a credential
 * that no beacon of these tests closes. */
static bool has_heard(world_t *w, uint64_t epoch)
{
    static const plumb_uuid_t nobody = {{1}};
    uint64_t heard = 0;
    return handover_way(w->ingest.handover, "nothing", &nobody, plumb_mono_ms(), &heard) ==
               HANDOVER_OPEN &&
           heard == epoch;
}

/* Send the beacon until ingest has heard it (a PUB has no news of who listens).  Its epoch must be
 * one that was not sent before. */
static void beat(world_t *w, const plumb_note_t *beacon)
{
    int64_t deadline_ms = plumb_mono_ms() + 20000;
    if (plumb_note_encode(&w->out, beacon, &err) < 0)
        fail_msg("%s", err.text);
    assert_false(has_heard(w, beacon->epoch));
    while (!has_heard(w, beacon->epoch)) {
        if (plumb_mono_ms() > deadline_ms)
            fail_msg("ingest does not hear the beacon");
        plumb_sock_send(w->beacon, w->out.data, w->out.length);
        zclock_sleep(5); /* the interval of polling a condition */
    }
}

static plumb_note_t open_beacon(uint64_t epoch)
{
    return (plumb_note_t){
        .type = PLUMB_MSG_BEACON, .name = slice("broker-0"), .epoch = epoch, .room = 1 << 20};
}

/* Post a lead; its id goes to `id`. */
static void post(world_t *w, const char *attributes, char id[PLUMB_UUID_TEXT])
{
    char headers[512], document[1024];
    snprintf(headers, sizeof headers,
             "Authorization: Bearer %s\r\nContent-Type: application/vnd.api+json\r\n"
             "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
             w->account->token);
    account_document(w->account, attributes, document, sizeof document);
    http_answer_t made = {.status = 503};
    for (int i = 0; i < 500 && made.status == 503; i++) { /* until the database was reached */
        if (i > 0)
            zclock_sleep(20);
        http_answer_fini(&made);
        made = http_exchange(server_port(w->ingest.server), "POST", "/api/v1/leads", headers,
                             document);
    }
    if (made.status != 201)
        fail_msg("status %d: %s", made.status, made.body);
    snprintf(id, PLUMB_UUID_TEXT, "%s", strrchr(http_header(&made, "Location"), '/') + 1);
    http_answer_fini(&made);
}

static long count_state(world_t *w, const char *lead, const char *state)
{
    return account_count(w->account,
                         "SELECT count(*) FROM deliveries WHERE lead_id = '%s' AND state = '%s'",
                         lead, state);
}

static bool holds(const plumb_slice_t *slice_, const char *text)
{
    return memmem(slice_->data, slice_->length, text, strlen(text)) != NULL;
}

static void hands_over(void **state)
{
    world_t *w = *state;
    char lead[PLUMB_UUID_TEXT], text[PLUMB_UUID_TEXT];
    zmq_msg_t msg;
    plumb_job_t job;
    plumb_note_t beacon = open_beacon(EPOCH);
    post(w, "", lead); /* no beacon yet */
    assert_int_equal(count_state(w, lead, "pending"), 1);
    beat(w, &beacon);
    post(w, ",\"name\":\"Anna\",\"isTest\":true", lead);
    assert_true(receive(w->jobs, &msg, 10000));
    if (plumb_job_decode(&job, zmq_msg_data(&msg), zmq_msg_size(&msg), &err) < 0)
        fail_msg("job: %s", err.text);
    assert_string_equal(plumb_uuid_text(&job.lead, text), lead);
    assert_int_equal(job.ticket.attempt, 1);
    assert_true(job.epoch == EPOCH);
    assert_int_equal(plumb_uuid_compare(&job.credential, &w->credential), 0);
    assert_true(holds(&job.body, "Anna") && holds(&job.secrets, "https://one.example/"));
    assert_true(holds(&job.queue, QUEUE) && holds(&job.verb, "send"));
    assert_true(holds(&job.trace, "00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert_int_equal(account_count(w->account,
                                   "SELECT count(*) FROM deliveries WHERE id = '%s' AND state = "
                                   "'queued' AND epoch = %ld AND attempt = 1",
                                   plumb_uuid_text(&job.ticket.delivery, text), (long)EPOCH),
                     1);
    zmq_msg_close(&msg);
}

static void waits_when_told(void **state)
{
    world_t *w = *state;
    char lead[PLUMB_UUID_TEXT], id[PLUMB_UUID_TEXT];
    zmq_msg_t msg;
    static const int64_t waits[] = {60000};
    plumb_slice_t queues[] = {slice(QUEUE)};
    plumb_note_t paused = open_beacon(1), broken = open_beacon(2), full = open_beacon(3),
                 open = open_beacon(4);
    paused.queues = queues;
    paused.queue_count = 1;
    broken.lanes = &w->credential;
    broken.lane_wait_ms = waits;
    broken.lane_count = 1;
    full.room = 10;
    const plumb_note_t *const beacons[] = {&paused, &broken, &full};
    for (size_t i = 0; i < PLUMB_COUNT(beacons); i++) {
        beat(w, beacons[i]);
        post(w, "", lead);
        assert_int_equal(count_state(w, lead, "pending"), 1);
    }
    beat(w, &open);
    plumb_uuid_text(&w->credential, id);
    account_sql(w->account, "UPDATE credential_links SET delay_ms = 60000");
    post(w, "", lead);
    assert_int_equal(
        account_count(w->account,
                      "SELECT count(*) FROM deliveries WHERE lead_id = '%s' AND state = 'pending' "
                      "AND due_at = created_at + interval '1 min'",
                      lead),
        1);
    account_sql(w->account, "UPDATE credential_links SET delay_ms = 0");
    account_sql(w->account, "UPDATE credentials SET suspended_at = now() WHERE id = '%s'", id);
    post(w, "", lead);
    assert_int_equal(count_state(w, lead, "pending"), 1);
    account_sql(w->account,
                "UPDATE credentials SET suspended_at = NULL, accepts_tests = false WHERE id = '%s'",
                id);
    post(w, ",\"isTest\":true", lead);
    assert_int_equal(count_state(w, lead, "skipped"), 1);
    account_sql(w->account, "UPDATE credentials SET sealed = 'broken' WHERE id = '%s'", id);
    post(w, "", lead); /* it cannot be opened: the row is made, the tracker holds it */
    assert_int_equal(count_state(w, lead, "pending"), 1);
    assert_false(receive(w->jobs, &msg, 50));
}

static void says_it_is_here(void **state)
{
    world_t *w = *state;
    plumb_note_space_t space = {0};
    uint64_t instance = 0;
    for (int i = 0; i < 2; i++) {
        zmq_msg_t msg;
        plumb_note_t note;
        assert_true(receive(w->results, &msg, 10000));
        assert_int_equal(
            plumb_note_decode(&note, &space, zmq_msg_data(&msg), zmq_msg_size(&msg), &err), 0);
        assert_int_equal(note.type, PLUMB_MSG_HERE);
        assert_true(holds(&note.name, "ingest-0"));
        assert_true(note.instance != 0 && (instance == 0 || instance == note.instance));
        instance = note.instance;
        zmq_msg_close(&msg);
    }
    plumb_note_space_fini(&space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_beacon),
        cmocka_unit_test_setup_teardown(hands_over, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_when_told, setup, teardown),
        cmocka_unit_test_setup_teardown(says_it_is_here, setup, teardown),
    };
    zsys_handler_set(NULL);
    pg_conninfo();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    zsys_shutdown();
    return failed;
}
