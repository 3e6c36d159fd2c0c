/* The cache of quizzes.
 *
 * A credential that is disabled or suspended within the cache's life may still get a row: the
 * tracker holds or fails it then, so staleness delays a switch and loses nothing. */
#include "catalog.h"

#include "cells.h"
#include "clock.h"
#include "log.h"
#include "store.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 4096

typedef struct entry {
    cell_t cell;
    quiz_t *quiz; /* one use is the table's; NULL: nothing yet */
    bool loading;
} entry_t;

struct catalog {
    const store_t *store;
    readers_t *readers;
    plumb_vault_t *vault;
    int64_t life_ms;
    pthread_mutex_t lock;
    cells_t entries;
    uint64_t drops; /* times that anything was dropped: what was read before is not kept after */
};

int catalog_new(catalog_t **ret, const store_t *store, readers_t *readers, plumb_vault_t *vault,
                int64_t life_ms, plumb_err_t *err)
{
    catalog_t *c = calloc(1, sizeof *c);
    *ret = c;
    if (c == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "catalog");
    c->store = store;
    c->readers = readers;
    c->vault = vault;
    c->life_ms = life_ms;
    pthread_mutex_init(&c->lock, NULL);
    if (!cells_init(&c->entries, sizeof(entry_t), ENTRIES)) {
        catalog_destroy(ret);
        return plumb_err_set(err, PLUMB_E_MEMORY, "catalog");
    }
    return 0;
}

void catalog_destroy(catalog_t **catalog)
{
    if (catalog == NULL || *catalog == NULL)
        return;
    catalog_t *c = *catalog;
    for (size_t i = 0; c->entries.entries != NULL && cells_at(&c->entries, i) != NULL; i++)
        catalog_release(((entry_t *)cells_at(&c->entries, i))->quiz);
    cells_fini(&c->entries);
    pthread_mutex_destroy(&c->lock);
    free(c);
    *catalog = NULL;
}

void catalog_release(quiz_t *quiz)
{
    if (quiz == NULL || atomic_fetch_sub(&quiz->users, 1) > 1)
        return;
    for (size_t i = 0; i < quiz->target_count; i++)
        plumb_credential_fini(&quiz->targets[i].credential);
    free(quiz->targets);
    quiz_settings_fini(&quiz->settings);
    plumb_buf_wipe(&quiz->intake_secret);
    sodium_memzero(&quiz->key, sizeof quiz->key);
    sodium_memzero(&quiz->index_key, sizeof quiz->index_key);
    free(quiz);
}

/* ---- loading ---- */

/* Of one channel the quiz's own link wins over the project's. */
static void mark_overridden(quiz_t *quiz)
{
    for (size_t i = 0; i < quiz->target_count; i++) {
        target_t *t = &quiz->targets[i];
        for (size_t k = 0; !t->of_quiz && !t->overridden && k < quiz->target_count; k++)
            t->overridden = quiz->targets[k].of_quiz &&
                            strcmp(quiz->targets[k].credential.channel, t->credential.channel) == 0;
    }
}

/* One that does not open lets nobody in: what is signed with it is refused. */
static void open_secret(quiz_t *quiz)
{
    plumb_buf_t frame = quiz->intake_secret;
    plumb_seal_place_t place = {"quiz", quiz->account, quiz->id, "intake_secret"};
    plumb_err_t err = {0};
    quiz->intake_secret = (plumb_buf_t){0};
    if (frame.length > 0 && plumb_seal_open(&quiz->intake_secret, &quiz->key, &place, frame.data,
                                            frame.length, &err) < 0) {
        plumb_log_event(LOG_ERR, "intake_secret_unusable", "why=\"%s\"", err.text);
        plumb_buf_clear(&quiz->intake_secret);
    }
    plumb_buf_fini(&frame);
}

static int load_with(catalog_t *c, reader_t *reader, quiz_t *quiz, plumb_err_t *err)
{
    int rc = store_quiz(reader, quiz, err);
    if (rc < 0 || !quiz->is_known)
        return rc;
    rc = plumb_vault_key(c->vault, reader->db, &quiz->account, 0, &quiz->key, err);
    if (rc == 0)
        rc = plumb_vault_index_key(c->vault, reader->db, &quiz->account, &quiz->index_key, err);
    if (rc == 0)
        rc = store_targets(c->store, reader, c->vault, quiz, err);
    if (rc == 0) {
        open_secret(quiz);
        mark_overridden(quiz);
    }
    return rc;
}

static int load(catalog_t *c, const plumb_uuid_t *account, const plumb_uuid_t *id, quiz_t **ret,
                plumb_err_t *err)
{
    quiz_t *quiz = calloc(1, sizeof *quiz);
    reader_t *reader = NULL;
    if (quiz == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "load a quiz");
    atomic_init(&quiz->users, 1);
    quiz->account = *account;
    quiz->id = *id;
    quiz_settings_default(&quiz->settings);
    int rc = readers_take(c->readers, &reader, err);
    if (rc == 0)
        rc = load_with(c, reader, quiz, err);
    readers_give(c->readers, reader);
    quiz->loaded_ms = plumb_mono_ms();
    if (rc == 0)
        *ret = quiz;
    else
        catalog_release(quiz);
    return rc;
}

/* ---- the table ---- */

static entry_t *entry_of(catalog_t *c, const plumb_uuid_t *account, const plumb_uuid_t *id)
{
    bool fresh;
    uint8_t key[32];
    memcpy(key, account->b, 16);
    memcpy(key + 16, id->b, 16);
    entry_t *e = cells_find(&c->entries, key, sizeof key, &fresh);
    if (fresh) {
        catalog_release(e->quiz);
        e->quiz = NULL;
        e->loading = false;
    }
    return e;
}

/* The entry, if it may be used; `*wants`: this thread is to read it anew, and hands `*drops` to
 * keep.  One thread does so from half its life on while the others use it, so that under load it
 * never runs out. */
static quiz_t *look(catalog_t *c, const plumb_uuid_t *account, const plumb_uuid_t *id, bool *wants,
                    uint64_t *drops)
{
    int64_t now = plumb_mono_ms();
    pthread_mutex_lock(&c->lock);
    entry_t *e = entry_of(c, account, id);
    int64_t age = e->quiz == NULL ? INT64_MAX : now - e->quiz->loaded_ms;
    bool usable = age < c->life_ms;
    e->cell.used = now;
    *wants = !usable || (age >= c->life_ms / 2 && !e->loading);
    if (*wants)
        e->loading = true;
    quiz_t *quiz = usable ? e->quiz : NULL;
    *drops = c->drops;
    if (quiz != NULL)
        atomic_fetch_add(&quiz->users, 1);
    pthread_mutex_unlock(&c->lock);
    return quiz;
}

/* Put what was loaded (NULL: nothing) into the table. */
static void keep(catalog_t *c, const plumb_uuid_t *account, const plumb_uuid_t *id, quiz_t *quiz,
                 uint64_t drops)
{
    quiz_t *old = NULL;
    pthread_mutex_lock(&c->lock);
    entry_t *e = entry_of(c, account, id);
    e->loading = false;
    if (quiz != NULL && drops == c->drops) {
        old = e->quiz;
        atomic_fetch_add(&quiz->users, 1);
        e->quiz = quiz;
        e->cell.used = quiz->loaded_ms;
    }
    pthread_mutex_unlock(&c->lock);
    catalog_release(old);
}

void catalog_drop(catalog_t *catalog, const plumb_uuid_t *account)
{
    entry_t *e;
    pthread_mutex_lock(&catalog->lock);
    catalog->drops++;
    for (size_t i = 0; (e = cells_at(&catalog->entries, i)) != NULL; i++) {
        if (e->quiz == NULL ||
            (account != NULL && plumb_uuid_compare(&e->quiz->account, account) != 0))
            continue;
        catalog_release(e->quiz);
        e->quiz = NULL;
    }
    pthread_mutex_unlock(&catalog->lock);
}

int catalog_quiz(catalog_t *catalog, const plumb_uuid_t *account, const plumb_uuid_t *id,
                 quiz_t **quiz, plumb_err_t *err)
{
    bool wants;
    uint64_t drops;
    quiz_t *fresh = NULL;
    *quiz = look(catalog, account, id, &wants, &drops);
    if (!wants)
        return 0;
    int rc = load(catalog, account, id, &fresh, err);
    keep(catalog, account, id, fresh, drops);
    if (rc < 0 && *quiz != NULL) /* its life is not over yet */
        return 0;
    catalog_release(*quiz);
    *quiz = fresh;
    return rc;
}
