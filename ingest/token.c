/* The cache of tokens. A guess costs the same whether the id exists or not: one keyed hash, one
 * comparison in constant time. */
#include "token.h"

#include "cells.h"
#include "clock.h"
#include "log.h"
#include "store.h"
#include "token_uses.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ENTRIES 4096
#define SECRET_MAX 128
#define LIFE_MAX_MS 5000

typedef struct entry {
    cell_t cell;
    token_row_t row;
    int64_t loaded_ms; /* 0: not yet */
    bool loading;      /* by a thread; the others use the old row as long as they may */
} entry_t;

struct tokens {
    const plumb_keyring_t *keyring;
    readers_t *readers;
    int64_t life_ms;
    pthread_mutex_t lock;
    cells_t entries;
    token_uses_t *uses;
    uint64_t drops; /* times that anything was dropped: what was read before is not kept after */
};

int tokens_new(tokens_t **ret, const plumb_keyring_t *keyring, readers_t *readers, int64_t life_ms,
               int64_t used_every_ms, plumb_err_t *err)
{
    tokens_t *t = calloc(1, sizeof *t);
    *ret = t;
    if (t == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "token cache");
    t->keyring = keyring;
    t->readers = readers;
    t->life_ms = life_ms < LIFE_MAX_MS ? life_ms : LIFE_MAX_MS;
    pthread_mutex_init(&t->lock, NULL);
    if (!cells_init(&t->entries, sizeof(entry_t), ENTRIES)) {
        tokens_destroy(ret);
        return plumb_err_set(err, PLUMB_E_MEMORY, "token cache");
    }
    int rc = token_uses_new(&t->uses, readers, used_every_ms, err);
    if (rc < 0)
        tokens_destroy(ret);
    return rc;
}

void tokens_destroy(tokens_t **tokens)
{
    if (tokens == NULL || *tokens == NULL)
        return;
    entry_t *e;
    for (size_t i = 0; (e = cells_at(&(*tokens)->entries, i)) != NULL; i++)
        ip_filter_release(&e->row.filter);
    token_uses_destroy(&(*tokens)->uses);
    cells_fini(&(*tokens)->entries);
    pthread_mutex_destroy(&(*tokens)->lock);
    free(*tokens);
    *tokens = NULL;
}

/* ---- rows ---- */

static entry_t *entry_of(tokens_t *t, const char *id)
{
    bool fresh;
    entry_t *e = cells_find(&t->entries, id, TOKEN_ID, &fresh);
    if (fresh) {
        cell_t cell = e->cell;
        ip_filter_release(&e->row.filter);
        *e = (entry_t){.cell = cell};
    }
    return e;
}

/* A row of the cache's as one of the caller's. */
static token_row_t copy_of(const token_row_t *row)
{
    token_row_t copy = *row;
    ip_filter_use(copy.filter);
    return copy;
}

/* What the cache says.  True: `row` may be used; `*load`: this thread is to read it anew, and hands
 * `*drops` to keep. */
static bool look(tokens_t *t, const char *id, token_row_t *row, bool *load, uint64_t *drops)
{
    int64_t now = plumb_mono_ms();
    pthread_mutex_lock(&t->lock);
    entry_t *e = entry_of(t, id);
    int64_t age = e->loaded_ms == 0 ? INT64_MAX : now - e->loaded_ms;
    bool usable = age < t->life_ms || (e->loading && age < LIFE_MAX_MS);
    *load = age >= t->life_ms && !(e->loading && usable);
    if (*load)
        e->loading = true;
    e->cell.used = now;
    *row = copy_of(&e->row);
    *drops = t->drops;
    pthread_mutex_unlock(&t->lock);
    return usable;
}

static void keep(tokens_t *t, const char *id, const token_row_t *row, uint64_t drops)
{
    pthread_mutex_lock(&t->lock);
    entry_t *e = entry_of(t, id);
    e->loading = false;
    if (row != NULL && drops == t->drops) {
        ip_filter_release(&e->row.filter);
        e->row = copy_of(row);
        e->loaded_ms = e->cell.used = plumb_mono_ms();
    }
    pthread_mutex_unlock(&t->lock);
}

static int load(tokens_t *t, const char *id, token_row_t *row, uint64_t drops, plumb_err_t *err)
{
    reader_t *reader = NULL;
    int rc = readers_take(t->readers, &reader, err);
    if (rc == 0) {
        ip_filter_release(&row->filter);
        rc = store_token(reader, id, row, err);
    }
    readers_give(t->readers, reader);
    keep(t, id, rc == 0 ? row : NULL, drops);
    return rc;
}

static int row_of(tokens_t *t, const char *id, bool known_only, token_row_t *row, plumb_err_t *err)
{
    bool wants = false;
    uint64_t drops;
    if (known_only) {
        pthread_mutex_lock(&t->lock);
        const entry_t *e = entry_of(t, id);
        if (e->loaded_ms != 0 && plumb_mono_ms() - e->loaded_ms < LIFE_MAX_MS)
            *row = copy_of(&e->row);
        pthread_mutex_unlock(&t->lock);
        return 0;
    }
    look(t, id, row, &wants, &drops);
    return wants ? load(t, id, row, drops, err) : 0;
}

void tokens_drop(tokens_t *tokens, const plumb_uuid_t *account)
{
    entry_t *e;
    pthread_mutex_lock(&tokens->lock);
    tokens->drops++;
    for (size_t i = 0; (e = cells_at(&tokens->entries, i)) != NULL; i++)
        if (account == NULL || plumb_uuid_is_nil(&e->row.identity.account) ||
            plumb_uuid_compare(&e->row.identity.account, account) == 0)
            e->loaded_ms = 0;
    pthread_mutex_unlock(&tokens->lock);
}

/* ---- checking ---- */

/* "Bearer <id>.<secret>": where the two parts are. */
static bool split(const char *authorization, char id[TOKEN_ID + 1], const char **secret,
                  size_t *length)
{
    static const char scheme[] = "Bearer ";
    if (strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return false;
    const char *at = authorization + sizeof scheme - 1;
    at += strspn(at, " ");
    if (strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789") != TOKEN_ID || at[TOKEN_ID] != '.')
        return false;
    memcpy(id, at, TOKEN_ID);
    id[TOKEN_ID] = '\0';
    *secret = at + TOKEN_ID + 1;
    *length = strlen(*secret);
    return *length > 0 && *length <= SECRET_MAX;
}

static int refuse(plumb_err_t *err, const char *why)
{
    return plumb_err_set(err, PLUMB_E_UNAUTHENTICATED, "%s", why);
}

/* Is `secret` the row's, and may it be used from there? */
static int judge(const tokens_t *t, const char *id, const token_row_t *row, const char *secret,
                 size_t length, const struct sockaddr *from, plumb_err_t *err)
{
    uint8_t hash[PLUMB_TOKEN_HASH];
    int rc = plumb_keyring_token_hash(t->keyring, row->key_id, secret, length, hash, NULL, err);
    if (rc < 0) /* the master key that hashed it is not here any more */
        return plumb_err_add(err, "token %s", id);
    bool same = sodium_memcmp(hash, row->hash, sizeof hash) == 0;
    if (!same || !row->is_good)
        return refuse(err, "the token is not valid");
    if (!ip_filter_passes(row->filter, from))
        return plumb_err_set(err, PLUMB_E_FORBIDDEN, "the token may not be used from this address");
    return 0;
}

int tokens_check(tokens_t *tokens, const char *authorization, const struct sockaddr *from,
                 bool known_only, identity_t *identity, bool *presented, plumb_err_t *err)
{
    char id[TOKEN_ID + 1];
    const char *secret;
    size_t length;
    token_row_t row = {.is_good = false};
    *presented = authorization != NULL;
    if (authorization == NULL)
        return refuse(err, "a token is needed: Authorization: Bearer <token>");
    if (!split(authorization, id, &secret, &length))
        return refuse(err, "the token is not valid");
    int rc = row_of(tokens, id, known_only, &row, err);
    if (rc == 0)
        rc = judge(tokens, id, &row, secret, length, from, err);
    ip_filter_release(&row.filter);
    if (rc < 0)
        return rc;
    token_uses_note(tokens->uses, id, plumb_mono_ms());
    *identity = row.identity;
    return 0;
}

void tokens_write_used(void *self)
{
    tokens_t *t = self;
    plumb_err_t err = {0};
    if (token_uses_write(t->uses, &err) < 0)
        plumb_log_event(LOG_WARNING, "token_use_not_written", "why=\"%s\"", err.text);
}
