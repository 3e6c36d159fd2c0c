/* The pool: a stack, so that few of them are used again and again. */
#include "workspace.h"

#include "count.h"

#include <pthread.h>
#include <stdlib.h>

#define KEPT 8 /* at rest; more were needed while threads lost the processor in their work */
/* One large lead must not hold its memory for ever. */
#define KEPT_BYTES 16384
#define KEPT_NODES 512

struct workspaces {
    pthread_mutex_t lock;
    workspace_t *first;
    unsigned count; /* in the pool */
};

int workspaces_new(workspaces_t **ret, plumb_err_t *err)
{
    *ret = calloc(1, sizeof **ret);
    if (*ret == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "workspaces");
    pthread_mutex_init(&(*ret)->lock, NULL);
    return 0;
}

enum { BUFFERS = 6 };
static void buffers_of(workspace_t *w, plumb_buf_t *list[BUFFERS])
{
    plumb_buf_t *const all[] = {&w->trace,  &w->plain,   &w->sealed_key,
                                &w->sealed, &w->message, &w->out};
    _Static_assert(PLUMB_COUNT(all) == BUFFERS, "every buffer is listed");
    for (int i = 0; i < BUFFERS; i++)
        list[i] = all[i];
}

static void destroy(workspace_t *w)
{
    plumb_buf_t *list[BUFFERS];
    buffers_of(w, list);
    for (int i = 0; i < BUFFERS; i++)
        plumb_buf_wipe(list[i]);
    plumb_json_fini(&w->json);
    free(w);
}

void workspaces_destroy(workspaces_t **workspaces)
{
    if (workspaces == NULL || *workspaces == NULL)
        return;
    workspaces_t *all = *workspaces;
    for (workspace_t *w = all->first, *next; w != NULL; w = next) {
        next = w->next;
        destroy(w);
    }
    pthread_mutex_destroy(&all->lock);
    free(all);
    *workspaces = NULL;
}

workspace_t *workspaces_take(workspaces_t *workspaces)
{
    pthread_mutex_lock(&workspaces->lock);
    workspace_t *w = workspaces->first;
    if (w != NULL) {
        workspaces->first = w->next;
        workspaces->count--;
    }
    pthread_mutex_unlock(&workspaces->lock);
    return w != NULL ? w : calloc(1, sizeof *w);
}

void workspace_trim(plumb_buf_t *buf)
{
    if (buf->capacity > KEPT_BYTES)
        plumb_buf_wipe(buf);
    else
        plumb_buf_clear(buf);
}

static void trim(workspace_t *w)
{
    plumb_buf_t *list[BUFFERS];
    buffers_of(w, list);
    for (int i = 0; i < BUFFERS; i++)
        workspace_trim(list[i]);
    if (w->json.capacity > KEPT_NODES)
        plumb_json_fini(&w->json);
}

void workspaces_give(workspaces_t *workspaces, workspace_t *workspace)
{
    if (workspace == NULL)
        return;
    trim(workspace);
    pthread_mutex_lock(&workspaces->lock);
    bool keeps = workspaces->count < KEPT;
    if (keeps) {
        workspace->next = workspaces->first;
        workspaces->first = workspace;
        workspaces->count++;
    }
    pthread_mutex_unlock(&workspaces->lock);
    if (!keeps)
        destroy(workspace);
}
