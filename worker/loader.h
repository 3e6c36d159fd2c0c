/* One plugin file brought into the process, or refused with what was found and what was wanted.
 *
 * The file is opened without following a link, checked, copied into anonymous memory and loaded
 * from there: later writes into the file cannot reach the mapped code, and since the dynamic loader
 * tells objects apart by name and inode, only a copy of its own makes a replaced file a new object.
 */
#ifndef PLUMB_WORKER_LOADER_H
#define PLUMB_WORKER_LOADER_H

#include "err.h"

#include "plumb/channel.h"

#include <stdbool.h>

#define LOADER_FILE_MAX (16 << 20)

typedef struct loaded {
    void *handle;
    int memory;            /* descriptor of the copy; its number is the object's name */
    plumb_channel_t table; /* a copy: members that an older plugin lacks are zero */
} loaded_t;

/* Open the channel directory.  Outside development it and everything above it must be root's and
 * writable by nobody else, and no component a link. */
int loader_open_dir(int *fd, const char *path, bool development, plumb_err_t *err);

/* Load `name` ("webhooks.so") from `dir`.  CHANNEL: refused. */
int loader_load(loaded_t *out, int dir, const char *name, bool development, plumb_err_t *err);
void loader_unload(loaded_t *loaded);

#endif
