/* An account in a database of its own. */
#include "account.h"

#include "credential.h"
#include "migrate.h"

#include <czmq.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LONG_MS 60000

static void need(const char *what, int rc, const plumb_err_t *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "account: %s: %s\n", what, err->text);
    exit(EXIT_FAILURE);
}

static void set(account_t *a, const char *key, const char *value)
{
    char assignment[PG_CONNINFO_MAX + 64];
    plumb_err_t err = {0};
    snprintf(assignment, sizeof assignment, "%s=%s", key, value);
    need(assignment, plumb_conf_set(&a->conf, assignment, "test", &err), &err);
}

static void configure(account_t *a)
{
    plumb_err_t err = {0};
    need("conf", plumb_conf_init(&a->conf, &err), &err);
    set(a, "development", "true");
    set(a, "database", a->conninfo);
    set(a, "run_dir", a->dir);
    set(a, "keys_dir", a->dir);
    set(a, "ingest.listen", "127.0.0.1:0");
    set(a, "limits.token", "0");
    set(a, "limits.account", "0");
    set(a, "limits.stranger", "0");
    set(a, "ingest.cache", "0");
}

static void make_keys(account_t *a)
{
    plumb_err_t err = {0};
    uint32_t id;
    need("key", plumb_keyring_generate(a->dir, &id, &err), &err);
    need("keys", plumb_keyring_open(&a->keyring, a->dir, &err), &err);
    need("vault", plumb_vault_new(&a->vault, a->keyring, &err), &err);
}

static void make_rows(account_t *a)
{
    char id[PLUMB_UUID_TEXT], user[PLUMB_UUID_TEXT], project[PLUMB_UUID_TEXT],
        quiz[PLUMB_UUID_TEXT];
    plumb_err_t err = {0};
    a->id = plumb_uuid_new();
    a->user = plumb_uuid_new();
    a->project = plumb_uuid_new();
    a->quiz = plumb_uuid_new();
    plumb_uuid_text(&a->id, id);
    plumb_uuid_text(&a->user, user);
    plumb_uuid_text(&a->project, project);
    plumb_uuid_text(&a->quiz, quiz);
    account_sql(a, "INSERT INTO accounts (id, name) VALUES ('%s', 'test')", id);
    need("account key", plumb_vault_create(a->vault, a->db, &a->id, &err), &err);
    account_sql(a, "INSERT INTO users (account_id, id, name) VALUES ('%s', '%s', 'test')", id,
                user);
    account_sql(a,
                "INSERT INTO projects (account_id, id, user_id, name) "
                "VALUES ('%s', '%s', '%s', 'test')",
                id, project, user);
    account_sql(a,
                "INSERT INTO quizzes (account_id, id, project_id, name, settings) "
                "VALUES ('%s', '%s', '%s', 'test', '{\"identical\": {\"windowSeconds\": 0}, "
                "\"duplicates\": {\"policy\": \"allow\"}}')",
                id, quiz, project);
}

account_t *account_new(void)
{
    account_t *a = calloc(1, sizeof *a);
    plumb_err_t err = {.text = "out of memory"};
    zsys_handler_set(NULL); /* as a daemon does before it has threads */
    need("ZeroMQ", zsys_init() == NULL ? -1 : 0, &err);
    plumb_migrated_t done;
    need("account", a == NULL ? -1 : 0, &err);
    snprintf(a->dir, sizeof a->dir, "/tmp/plumb-account-XXXXXX");
    need("directory", mkdtemp(a->dir) == NULL ? -1 : 0, &err);
    pg_new_database(a->conninfo);
    need("database", plumb_db_new(&a->db, a->conninfo, "test", &err), &err);
    need("connect", plumb_db_connect(a->db, LONG_MS, &err), &err);
    need("migrate", plumb_migrate(a->db, PLUMB_SQL_DIR, &done, &err), &err);
    configure(a);
    make_keys(a);
    make_rows(a);
    account_token(a, "abcdefghijkl", "read,write,operate,admin", NULL, a->token);
    return a;
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about;
    (void)kind;
    (void)walk;
    return remove(path);
}

void account_destroy(account_t **account)
{
    if (account == NULL || *account == NULL)
        return;
    account_t *a = *account;
    plumb_vault_destroy(&a->vault);
    plumb_keyring_destroy(&a->keyring);
    plumb_db_destroy(&a->db);
    plumb_conf_fini(&a->conf);
    nftw(a->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(a);
    *account = NULL;
}

void account_token(account_t *account, const char *id, const char *scopes,
                   const plumb_uuid_t *project, char token[64])
{
    static const char secret[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
    uint8_t hash[PLUMB_TOKEN_HASH];
    char hex[2 * PLUMB_TOKEN_HASH + 1], owner[PLUMB_UUID_TEXT], bound[PLUMB_UUID_TEXT + 2] = "NULL";
    plumb_err_t err = {0};
    uint32_t key;
    need("hash",
         plumb_keyring_token_hash(account->keyring, 0, secret, strlen(secret), hash, &key, &err),
         &err);
    for (int i = 0; i < PLUMB_TOKEN_HASH; i++)
        snprintf(hex + (size_t)i * 2, 3, "%02x", hash[i]);
    if (project != NULL) {
        char text[PLUMB_UUID_TEXT];
        snprintf(bound, sizeof bound, "'%s'", plumb_uuid_text(project, text));
    }
    account_sql(account,
                "INSERT INTO tokens (id, account_id, name, key_id, hash, scopes, project_id) "
                "VALUES ('%s', '%s', 'test', %u, '\\x%s', '{%s}', %s)",
                id, plumb_uuid_text(&account->id, owner), key, hex, scopes, bound);
    snprintf(token, 64, "%s.%s", id, secret);
}

plumb_uuid_t account_credential(account_t *account, const char *channel, const char *fields,
                                const plumb_uuid_t *quiz)
{
    static const plumb_stmt_t insert = {
        .name = "account_credential",
        .params = 4,
        .sql = "INSERT INTO credentials (account_id, id, channel, name, sealed) "
               "VALUES ($1, $2, $3, 'test', $4)"};
    plumb_uuid_t id = plumb_uuid_new();
    plumb_buf_t sealed = {0};
    plumb_err_t err = {0};
    char text[PLUMB_UUID_TEXT], owner[PLUMB_UUID_TEXT], project[PLUMB_UUID_TEXT],
        of[PLUMB_UUID_TEXT + 2] = "NULL";
    need("seal",
         plumb_credential_seal(&sealed, account->vault, account->db, &account->id, &id, fields,
                               strlen(fields), &err),
         &err);
    plumb_params_t *p = plumb_params_new();
    plumb_param_uuid(p, &account->id);
    plumb_param_uuid(p, &id);
    plumb_param_text(p, channel);
    plumb_param_bytes(p, sealed.data, sealed.length);
    need("credential", plumb_db_exec(account->db, &insert, p, LONG_MS, NULL, &err), &err);
    plumb_params_destroy(&p);
    plumb_buf_fini(&sealed);
    if (quiz != NULL)
        snprintf(of, sizeof of, "'%s'", plumb_uuid_text(quiz, text));
    account_sql(account,
                "INSERT INTO credential_links (account_id, id, credential_id, project_id, quiz_id) "
                "VALUES ('%s', gen_random_uuid(), '%s', '%s', %s)",
                plumb_uuid_text(&account->id, owner), plumb_uuid_text(&id, text),
                plumb_uuid_text(&account->project, project), of);
    return id;
}

void account_sql(account_t *account, const char *format, ...)
{
    plumb_err_t err = {0};
    char sql[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    need(sql, plumb_db_script(account->db, sql, LONG_MS, &err), &err);
}

long account_count(account_t *account, const char *format, ...)
{
    char sql[1024], value[32] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    pg_run(account->conninfo, sql, value, sizeof value);
    return strtol(value, NULL, 10);
}

void account_document(const account_t *account, const char *attributes, char *out, size_t size)
{
    char user[PLUMB_UUID_TEXT], project[PLUMB_UUID_TEXT], quiz[PLUMB_UUID_TEXT];
    snprintf(out, size,
             "{\"data\":{\"type\":\"leads\",\"attributes\":{\"userId\":\"%s\",\"projectId\":\"%s\","
             "\"quizId\":\"%s\"%s}}}",
             plumb_uuid_text(&account->user, user), plumb_uuid_text(&account->project, project),
             plumb_uuid_text(&account->quiz, quiz), attributes);
}
