/* Uses of tokens: a table of when each was noted, and a list of what is to be written. */
#include "token_uses.h"

#include "buf.h"
#include "cells.h"
#include "store.h"

#include <pthread.h>
#include <stdlib.h>

#define ENTRIES 4096
#define LIST_MAX 65536UL /* ids to be written; while the database is away for long, no more */

typedef struct use {
    cell_t cell; /* `used`: when it was noted */
} use_t;

struct token_uses {
    readers_t *readers;
    int64_t every_ms;
    pthread_mutex_t lock;
    cells_t noted;
    plumb_buf_t list; /* ids, one behind the other; some may be there twice */
};

int token_uses_new(token_uses_t **ret, readers_t *readers, int64_t every_ms, plumb_err_t *err)
{
    token_uses_t *u = calloc(1, sizeof *u);
    *ret = u;
    if (u == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "uses of tokens");
    u->readers = readers;
    u->every_ms = every_ms;
    pthread_mutex_init(&u->lock, NULL);
    if (!cells_init(&u->noted, sizeof(use_t), ENTRIES)) {
        token_uses_destroy(ret);
        return plumb_err_set(err, PLUMB_E_MEMORY, "uses of tokens");
    }
    return 0;
}

void token_uses_destroy(token_uses_t **uses)
{
    if (*uses == NULL)
        return;
    cells_fini(&(*uses)->noted);
    plumb_buf_fini(&(*uses)->list);
    pthread_mutex_destroy(&(*uses)->lock);
    free(*uses);
    *uses = NULL;
}

void token_uses_note(token_uses_t *uses, const char *id, int64_t now_ms)
{
    bool fresh;
    pthread_mutex_lock(&uses->lock);
    use_t *use = cells_find(&uses->noted, id, TOKEN_ID, &fresh);
    if ((fresh || now_ms - use->cell.used >= uses->every_ms) &&
        uses->list.length < LIST_MAX * TOKEN_ID) {
        use->cell.used = now_ms;
        plumb_buf_put(&uses->list, id, TOKEN_ID);
    }
    pthread_mutex_unlock(&uses->lock);
}

static int write_list(token_uses_t *u, const plumb_buf_t *list, plumb_err_t *err)
{
    reader_t *reader = NULL;
    int rc = readers_take(u->readers, &reader, err);
    if (rc == 0)
        rc = store_tokens_used(reader, list->data, list->length / TOKEN_ID, err);
    readers_give(u->readers, reader);
    return rc;
}

int token_uses_write(token_uses_t *uses, plumb_err_t *err)
{
    pthread_mutex_lock(&uses->lock);
    plumb_buf_t list = uses->list;
    uses->list = (plumb_buf_t){.data = NULL};
    pthread_mutex_unlock(&uses->lock);
    int rc = list.length == 0 ? 0 : write_list(uses, &list, err);
    if (rc < 0) {
        pthread_mutex_lock(&uses->lock);
        plumb_buf_put(&uses->list, list.data, list.length);
        pthread_mutex_unlock(&uses->lock);
    }
    plumb_buf_fini(&list);
    return rc;
}
