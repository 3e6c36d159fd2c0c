/* A worker's core without its sockets: what test_worker_*.c share.  Jobs are given by hand, results
 * are read from what is kept, the lease is ours to let lapse. */
#ifndef PLUMB_TESTS_WORKER_BENCH_H
#define PLUMB_TESTS_WORKER_BENCH_H

#include "calls.h"
#include "clock.h"
#include "conf.h"
#include "flight.h"
#include "lead.h"
#include "net.h"
#include "plugins.h"
#include "results.h"

#include <assert.h>
#include <dirent.h>
#include <jansson.h>
#include <msgpack.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define UNUSED __attribute__((unused))
#define BENCH_EPOCH 77

typedef struct bench {
    char dir[64], path[128];
    plumb_conf_t conf;
    int epoll;
    flight_t *flight;
    plugins_t *plugins;
    net_t *net;
    lease_t lease;
    results_t results;
    calls_t calls;
    plumb_uuid_t account, credential;
    /* of the jobs that are given: packed, empty: bench_lead; and as text, NULL: none */
    plumb_slice_t lead;
    const char *checkpoint;
} bench_t;

UNUSED static void bench_renew(bench_t *b)
{
    int64_t now_ms = plumb_boot_ms();
    lease_sent(&b->lease, LEASE_PING, now_ms);
    lease_pong(&b->lease, BENCH_EPOCH, now_ms);
}

UNUSED static void bench_lapse(bench_t *b)
{
    b->lease.answered_ms -= b->lease.fence_ms;
}

/* `channels`: a directory of plugins, NULL for those of the build; `settings`: ends with NULL. */
UNUSED static bench_t *bench_open(const char *channels, const char *const *settings)
{
    bench_t *b = calloc(1, sizeof *b);
    plumb_err_t err = {0};
    char text[512];
    assert(b != NULL && sodium_init() >= 0);
    strcpy(b->dir, "/tmp/plumb-worker-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    assert_int_equal(plumb_conf_init(&b->conf, &err), 0);
    snprintf(text, sizeof text, "channel_dir=%s%s",
             channels != NULL ? channels : getenv("PLUMB_BUILD"),
             channels != NULL ? "" : "/channels");
    plumb_conf_set(&b->conf, text, "test", &err);
    plumb_conf_set(&b->conf, "development=yes", "test", &err);
    plumb_conf_set(&b->conf, "egress.allow=127.0.0.1/32", "test", &err);
    for (; settings != NULL && *settings != NULL; settings++)
        plumb_conf_set(&b->conf, *settings, "test", &err);
    if (err.code != 0)
        fail_msg("%s", err.text);
    b->epoll = epoll_create1(0);
    snprintf(b->path, sizeof b->path, "%s/w.flight", b->dir);
    net_hooks_t hooks = {call_may_send, call_done};
    int rc = flight_open(&b->flight, b->path, 256, &err);
    rc |= plugins_open(&b->plugins, &b->conf, &err);
    rc |= net_open(&b->net, &b->conf, b->epoll, 0, &hooks, &err);
    rc |= results_init(&b->results, b->flight, "w", 2000, 64, &err);
    b->calls = (calls_t){.net = b->net,
                         .plugins = b->plugins,
                         .flight = b->flight,
                         .results = &b->results,
                         .lease = &b->lease};
    rc |= calls_init(&b->calls, 64, &err);
    if (rc != 0)
        fail_msg("%s", err.text);
    int64_t now_ms = plumb_boot_ms();
    lease_init(&b->lease, 1, 60000, 1000, now_ms);
    lease_sent(&b->lease, LEASE_HELLO, now_ms);
    assert_int_equal(lease_welcome(&b->lease, BENCH_EPOCH, now_ms, 0), LEASE_WELCOMED);
    b->account = plumb_uuid_new();
    b->credential = plumb_uuid_new();
    return b;
}

UNUSED static void bench_close(bench_t **bench)
{
    bench_t *b = *bench;
    calls_fini(&b->calls);
    net_close(&b->net);
    results_fini(&b->results);
    plugins_close(&b->plugins);
    flight_close(&b->flight);
    close(b->epoll);
    unlink(b->path);
    rmdir(b->dir);
    plumb_conf_fini(&b->conf);
    free(b);
    *bench = NULL;
}

/* One turn of the loop, at most `wait_ms` long. */
UNUSED static void bench_turn(bench_t *b, int wait_ms)
{
    struct epoll_event events[32];
    int64_t due_ms = net_due_ms(b->net) - plumb_mono_ms();
    if (due_ms < wait_ms)
        wait_ms = due_ms < 0 ? 0 : (int)due_ms;
    int count = epoll_wait(b->epoll, events, 32, wait_ms);
    for (int i = 0; i < count; i++)
        net_on_socket(b->net, (int)(events[i].data.u64 & UINT32_MAX), events[i].events);
    net_run(b->net, plumb_mono_ms());
    if (b->lease.answered_ms != INT64_MIN && lease_stands(&b->lease, plumb_boot_ms()))
        calls_resume(&b->calls);
}

/* Run until `results` results are kept; fails after `wait_ms`. */
UNUSED static void bench_until(bench_t *b, size_t results, int64_t wait_ms)
{
    int64_t end_ms = plumb_mono_ms() + wait_ms;
    while (results_count(&b->results) < results) {
        if (plumb_mono_ms() > end_ms)
            fail_msg("only %zu results of %zu after %d ms", results_count(&b->results), results,
                     (int)wait_ms);
        bench_turn(b, 20);
    }
}

static void pack_json(msgpack_packer *packer, const json_t *value)
{
    const char *key;
    json_t *member;
    if (json_is_object(value)) {
        msgpack_pack_map(packer, json_object_size(value));
        json_object_foreach((json_t *)value, key, member)
        {
            msgpack_pack_str(packer, strlen(key));
            msgpack_pack_str_body(packer, key, strlen(key));
            pack_json(packer, member);
        }
    } else if (json_is_array(value)) {
        msgpack_pack_array(packer, json_array_size(value));
        for (size_t i = 0; i < json_array_size(value); i++)
            pack_json(packer, json_array_get(value, i));
    } else if (json_is_string(value)) {
        msgpack_pack_str(packer, json_string_length(value));
        msgpack_pack_str_body(packer, json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value)) {
        msgpack_pack_int64(packer, json_integer_value(value));
    } else if (json_is_real(value)) {
        msgpack_pack_double(packer, json_real_value(value));
    } else if (json_is_boolean(value)) {
        json_is_true(value) ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
    } else {
        msgpack_pack_nil(packer);
    }
}

/* JSON text as msgpack; the buffer is the caller's. */
UNUSED static void bench_pack(msgpack_sbuffer *out, const char *json)
{
    msgpack_packer packer;
    json_t *value = json_loads(json, 0, NULL);
    assert_non_null(value);
    msgpack_sbuffer_init(out);
    msgpack_packer_init(&packer, out, msgpack_sbuffer_write);
    pack_json(&packer, value);
    json_decref(value);
}

UNUSED static plumb_slice_t slice(const char *text)
{
    return (plumb_slice_t){text, strlen(text)};
}

static const char bench_lead[] UNUSED =
    "{\"id\":\"0190c9d2-0000-7000-8000-000000000001\",\"name\":\"Анна\",\"phone\":\"+79005551234\","
    "\"createdAt\":\"2026-01-02T03:04:05.678Z\",\"data\":{\"b\":1,\"a\":[true,null,1.5]}}";

/* Give a job of `channel` with these credential fields; its ticket is new unless `ticket` is given.
 */
UNUSED static plumb_ticket_t bench_give(bench_t *b, const char *channel, const char *verb,
                                        const char *fields, const plumb_ticket_t *ticket,
                                        take_t wanted)
{
    msgpack_sbuffer body, secrets;
    bench_pack(&body, bench_lead);
    bench_pack(&secrets, fields);
    plumb_job_t job = {.ticket = {plumb_uuid_new(), 1},
                       .account = b->account,
                       .lead = plumb_uuid_new(),
                       .credential = b->credential,
                       .epoch = b->lease.epoch,
                       .queue = slice("q"),
                       .channel = slice(channel),
                       .verb = slice(verb),
                       .body =
                           b->lead.data != NULL ? b->lead : (plumb_slice_t){body.data, body.size},
                       .secrets = {secrets.data, secrets.size}};
    memset(job.attempt_key, 7, sizeof job.attempt_key);
    if (ticket != NULL)
        job.ticket = *ticket;
    if (b->checkpoint != NULL)
        job.checkpoint = slice(b->checkpoint);
    assert_int_equal(calls_take(&b->calls, &job), wanted);
    msgpack_sbuffer_destroy(&body);
    msgpack_sbuffer_destroy(&secrets);
    return job.ticket;
}

/* The kept result of a ticket, decoded; slices into what is kept. */
UNUSED static plumb_result_t bench_result(bench_t *b, const plumb_ticket_t *ticket)
{
    plumb_result_t result = {0};
    plumb_err_t err = {0};
    kept_t *kept = results_find(&b->results, ticket);
    assert_non_null(kept);
    if (plumb_result_decode(&result, kept->frame.data, kept->frame.length, &err) != 0)
        fail_msg("%s", err.text);
    return result;
}

/* What was kept of the exchange, opened; the caller's reference.  NULL: nothing. */
UNUSED static json_t *bench_exchange(bench_t *b, const plumb_result_t *result)
{
    plumb_key_t key = {.id = PLUMB_ATTEMPT_KEY_ID};
    plumb_err_t err = {0};
    plumb_buf_t plain = {0};
    memset(key.bytes, 7, sizeof key.bytes);
    if (result->exchange.length == 0)
        return NULL;
    plumb_seal_place_t place = plumb_lead_place_exchange(&b->account, &result->ticket.delivery);
    if (plumb_seal_open(&plain, &key, &place, result->exchange.data, result->exchange.length,
                        &err) != 0)
        fail_msg("%s", err.text);
    json_t *exchange = json_loadb(plain.data, plain.length, JSON_REJECT_DUPLICATES, NULL);
    plumb_buf_fini(&plain);
    assert_non_null(exchange);
    return exchange;
}

#endif
