/* The cache of intake keys. */
#include "intake_keys.h"

#include "cells.h"
#include "clock.h"
#include "json.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 1024
#define STATEMENT_MS 5000
#define NAME 32
#define KEY_MIN 16
#define KEY_MAX 64

typedef struct entry {
    cell_t cell;
    plumb_uuid_t account, quiz;
    bool is_known;
    int64_t read_ms; /* 0: not read */
} entry_t;

struct intake_keys {
    readers_t *readers;
    int64_t life_ms;
    pthread_mutex_t lock;
    cells_t entries;
    uint64_t drops; /* so that what was being read meanwhile is not kept */
};

int intake_keys_new(intake_keys_t **ret, readers_t *readers, int64_t life_ms, plumb_err_t *err)
{
    intake_keys_t *k = calloc(1, sizeof *k);
    *ret = k;
    if (k == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "intake keys");
    k->readers = readers;
    k->life_ms = life_ms;
    pthread_mutex_init(&k->lock, NULL);
    if (!cells_init(&k->entries, sizeof(entry_t), ENTRIES)) {
        intake_keys_destroy(ret);
        return plumb_err_set(err, PLUMB_E_MEMORY, "intake keys");
    }
    return 0;
}

void intake_keys_destroy(intake_keys_t **keys)
{
    if (keys == NULL || *keys == NULL)
        return;
    cells_fini(&(*keys)->entries);
    pthread_mutex_destroy(&(*keys)->lock);
    free(*keys);
    *keys = NULL;
}

void intake_keys_drop(intake_keys_t *keys)
{
    entry_t *e;
    pthread_mutex_lock(&keys->lock);
    keys->drops++;
    for (size_t i = 0; (e = cells_at(&keys->entries, i)) != NULL; i++)
        e->read_ms = 0;
    pthread_mutex_unlock(&keys->lock);
}

static const plumb_stmt_t select_quiz = {
    .name = "ingest_intake_key",
    .params = 1,
    .sql = "SELECT q.account_id, q.id FROM quizzes q JOIN accounts a ON a.id = q.account_id "
           "WHERE q.intake_key = $1 AND q.active AND q.deleted_at IS NULL AND a.active"};

static int read_key(intake_keys_t *k, const plumb_slice_t *key, entry_t *e, plumb_err_t *err)
{
    PGresult *r = NULL;
    reader_t *reader = NULL;
    int rc = readers_take(k->readers, &reader, err);
    if (rc == 0) {
        plumb_params_clear(reader->params);
        plumb_param_textn(reader->params, key->data, key->length);
        rc = plumb_db_exec(reader->db, &select_quiz, reader->params, STATEMENT_MS, &r, err);
    }
    readers_give(k->readers, reader);
    e->is_known = rc == 0 && PQntuples(r) == 1;
    if (e->is_known) {
        e->account = plumb_get_uuid(r, 0, 0);
        e->quiz = plumb_get_uuid(r, 0, 1);
    }
    PQclear(r);
    return rc;
}

/* The table's entry of that name. */
static entry_t *entry_of(intake_keys_t *k, const uint8_t name[NAME])
{
    bool fresh;
    entry_t *e = cells_find(&k->entries, name, NAME, &fresh);
    if (fresh)
        e->read_ms = 0;
    return e;
}

int intake_keys_find(intake_keys_t *keys, const plumb_slice_t *key, plumb_uuid_t *account,
                     plumb_uuid_t *quiz, plumb_err_t *err)
{
    uint8_t name[NAME];
    int64_t now = plumb_mono_ms();
    int rc = 0;
    if (key->length < KEY_MIN || key->length > KEY_MAX || !plumb_utf8_valid(key->data, key->length))
        return plumb_err_set(err, PLUMB_E_NOT_FOUND, "there is nothing here");
    crypto_generichash(name, sizeof name, (const uint8_t *)key->data, key->length, NULL, 0);
    pthread_mutex_lock(&keys->lock);
    entry_t *e = entry_of(keys, name), found = *e;
    uint64_t drops = keys->drops;
    e->cell.used = now;
    pthread_mutex_unlock(&keys->lock);
    if (found.read_ms == 0 || now - found.read_ms >= keys->life_ms) {
        rc = read_key(keys, key, &found, err);
        found.read_ms = now;
        pthread_mutex_lock(&keys->lock);
        if (rc == 0 && drops == keys->drops) {
            e = entry_of(keys, name);
            found.cell = e->cell;
            *e = found;
        }
        pthread_mutex_unlock(&keys->lock);
    }
    if (rc == 0 && !found.is_known)
        rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, "there is nothing here");
    *account = found.account;
    *quiz = found.quiz;
    return rc;
}
