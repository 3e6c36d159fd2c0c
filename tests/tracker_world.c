/* Everything around one tracker. */
#include "tracker_world.h"

#include "clock.h"
#include "lead.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000
#define BEAT_MS 200

/* What runs while the test does: ended also when the test dies. */
static world_t *living;

/* What a failing test needs to be understood. */
static void print_log(const world_t *w)
{
    char path[128], line[1024];
    snprintf(path, sizeof path, "%s/tracker.log", w->account->dir);
    FILE *log = fopen(path, "r");
    while (log != NULL && fgets(line, sizeof line, log) != NULL)
        fprintf(stderr, "  | %s", line);
    if (log != NULL)
        fclose(log);
}

static _Noreturn void die(const char *what, const char *why)
{
    if (living != NULL)
        print_log(living);
    fprintf(stderr, "world: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static void need(const char *what, int rc, const plumb_err_t *err)
{
    if (rc < 0)
        die(what, err->text);
}

/* ---- the process ---- */

static _Noreturn void run_tracker(const world_t *w)
{
    static const char *const keys[] = {"database", "run_dir", "keys_dir"};
    const char *values[] = {w->account->conninfo, w->account->dir, w->account->dir};
    char program[512], texts[3][512], log[128];
    const char *argv[64] = {program, "--set", "development=true", "--set", "log.level=7"};
    size_t count = 5;
    const char *build = getenv("PLUMB_BUILD");
    snprintf(program, sizeof program, "%s/bin/plumb-tracker", build == NULL ? "build/dev" : build);
    for (size_t i = 0; i < 3; i++) {
        snprintf(texts[i], sizeof texts[i], "%s=%s", keys[i], values[i]);
        argv[count++] = "--set";
        argv[count++] = texts[i];
    }
    for (size_t i = 0; w->settings[i] != NULL; i++) {
        argv[count++] = "--set";
        argv[count++] = w->settings[i];
    }
    snprintf(log, sizeof log, "%s/tracker.log", w->account->dir);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, STDERR_FILENO);
    execv(program, (char *const *)argv);
    _exit(127);
}

void world_start(world_t *w)
{
    fflush(NULL);
    w->tracker = fork();
    if (w->tracker < 0)
        die("fork", strerror(errno));
    if (w->tracker == 0)
        run_tracker(w);
}

static int reap(world_t *w)
{
    int status = 0;
    while (waitpid(w->tracker, &status, 0) < 0)
        if (errno != EINTR)
            die("wait", strerror(errno));
    w->tracker = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void world_kill(world_t *w)
{
    kill(w->tracker, SIGKILL);
    reap(w);
}

int world_stop(world_t *w)
{
    kill(w->tracker, SIGTERM);
    return reap(w);
}

/* ---- making it ---- */

static zsock_t *open_sock(world_t *w, plumb_sock_kind_t kind, const char *name, bool bind)
{
    char endpoint[256];
    plumb_err_t err = {0};
    snprintf(endpoint, sizeof endpoint, "ipc://%s/%s", w->account->dir, name);
    zsock_t *sock = bind ? plumb_sock_bind(kind, endpoint, &err)
                         : plumb_sock_connect(kind, endpoint, NULL, &err);
    if (sock == NULL)
        die(name, err.text);
    return sock;
}

static void clean_up(void)
{
    if (living == NULL)
        return;
    if (living->tracker > 0)
        world_kill(living);
    account_destroy(&living->account);
}

world_t *world_new(const char *const settings[])
{
    static bool registered;
    if (!registered)
        atexit(clean_up);
    registered = true;
    world_t *w = calloc(1, sizeof *w);
    if (w == NULL)
        die("world", "out of memory");
    w->account = account_new();
    living = w;
    w->credential =
        account_credential(w->account, "webhooks", "{\"url\":\"https://hooks.example/in\"}", NULL);
    for (size_t i = 0; settings != NULL && settings[i] != NULL; i++)
        w->settings[i] = settings[i];
    w->jobs = open_sock(w, PLUMB_SOCK_PULL, "broker.jobs", true);
    w->control = open_sock(w, PLUMB_SOCK_ROUTER, "broker.control", true);
    w->beacon = open_sock(w, PLUMB_SOCK_PUB, "broker.beacon", true);
    w->results = open_sock(w, PLUMB_SOCK_PUSH, "tracker.results", false);
    w->acks = open_sock(w, PLUMB_SOCK_SUB, "tracker.acks", false);
    world_start(w);
    world_connected(w);
    return w;
}

static void forget_last(world_t *w)
{
    if (w->has_last)
        zmq_msg_close(&w->last);
    w->has_last = false;
}

void world_destroy(world_t **world)
{
    world_t *w = *world;
    if (w == NULL)
        return;
    int status = w->tracker > 0 ? world_stop(w) : 0;
    if (getenv("PLUMB_KEEP") != NULL)
        print_log(w);
    if (status != 0)
        die("the tracker", "did not end well");
    forget_last(w);
    plumb_buf_fini(&w->frame);
    plumb_note_space_fini(&w->space);
    zsock_destroy(&w->jobs);
    zsock_destroy(&w->control);
    zsock_destroy(&w->beacon);
    zsock_destroy(&w->results);
    zsock_destroy(&w->acks);
    account_destroy(&w->account);
    living = NULL;
    free(w);
    *world = NULL;
}

/* ---- receiving ---- */

static void beat_if_due(world_t *w, world_beat beat, int64_t *at_ms)
{
    if (beat == NULL || plumb_mono_ms() < *at_ms)
        return;
    beat(w);
    *at_ms = plumb_mono_ms() + BEAT_MS;
}

static bool receive(world_t *w, zsock_t *sock)
{
    forget_last(w);
    if (sock != w->control) {
        w->has_last = plumb_sock_receive(sock, &w->last) == 1;
        return w->has_last;
    }
    zmq_msg_t identity;
    w->has_last = plumb_sock_receive_from(sock, &identity, &w->last) == 1;
    if (w->has_last) {
        w->peer_length = zmq_msg_size(&identity);
        memcpy(w->peer, zmq_msg_data(&identity), w->peer_length);
        zmq_msg_close(&identity);
    }
    return w->has_last;
}

/* Wait for any message on `sock`, into w->last. */
static bool await(world_t *w, zsock_t *sock, int64_t until_ms, world_beat beat, int64_t *beat_ms)
{
    while (!receive(w, sock)) {
        if (plumb_mono_ms() >= until_ms)
            return false;
        beat_if_due(w, beat, beat_ms);
        zmq_pollitem_t item = {zsock_resolve(sock), 0, ZMQ_POLLIN, 0};
        zmq_poll(&item, 1, 20);
    }
    return true;
}

static bool await_note(world_t *w, zsock_t *sock, plumb_msg_type_t type, world_beat beat,
                       int64_t until_ms, plumb_note_t *note)
{
    int64_t beat_ms = 0;
    plumb_err_t err = {0};
    while (await(w, sock, until_ms, beat, &beat_ms)) {
        need("note",
             plumb_note_decode(note, &w->space, zmq_msg_data(&w->last), zmq_msg_size(&w->last),
                               &err),
             &err);
        if (note->type == type)
            return true;
    }
    return false;
}

plumb_note_t world_wait(world_t *w, zsock_t *sock, plumb_msg_type_t type, world_beat beat)
{
    plumb_note_t note;
    if (await_note(w, sock, type, beat, plumb_mono_ms() + WORLD_WAIT_MS, &note))
        return note;
    die(plumb_msg_name(type), "did not come");
}

bool world_holds(const plumb_note_t *note, const plumb_ticket_t *ticket)
{
    for (size_t i = 0; i < note->held_count; i++)
        if (note->held[i].ticket.attempt == ticket->attempt &&
            plumb_uuid_compare(&note->held[i].ticket.delivery, &ticket->delivery) == 0)
            return true;
    return false;
}

bool world_acks_within(world_t *w, const plumb_ticket_t *ticket, int ms)
{
    plumb_note_t note;
    int64_t until_ms = plumb_mono_ms() + ms;
    while (await_note(w, w->acks, PLUMB_MSG_ACKS, NULL, until_ms, &note))
        if (world_holds(&note, ticket))
            return true;
    return false;
}

void world_acked(world_t *w, const plumb_ticket_t *ticket)
{
    if (world_acks_within(w, ticket, WORLD_WAIT_MS))
        return;
    die("ack", "did not come");
}

bool world_job_within(world_t *w, int ms)
{
    int64_t beat_ms = 0;
    return await(w, w->jobs, plumb_mono_ms() + ms, NULL, &beat_ms);
}

plumb_job_t world_job(world_t *w, world_beat beat)
{
    plumb_job_t job;
    plumb_err_t err = {0};
    int64_t beat_ms = 0;
    if (!await(w, w->jobs, plumb_mono_ms() + WORLD_WAIT_MS, beat, &beat_ms)) {
        die("job", "did not come");
    }
    need("job", plumb_job_decode(&job, zmq_msg_data(&w->last), zmq_msg_size(&w->last), &err), &err);
    return job;
}

/* ---- sending ---- */

static void send_frame(world_t *w, zsock_t *sock)
{
    int64_t until_ms = plumb_mono_ms() + WORLD_WAIT_MS;
    while (plumb_sock_send(sock, w->frame.data, w->frame.length) == 0) {
        if (plumb_mono_ms() > until_ms)
            die("send", "the tracker is not there");
        poll(NULL, 0, 5);
    }
}

void world_note(world_t *w, zsock_t *sock, const plumb_note_t *note)
{
    plumb_err_t err = {0};
    need("encode", plumb_note_encode(&w->frame, note, &err), &err);
    send_frame(w, sock);
}

void world_beacon(world_t *w, uint64_t epoch, int64_t room)
{
    plumb_note_t note = {
        .type = PLUMB_MSG_BEACON, .name = {"broker-0", 8}, .epoch = epoch, .room = room};
    world_note(w, w->beacon, &note);
}

void world_answer(world_t *w, const plumb_note_t *note)
{
    plumb_err_t err = {0};
    need("encode", plumb_note_encode(&w->frame, note, &err), &err);
    if (plumb_sock_send_to(w->control, w->peer, w->peer_length, w->frame.data, w->frame.length) !=
        1)
        die("answer", "the tracker is not there");
}

void world_result(world_t *w, const plumb_ticket_t *ticket, plumb_outcome_t outcome,
                  const plumb_result_t *more)
{
    plumb_result_t result = more != NULL ? *more : (plumb_result_t){0};
    plumb_err_t err = {0};
    result.ticket = *ticket;
    result.account = w->account->id;
    result.credential = w->credential;
    result.worker = (plumb_slice_t){"worker-0", 8};
    result.outcome = outcome;
    need("encode", plumb_result_encode(&w->frame, &result, &err), &err);
    send_frame(w, w->results);
}

/* An unknown delivery is acked as well: so one is asked about until the answer comes. */
void world_connected(world_t *w)
{
    plumb_ticket_t ticket = {plumb_uuid_new(), 1};
    int64_t until_ms = plumb_mono_ms() + LONG_MS;
    do {
        if (plumb_mono_ms() > until_ms) {
            die("the tracker", "does not answer");
        }
        world_result(w, &ticket, PLUMB_OUT_ok, NULL);
    } while (!world_acks_within(w, &ticket, 100));
}

/* ---- rows ---- */

static void seal_lead(world_t *w, plumb_lead_t *lead, plumb_buf_t *sealed_key, plumb_buf_t *sealed)
{
    plumb_key_t account_key, key;
    plumb_buf_t plain = {0};
    plumb_err_t err = {0};
    plumb_seal_place_t key_place = plumb_lead_place_key(&lead->account, &lead->id);
    plumb_seal_place_t place = plumb_lead_place_personal(&lead->account, &lead->id);
    plumb_key_new(&key, 1);
    need("key",
         plumb_vault_key(w->account->vault, w->account->db, &lead->account, 0, &account_key, &err),
         &err);
    need("pack", plumb_lead_personal_pack(&plain, lead, &err), &err);
    need("seal",
         plumb_seal(sealed_key, &account_key, &key_place, key.bytes, sizeof key.bytes, &err), &err);
    need("seal", plumb_seal(sealed, &key, &place, plain.data, plain.length, &err), &err);
    plumb_buf_wipe(&plain);
}

static plumb_uuid_t insert_lead(world_t *w)
{
    static const plumb_stmt_t insert = {
        .name = "world_lead",
        .params = 7,
        .sql =
            "INSERT INTO leads (account_id, id, user_id, project_id, quiz_id, sealed_key, sealed, "
            "data) VALUES ($1, $2, $3, $4, $5, $6, $7, '{\"budget\": 7}')"};
    plumb_lead_t lead = {.id = plumb_uuid_new(), .account = w->account->id};
    plumb_buf_t sealed_key = {0}, sealed = {0};
    plumb_err_t err = {0};
    lead.value[PLUMB_LEAD_NAME] = (plumb_slice_t){"Anna", 4};
    seal_lead(w, &lead, &sealed_key, &sealed);
    plumb_params_t *p = plumb_params_new();
    plumb_param_uuid(p, &lead.account);
    plumb_param_uuid(p, &lead.id);
    plumb_param_uuid(p, &w->account->user);
    plumb_param_uuid(p, &w->account->project);
    plumb_param_uuid(p, &w->account->quiz);
    plumb_param_bytes(p, sealed_key.data, sealed_key.length);
    plumb_param_bytes(p, sealed.data, sealed.length);
    need("lead", plumb_db_exec(w->account->db, &insert, p, LONG_MS, NULL, &err), &err);
    plumb_params_destroy(&p);
    plumb_buf_fini(&sealed_key);
    plumb_buf_fini(&sealed);
    return lead.id;
}

plumb_ticket_t world_delivery(world_t *w, const char *state, uint32_t attempt, uint64_t epoch,
                              const char *more)
{
    plumb_ticket_t ticket = {plumb_uuid_new(), attempt};
    plumb_uuid_t lead = insert_lead(w);
    char id[PLUMB_UUID_TEXT], of[PLUMB_UUID_TEXT], account[PLUMB_UUID_TEXT],
        credential[PLUMB_UUID_TEXT];
    account_sql(w->account,
                "BEGIN; INSERT INTO deliveries (account_id, id, lead_id, credential_id, channel, "
                "state, attempt, deadline_at, epoch, queued_at) VALUES ('%s', '%s', '%s', '%s', "
                "'webhooks', '%s', %u, now() + interval '7 days', %llu, now()); "
                "UPDATE deliveries SET %s WHERE id = '%s'; COMMIT",
                plumb_uuid_text(&w->account->id, account), plumb_uuid_text(&ticket.delivery, id),
                plumb_uuid_text(&lead, of), plumb_uuid_text(&w->credential, credential), state,
                attempt, (unsigned long long)epoch, more == NULL ? "tries = 0" : more, id);
    return ticket;
}

bool world_is(world_t *w, const plumb_ticket_t *ticket, const char *what, const char *value)
{
    char id[PLUMB_UUID_TEXT], sql[512], got[256];
    snprintf(sql, sizeof sql, "SELECT %s FROM deliveries WHERE id = '%s'", what,
             plumb_uuid_text(&ticket->delivery, id));
    pg_run(w->account->conninfo, sql, got, sizeof got);
    return strcmp(got, value) == 0;
}

void world_becomes(world_t *w, const plumb_ticket_t *ticket, const char *what, const char *value)
{
    int64_t until_ms = plumb_mono_ms() + WORLD_WAIT_MS;
    while (!world_is(w, ticket, what, value)) {
        if (plumb_mono_ms() > until_ms) {
            die(what, value);
        }
        poll(NULL, 0, 20);
    }
}
