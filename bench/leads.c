/* Fill an account with leads, sealed and indexed as intake does it, by COPY: what `make
 * bench-reads` reads from. usage: leads CONNINFO KEYS_DIR ACCOUNT COUNT DAYS; spread over the
 * account's quizzes and the last DAYS days.  Prints leads a second. */
#include "blind.h"
#include "clock.h"
#include "count.h"
#include "lead.h"
#include "vault.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP 10000
#define LONG_MS 600000

typedef struct owner {
    char user[PLUMB_UUID_TEXT], project[PLUMB_UUID_TEXT], quiz[PLUMB_UUID_TEXT];
} owner_t;

typedef struct filling {
    plumb_keyring_t *keyring;
    plumb_vault_t *vault;
    plumb_db_t *db;
    plumb_uuid_t account;
    plumb_key_t key, index_key;
    owner_t *owners;
    int owner_count;
    plumb_buf_t rows, plain, wrapped, sealed;
} filling_t;

static plumb_err_t err;

static void need(int rc)
{
    if (rc == 0)
        return;
    fprintf(stderr, "leads: %s\n", err.text);
    exit(1);
}

static PGresult *query(filling_t *f, const char *sql)
{
    PGresult *r = PQexec(plumb_db_conn(f->db), sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK &&
        PQresultStatus(r) != PGRES_COPY_IN) {
        fprintf(stderr, "leads: %s", PQerrorMessage(plumb_db_conn(f->db)));
        exit(1);
    }
    return r;
}

static void run(filling_t *f, const char *sql)
{
    PQclear(query(f, sql));
}

/* ---- one lead ---- */

static plumb_slice_t slice(const char *text)
{
    return (plumb_slice_t){text, strlen(text)};
}

static void put_hex(plumb_buf_t *out, const plumb_buf_t *bytes)
{
    static const char digits[] = "0123456789abcdef";
    plumb_buf_text(out, "\\\\x");
    for (size_t i = 0; i < bytes->length; i++) {
        const char pair[] = {digits[(uint8_t)bytes->data[i] >> 4],
                             digits[(uint8_t)bytes->data[i] & 15]};
        plumb_buf_put(out, pair, 2);
    }
}

static void seal(filling_t *f, plumb_lead_t *lead)
{
    plumb_key_t key;
    plumb_seal_place_t key_place = plumb_lead_place_key(&lead->account, &lead->id);
    plumb_seal_place_t place = plumb_lead_place_personal(&lead->account, &lead->id);
    plumb_buf_clear(&f->plain);
    plumb_buf_clear(&f->wrapped);
    plumb_buf_clear(&f->sealed);
    plumb_key_new(&key, 1);
    need(plumb_seal(&f->wrapped, &f->key, &key_place, key.bytes, sizeof key.bytes, &err));
    need(plumb_lead_personal_pack(&f->plain, lead, &err));
    need(plumb_seal(&f->sealed, &key, &place, f->plain.data, f->plain.length, &err));
}

static void put_terms(plumb_buf_t *out, const plumb_blind_t *blind)
{
    plumb_buf_printf(out, "%" PRId64 "\t%" PRId64 "\t{", blind->phone, blind->email);
    for (size_t i = 0; i < blind->count; i++)
        plumb_buf_printf(out, "%s%" PRId64, i > 0 ? "," : "", blind->terms[i]);
    plumb_buf_text(out, "}");
}

/* Mostly new; every 7th at work, every 10th a success, every 20th declined. */
static const char *status_of(int64_t n)
{
    if (n % 20 == 3)
        return "Declined";
    if (n % 10 == 4)
        return "Success";
    return n % 7 == 5 ? "AtWork" : "New";
}

static void put_lead(filling_t *f, int64_t n, int64_t created_ms)
{
    static const char *const first[] = {"Анна",  "Вера",    "Иван",  "Пётр",  "Мария",
                                        "Ольга", "Дмитрий", "Игорь", "Елена", "Сергей"};
    static const char *const last[] = {
        "Каренина", "Левин",     "Облонская", "Вронский", "Щербацкая", "Петров", "Иванова",
        "Смирнов",  "Кузнецова", "Попов",     "Лебедев",  "Новикова",  "Соколов"};
    char name[128], phone[32], email[64], id[PLUMB_UUID_TEXT], account[PLUMB_UUID_TEXT];
    char created[PLUMB_TIME_TEXT];
    const owner_t *o = &f->owners[n % f->owner_count];
    plumb_blind_t blind;
    plumb_lead_t lead = {.account = f->account, .id = plumb_uuid_at(created_ms)};
    snprintf(name, sizeof name, "%s %s", first[n % 10], last[n / 10 % 13]);
    snprintf(phone, sizeof phone, "+79%09" PRId64, n % 1000000000);
    snprintf(email, sizeof email, "lead.%" PRId64 "@mail%" PRId64 ".example", n, n % 50);
    lead.value[PLUMB_LEAD_NAME] = slice(name);
    lead.value[PLUMB_LEAD_PHONE] = slice(phone);
    lead.value[PLUMB_LEAD_EMAIL] = slice(email);
    seal(f, &lead);
    plumb_blind_lead(&blind, &f->index_key, &lead.value[PLUMB_LEAD_NAME],
                     &lead.value[PLUMB_LEAD_PHONE], &lead.value[PLUMB_LEAD_EMAIL]);
    plumb_time_text(created_ms, created);
    plumb_buf_printf(&f->rows, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t",
                     plumb_uuid_text(&f->account, account), plumb_uuid_text(&lead.id, id), o->user,
                     o->project, o->quiz, status_of(n), created, created);
    put_hex(&f->rows, &f->wrapped);
    plumb_buf_text(&f->rows, "\t");
    put_hex(&f->rows, &f->sealed);
    plumb_buf_text(&f->rows, "\t");
    put_terms(&f->rows, &blind);
    plumb_buf_printf(&f->rows, "\text-%" PRId64 "\t%s\tspring-%" PRId64 "\t%s\t{\"answers\":[]}\n",
                     n, n % 3 == 0 ? "yandex" : "vk", n % 40, n % 4 == 0 ? "t" : "f");
}

/* ---- all of them ---- */

static void copy_group(filling_t *f, int64_t from, int64_t to, int64_t count, int64_t begin_ms,
                       int64_t span_ms)
{
    PGconn *conn = plumb_db_conn(f->db);
    plumb_buf_clear(&f->rows);
    for (int64_t n = from; n < to; n++)
        put_lead(f, n, begin_ms + span_ms / count * n);
    run(f,
        "COPY leads (account_id, id, user_id, project_id, quiz_id, status, created_at, updated_at, "
        "sealed_key, sealed, phone_term, email_term, terms, external_id, utm_source, utm_campaign, "
        "viewed, data) FROM STDIN");
    if (f->rows.failed || PQputCopyData(conn, f->rows.data, (int)f->rows.length) != 1 ||
        PQputCopyEnd(conn, NULL) != 1)
        need(plumb_err_set(&err, PLUMB_E_DATABASE, "COPY: %s", PQerrorMessage(conn)));
    PGresult *r = PQgetResult(conn);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        need(plumb_err_set(&err, PLUMB_E_DATABASE, "COPY: %s", PQerrorMessage(conn)));
    PQclear(r);
    PQclear(PQgetResult(conn));
}

static void read_owners(filling_t *f, const char *account)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "SELECT p.user_id, p.id, q.id FROM quizzes q JOIN projects p ON p.account_id = "
             "q.account_id AND p.id = q.project_id WHERE q.account_id = '%s' ORDER BY q.id",
             account);
    PGresult *r = query(f, sql);
    f->owner_count = PQntuples(r);
    f->owners = calloc((size_t)f->owner_count + 1, sizeof *f->owners);
    if (f->owner_count == 0 || f->owners == NULL)
        need(plumb_err_set(&err, PLUMB_E_NOT_FOUND, "the account has no quiz"));
    for (int i = 0; i < f->owner_count; i++) {
        snprintf(f->owners[i].user, PLUMB_UUID_TEXT, "%s", PQgetvalue(r, i, 0));
        snprintf(f->owners[i].project, PLUMB_UUID_TEXT, "%s", PQgetvalue(r, i, 1));
        snprintf(f->owners[i].quiz, PLUMB_UUID_TEXT, "%s", PQgetvalue(r, i, 2));
    }
    PQclear(r);
}

static void open_all(filling_t *f, const char *conninfo, const char *keys, const char *account)
{
    need(plumb_keyring_open(&f->keyring, keys, &err));
    need(plumb_vault_new(&f->vault, f->keyring, &err));
    need(plumb_db_new(&f->db, conninfo, "leads", &err));
    need(plumb_db_connect(f->db, LONG_MS, &err));
    if (!plumb_uuid_parse(&f->account, account, strlen(account)))
        need(plumb_err_set(&err, PLUMB_E_USAGE, "'%s' is no UUID", account));
    need(plumb_vault_key(f->vault, f->db, &f->account, 0, &f->key, &err));
    need(plumb_vault_index_key(f->vault, f->db, &f->account, &f->index_key, &err));
    read_owners(f, account);
}

static void close_all(filling_t *f)
{
    plumb_buf_fini(&f->rows);
    plumb_buf_fini(&f->plain);
    plumb_buf_fini(&f->wrapped);
    plumb_buf_fini(&f->sealed);
    free(f->owners);
    plumb_db_destroy(&f->db);
    plumb_vault_destroy(&f->vault);
    plumb_keyring_destroy(&f->keyring);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: leads CONNINFO KEYS_DIR ACCOUNT COUNT DAYS\n");
        return 2;
    }
    filling_t f = {.keyring = NULL};
    int64_t count = atoll(argv[4]), span_ms = atoll(argv[5]) * 86400000;
    int64_t begin_ms = plumb_wall_ms() - span_ms, began_ms = plumb_mono_ms();
    char sql[256];
    open_all(&f, argv[1], argv[2], argv[3]);
    snprintf(sql, sizeof sql, "SELECT plumb_make_partitions(now() - interval '%s days', now())",
             argv[5]);
    run(&f, sql);
    for (int64_t n = 0; n < count; n += GROUP)
        copy_group(&f, n, n + GROUP < count ? n + GROUP : count, count, begin_ms, span_ms);
    run(&f,
        "INSERT INTO lead_deltas SELECT account_id, project_id, quiz_id, (created_at AT TIME ZONE "
        "'UTC')::date, status, plumb_lead_flags(viewed, paid, blocked, is_test, duplicate_of IS "
        "NOT NULL, deleted_at IS NOT NULL), count(*) FROM leads GROUP BY 1, 2, 3, 4, 5, 6");
    run(&f, "ANALYZE leads");
    printf("%.0f\n", (double)count * 1000 / (double)(plumb_mono_ms() - began_ms));
    close_all(&f);
    return 0;
}
