/* The cache of blocklists. */
#include "blocklist.h"

#include "cells.h"
#include "clock.h"
#include "store_blocklist.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 1024
#define WHOLE_MS 60000 /* read whole again, however unchanged the version: commits overtake */

/* One account's list; never changes, but for the time at which it was last known to be current. */
typedef struct blocklist {
    atomic_uint users;
    plumb_uuid_t account;
    blocked_table_t table;
    blocklist_version_t version;
    int64_t read_ms;
    atomic_llong looked_ms;
} blocklist_t;

typedef struct entry {
    cell_t cell;
    blocklist_t *list; /* one use is the table's; NULL: nothing yet */
    bool loading;
} entry_t;

struct blocklists {
    readers_t *readers;
    int64_t life_ms;
    pthread_mutex_t lock;
    pthread_cond_t loaded;
    cells_t entries;
    uint64_t drops; /* so that what was being read meanwhile is not kept */
};

int blocklists_new(blocklists_t **ret, readers_t *readers, int64_t life_ms, plumb_err_t *err)
{
    blocklists_t *b = calloc(1, sizeof *b);
    *ret = b;
    if (b == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "blocklists");
    b->readers = readers;
    b->life_ms = life_ms;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->loaded, NULL);
    if (!cells_init(&b->entries, sizeof(entry_t), ENTRIES)) {
        blocklists_destroy(ret);
        return plumb_err_set(err, PLUMB_E_MEMORY, "blocklists");
    }
    return 0;
}

static void release(blocklist_t *list)
{
    if (list == NULL || atomic_fetch_sub(&list->users, 1) > 1)
        return;
    blocked_fini(&list->table);
    free(list);
}

void blocklists_drop(blocklists_t *blocklists, const plumb_uuid_t *account)
{
    blocklists_t *b = blocklists;
    entry_t *e;
    pthread_mutex_lock(&b->lock);
    b->drops++;
    for (size_t i = 0; (e = cells_at(&b->entries, i)) != NULL; i++) {
        if (e->list == NULL ||
            (account != NULL && plumb_uuid_compare(&e->list->account, account) != 0))
            continue;
        release(e->list);
        e->list = NULL;
    }
    pthread_mutex_unlock(&b->lock);
}

void blocklists_destroy(blocklists_t **blocklists)
{
    if (blocklists == NULL || *blocklists == NULL)
        return;
    if ((*blocklists)->entries.entries != NULL)
        blocklists_drop(*blocklists, NULL);
    cells_fini(&(*blocklists)->entries);
    pthread_cond_destroy(&(*blocklists)->loaded);
    pthread_mutex_destroy(&(*blocklists)->lock);
    free(*blocklists);
    *blocklists = NULL;
}

/* ---- reading ---- */

static blocklist_t *make(const plumb_uuid_t *account)
{
    blocklist_t *list = calloc(1, sizeof *list);
    if (list != NULL) {
        atomic_init(&list->users, 1);
        list->account = *account;
        list->read_ms = plumb_mono_ms();
        atomic_init(&list->looked_ms, list->read_ms);
    }
    return list;
}

/* `old` (NULL: none) is still what is in the database. */
static bool is_current(reader_t *reader, const blocklist_t *old)
{
    blocklist_version_t now = {0};
    plumb_err_t ignored = {0};
    return old != NULL && plumb_mono_ms() - old->read_ms < WHOLE_MS &&
           store_blocklist_version(reader, &old->account, &now, &ignored) == 0 &&
           now.rows == old->version.rows && now.changed_us == old->version.changed_us;
}

static int load_whole(reader_t *reader, const plumb_uuid_t *account, blocklist_t **ret,
                      plumb_err_t *err)
{
    blocklist_t *list = make(account);
    int rc = list == NULL ? plumb_err_set(err, PLUMB_E_MEMORY, "blocklist")
                          : store_blocklist(reader, account, &list->table, &list->version, err);
    if (rc == 0)
        *ret = list;
    else
        release(list);
    return rc;
}

/* A new list, or `old` itself. */
static int load(blocklists_t *b, const plumb_uuid_t *account, blocklist_t *old, blocklist_t **ret,
                plumb_err_t *err)
{
    reader_t *reader = NULL;
    int rc = readers_take(b->readers, &reader, err);
    if (rc < 0)
        return rc;
    if (is_current(reader, old))
        *ret = old;
    else
        rc = load_whole(reader, account, ret, err);
    readers_give(b->readers, reader);
    return rc;
}

/* ---- the table ---- */

static entry_t *entry_of(blocklists_t *b, const plumb_uuid_t *account)
{
    bool fresh;
    entry_t *e = cells_find(&b->entries, account->b, sizeof account->b, &fresh);
    if (fresh) {
        release(e->list);
        e->list = NULL;
        e->loading = false;
    }
    return e;
}

/* The list with a use of it, as far as there is one; `*loads`: this thread is to read it, and then
 * to call keep.  From half its life on one thread does so while the others use it. */
static blocklist_t *look(blocklists_t *b, const plumb_uuid_t *account, bool *loads, uint64_t *drops)
{
    pthread_mutex_lock(&b->lock);
    for (;;) {
        int64_t now = plumb_mono_ms();
        entry_t *e = entry_of(b, account);
        int64_t age = e->list == NULL ? INT64_MAX : now - atomic_load(&e->list->looked_ms);
        e->cell.used = now;
        *loads = age >= b->life_ms / 2 && !e->loading;
        if (!*loads && age >= b->life_ms) { /* another reads it */
            pthread_cond_wait(&b->loaded, &b->lock);
            continue;
        }
        e->loading = e->loading || *loads;
        *drops = b->drops;
        if (e->list != NULL)
            atomic_fetch_add(&e->list->users, 1);
        blocklist_t *list = e->list;
        pthread_mutex_unlock(&b->lock);
        return list;
    }
}

/* Put what was read (NULL: nothing) into the table, unless it was dropped meanwhile. */
static void keep(blocklists_t *b, const plumb_uuid_t *account, blocklist_t *list, uint64_t drops)
{
    pthread_mutex_lock(&b->lock);
    entry_t *e = entry_of(b, account);
    e->loading = false;
    if (list != NULL)
        atomic_store(&list->looked_ms, plumb_mono_ms());
    if (list != NULL && drops == b->drops && list != e->list) {
        release(e->list);
        atomic_fetch_add(&list->users, 1);
        e->list = list;
    }
    pthread_cond_broadcast(&b->loaded);
    pthread_mutex_unlock(&b->lock);
}

/* Read the list anew; if that fails, `*list` may be used for the rest of its life. */
static int renew(blocklists_t *b, const plumb_uuid_t *account, blocklist_t **list, uint64_t drops,
                 plumb_err_t *err)
{
    blocklist_t *fresh = NULL, *old = *list;
    int rc = load(b, account, old, &fresh, err);
    keep(b, account, fresh, drops);
    if (rc < 0 && old != NULL && plumb_mono_ms() - atomic_load(&old->looked_ms) < b->life_ms)
        return 0;
    if (fresh != old)
        release(old);
    *list = fresh;
    return rc;
}

int blocklists_match(blocklists_t *blocklists, const plumb_uuid_t *account,
                     const blocked_query_t *query, blocked_kind_t *kind, plumb_err_t *err)
{
    bool loads;
    uint64_t drops;
    blocklist_t *list = look(blocklists, account, &loads, &drops);
    int rc = loads ? renew(blocklists, account, &list, drops, err) : 0;
    if (rc == 0)
        *kind = blocked_match(&list->table, query, plumb_mono_ms());
    release(list);
    return rc;
}
