/* A short list of hashes, which nobody can choose: there are never more entries than handler
 * threads. */
#include "running.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct running {
    pthread_mutex_t lock;
    uint8_t secret[crypto_shorthash_siphashx24_KEYBYTES];
    unsigned slots;
    struct mark {
        uint64_t half[2]; /* zeroes: free */
    } * marks;            /* owned */
};

int running_new(running_t **ret, unsigned slots, plumb_err_t *err)
{
    running_t *r = calloc(1, sizeof *r);
    *ret = r;
    if (r != NULL)
        r->marks = calloc(slots, sizeof *r->marks);
    if (r == NULL || r->marks == NULL) {
        free(r);
        *ret = NULL;
        return plumb_err_set(err, PLUMB_E_MEMORY, "keys under way");
    }
    r->slots = slots;
    randombytes_buf(r->secret, sizeof r->secret);
    pthread_mutex_init(&r->lock, NULL);
    return 0;
}

void running_destroy(running_t **running)
{
    if (running == NULL || *running == NULL)
        return;
    pthread_mutex_destroy(&(*running)->lock);
    free((*running)->marks);
    free(*running);
    *running = NULL;
}

/* `key` is at most 255 bytes long. */
static struct mark mark_of(const running_t *r, const plumb_uuid_t *account, const char *route,
                           const char *key)
{
    struct mark mark;
    char text[sizeof account->b + 512];
    char *at = mempcpy(text, account->b, sizeof account->b);
    at = stpncpy(at, route, 200) + 1;
    at = stpncpy(at, key, 255);
    crypto_shorthash_siphashx24((uint8_t *)&mark, (const uint8_t *)text, (size_t)(at - text),
                                r->secret);
    mark.half[0] |= 1; /* never free */
    return mark;
}

int running_enter(running_t *running, const plumb_uuid_t *account, const char *route,
                  const char *key)
{
    struct mark mark = mark_of(running, account, route, key);
    int slot = -1;
    bool taken = false;
    pthread_mutex_lock(&running->lock);
    for (unsigned i = 0; i < running->slots && !taken; i++) {
        taken = memcmp(&running->marks[i], &mark, sizeof mark) == 0;
        if (slot < 0 && running->marks[i].half[0] == 0)
            slot = (int)i;
    }
    assert(taken || slot >= 0);
    if (!taken)
        running->marks[slot] = mark;
    pthread_mutex_unlock(&running->lock);
    return taken ? -1 : slot;
}

void running_leave(running_t *running, int slot)
{
    if (slot < 0)
        return;
    pthread_mutex_lock(&running->lock);
    running->marks[slot] = (struct mark){{0, 0}};
    pthread_mutex_unlock(&running->lock);
}
