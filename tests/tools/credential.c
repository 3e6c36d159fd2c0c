/* Connects a service for a test: seals the fields, writes the credential and its link, prints the
 * id. */
#include "credential.h"
#include "conf.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define STATEMENT_MS 10000

typedef struct wanted {
    const char *config, *channel, *fields;
    plumb_uuid_t account, project, quiz;
} wanted_t;

static const plumb_stmt_t insert_credential = {
    .name = "test_insert_credential",
    .params = 4,
    .sql = "INSERT INTO credentials (account_id, id, channel, name, sealed) VALUES ($1, $2, $3, "
           "'test', $4)"};

static const plumb_stmt_t insert_link = {
    .name = "test_insert_link",
    .params = 5,
    .sql = "INSERT INTO credential_links (account_id, id, credential_id, project_id, quiz_id) "
           "VALUES ($1, $2, $3, $4, $5)"};

static int read_id(plumb_uuid_t *id, const char *text)
{
    return plumb_uuid_parse(id, text, strlen(text)) ? 0 : -1;
}

static int read_arguments(wanted_t *w, int argc, char **argv)
{
    static const struct option table[] = {{"config", 1, NULL, 'c'},  {"account", 1, NULL, 'a'},
                                          {"project", 1, NULL, 'p'}, {"quiz", 1, NULL, 'q'},
                                          {"channel", 1, NULL, 'h'}, {"fields", 1, NULL, 'f'},
                                          {NULL, 0, NULL, 0}};
    int rc = 0, option;
    while (rc == 0 && (option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (option) {
        case 'c':
            w->config = optarg;
            break;
        case 'a':
            rc = read_id(&w->account, optarg);
            break;
        case 'p':
            rc = read_id(&w->project, optarg);
            break;
        case 'q':
            rc = read_id(&w->quiz, optarg);
            break;
        case 'h':
            w->channel = optarg;
            break;
        case 'f':
            w->fields = optarg;
            break;
        default:
            rc = -1;
        }
    }
    return rc == 0 && w->config != NULL && w->channel != NULL && w->fields != NULL ? 0 : -1;
}

static int write_rows(plumb_db_t *db, const wanted_t *w, const plumb_uuid_t *id,
                      const plumb_buf_t *sealed, plumb_err_t *err)
{
    plumb_uuid_t link = plumb_uuid_new();
    plumb_params_t *p = plumb_params_new();
    plumb_param_uuid(p, &w->account);
    plumb_param_uuid(p, id);
    plumb_param_text(p, w->channel);
    plumb_param_bytes(p, sealed->data, sealed->length);
    int rc = plumb_db_exec(db, &insert_credential, p, STATEMENT_MS, NULL, err);
    plumb_params_clear(p);
    plumb_param_uuid(p, &w->account);
    plumb_param_uuid(p, &link);
    plumb_param_uuid(p, id);
    plumb_param_uuid(p, &w->project);
    plumb_param_uuid(p, plumb_uuid_is_nil(&w->quiz) ? NULL : &w->quiz);
    if (rc == 0)
        rc = plumb_db_exec(db, &insert_link, p, STATEMENT_MS, NULL, err);
    plumb_params_destroy(&p);
    return rc;
}

static int connect_service(const wanted_t *w, const plumb_conf_t *conf, const plumb_uuid_t *id,
                           plumb_err_t *err)
{
    plumb_db_t *db = NULL;
    plumb_keyring_t *keyring = NULL;
    plumb_vault_t *vault = NULL;
    plumb_buf_t sealed = {0};
    int rc = plumb_db_new(&db, conf->database, "test", err);
    if (rc == 0)
        rc = plumb_keyring_open(&keyring, conf->keys_dir, err);
    if (rc == 0)
        rc = plumb_vault_new(&vault, keyring, err);
    if (rc == 0)
        rc = plumb_credential_seal(&sealed, vault, db, &w->account, id, w->fields,
                                   strlen(w->fields), err);
    if (rc == 0)
        rc = write_rows(db, w, id, &sealed, err);
    plumb_buf_fini(&sealed);
    plumb_vault_destroy(&vault);
    plumb_keyring_destroy(&keyring);
    plumb_db_destroy(&db);
    return rc;
}

int main(int argc, char **argv)
{
    wanted_t w = {0};
    plumb_conf_t conf = {0};
    plumb_err_t err = {0};
    if (read_arguments(&w, argc, argv) != 0) {
        fprintf(
            stderr,
            "usage: credential --config FILE --account ID --project ID [--quiz ID] --channel CODE "
            "--fields JSON\n");
        return 2;
    }
    plumb_uuid_t id = plumb_uuid_new();
    int rc = plumb_conf_init(&conf, &err);
    if (rc == 0)
        rc = plumb_conf_load(&conf, w.config, &err);
    if (rc == 0)
        rc = connect_service(&w, &conf, &id, &err);
    plumb_conf_fini(&conf);
    char text[PLUMB_UUID_TEXT];
    if (rc == 0)
        puts(plumb_uuid_text(&id, text));
    else
        fprintf(stderr, "credential: %s\n", err.text);
    return rc == 0 ? 0 : 1;
}
