/* The demo's identity: ids are made here first and rows after them, so that an `up` that is killed
 * anywhere is simply completed by the next one. */
#include "demo.h"

#include "state.h"
#include "store.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX 8192
#define SECRET_BYTES 32

static char *demo_path(const char *state_dir, char *path)
{
    return state_path(state_dir, "demo.json", path);
}

/* ---- making one ---- */

static void make_token(char token[DEMO_TOKEN_MAX])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    uint8_t secret[SECRET_BYTES];
    for (int i = 0; i < TOKEN_ID_LENGTH; i++)
        token[i] = digits[randombytes_uniform(sizeof digits - 1)];
    token[TOKEN_ID_LENGTH] = '.';
    randombytes_buf(secret, sizeof secret);
    sodium_bin2base64(token + TOKEN_ID_LENGTH + 1, DEMO_TOKEN_MAX - TOKEN_ID_LENGTH - 1, secret,
                      sizeof secret, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(secret, sizeof secret);
}

static void make_secret(char text[DEMO_SECRET_MAX])
{
    static const char prefix[] = "whsec_";
    uint8_t secret[SECRET_BYTES];
    randombytes_buf(secret, sizeof secret);
    memcpy(text, prefix, sizeof prefix);
    sodium_bin2base64(text + sizeof prefix - 1, DEMO_SECRET_MAX - sizeof prefix + 1, secret,
                      sizeof secret, sodium_base64_VARIANT_ORIGINAL);
    sodium_memzero(secret, sizeof secret);
}

/* ---- the file ---- */

typedef struct id_row {
    const char *key;
    size_t offset;
} id_row_t;

static const id_row_t ids[] = {
    {"account", offsetof(demo_t, account)},       {"user", offsetof(demo_t, user)},
    {"project", offsetof(demo_t, project)},       {"quiz", offsetof(demo_t, quiz)},
    {"credential", offsetof(demo_t, credential)}, {"link", offsetof(demo_t, link)}};
#define IDS (sizeof ids / sizeof *ids)

static plumb_uuid_t *id_of(demo_t *demo, size_t row)
{
    return (plumb_uuid_t *)((char *)demo + ids[row].offset);
}

static int write_file(demo_t *demo, const char *state_dir, plumb_err_t *err)
{
    char path[PATH_MAX], text[PLUMB_UUID_TEXT];
    json_t *json = json_object();
    int bad = json == NULL;
    for (size_t i = 0; i < IDS; i++)
        bad |= json_object_set_new(json, ids[i].key,
                                   json_string(plumb_uuid_text(id_of(demo, i), text)));
    bad |= json_object_set_new(json, "token", json_string(demo->token));
    bad |= json_object_set_new(json, "secret", json_string(demo->secret));
    bad |= json_object_set_new(json, "listenPort", json_integer(demo->listen_port));
    char *whole = bad ? NULL : json_dumps(json, JSON_INDENT(2));
    int rc = whole == NULL ? plumb_err_set(err, PLUMB_E_MEMORY, "write demo")
                           : state_write(demo_path(state_dir, path), whole, strlen(whole), err);
    free(whole);
    json_decref(json);
    return rc;
}

static bool take_text(const json_t *json, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(json, key));
    if (text == NULL || strlen(text) + 1 != size)
        return false;
    memcpy(out, text, size);
    return true;
}

static bool take_all(demo_t *demo, const json_t *json)
{
    bool good = take_text(json, "token", demo->token, sizeof demo->token) &&
                take_text(json, "secret", demo->secret, sizeof demo->secret);
    for (size_t i = 0; good && i < IDS; i++) {
        const char *text = json_string_value(json_object_get(json, ids[i].key));
        good = text != NULL && plumb_uuid_parse(id_of(demo, i), text, strlen(text));
    }
    demo->listen_port = (int)json_integer_value(json_object_get(json, "listenPort"));
    return good;
}

static int read_file(demo_t *demo, const char *path, plumb_err_t *err)
{
    char *text;
    size_t length;
    int rc = state_read(path, FILE_MAX, &text, &length, err);
    if (rc < 0)
        return rc;
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    if (!take_all(demo, json))
        rc = plumb_err_set(err, PLUMB_E_SYSTEM,
                           "'%s' is damaged; remove it to get a new demo account", path);
    json_decref(json);
    sodium_memzero(text, length);
    free(text);
    return rc;
}

int demo_open(demo_t *demo, const char *state_dir, plumb_err_t *err)
{
    char path[PATH_MAX];
    *demo = (demo_t){0};
    int rc = read_file(demo, demo_path(state_dir, path), err);
    if (rc != -PLUMB_E_NOT_FOUND)
        return rc;
    for (size_t i = 0; i < IDS; i++)
        *id_of(demo, i) = plumb_uuid_new();
    make_token(demo->token);
    make_secret(demo->secret);
    return write_file(demo, state_dir, err);
}

int demo_write_secret(const demo_t *demo, const char *state_dir, char *path, plumb_err_t *err)
{
    return state_write(state_path(state_dir, "listen.secret", path), demo->secret,
                       strlen(demo->secret), err);
}

/* ---- the rows ---- */

static int hash_token(const demo_t *demo, const plumb_keyring_t *keyring, store_token_t *row,
                      plumb_err_t *err)
{
    const char *secret = demo->token + TOKEN_ID_LENGTH + 1;
    memcpy(row->id, demo->token, TOKEN_ID_LENGTH);
    row->id[TOKEN_ID_LENGTH] = '\0';
    return plumb_keyring_token_hash(keyring, 0, secret, strlen(secret), row->hash, &row->key_id,
                                    err);
}

static int store_rows(const demo_t *demo, plumb_db_t *db, plumb_vault_t *vault,
                      const plumb_keyring_t *keyring, int listen_port, plumb_err_t *err)
{
    store_token_t token;
    char fields[256];
    snprintf(fields, sizeof fields, "{\"url\":\"http://127.0.0.1:%d/\",\"secret\":\"%s\"}",
             listen_port, demo->secret);
    int rc = hash_token(demo, keyring, &token, err);
    if (rc == 0)
        rc = store_begin(db, err);
    if (rc == 0)
        rc = store_owner(db, vault, demo, err);
    if (rc == 0)
        rc = store_token(db, demo, &token, err);
    if (rc == 0)
        rc = store_credential(db, vault, demo, fields, demo->listen_port != listen_port, err);
    return store_end(db, rc, err);
}

int demo_store(demo_t *demo, const plumb_conf_t *conf, const char *state_dir, int listen_port,
               plumb_err_t *err)
{
    plumb_db_t *db = NULL;
    plumb_keyring_t *keyring = NULL;
    plumb_vault_t *vault = NULL;
    int rc = plumb_db_new(&db, conf->database, "plumb-up", err);
    if (rc == 0)
        rc = plumb_keyring_open(&keyring, conf->keys_dir, err);
    if (rc == 0)
        rc = plumb_vault_new(&vault, keyring, err);
    if (rc == 0)
        rc = store_rows(demo, db, vault, keyring, listen_port, err);
    if (rc == 0 && demo->listen_port != listen_port) {
        demo->listen_port = listen_port;
        rc = write_file(demo, state_dir, err);
    }
    plumb_vault_destroy(&vault);
    plumb_keyring_destroy(&keyring);
    plumb_db_destroy(&db);
    return rc < 0 ? plumb_err_add(err, "make the demo account") : 0;
}
