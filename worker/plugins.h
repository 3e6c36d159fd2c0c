/* The channels this worker has: files of the channel directory, loaded, replaced and dropped while
 * calls run.  A call holds the plugin it began with; a replaced one is unloaded when its last call
 * has ended. */
#ifndef PLUMB_WORKER_PLUGINS_H
#define PLUMB_WORKER_PLUGINS_H

#include "conf.h"
#include "err.h"
#include "loader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct plugin {
    struct plugin *next;
    loaded_t lib;
    char code[33];
    char queue[48]; /* "integration-<code>" */
    char *note;     /* text of its CHANNELS message; owned */
    unsigned refs;  /* calls that hold it, and 1 for being current */
    uint64_t
        generation; /* of this load: what was derived from its table is good for this one only */
} plugin_t;

typedef struct plugins plugins_t;

/* A directory that is missing or refused is a warning: it is looked for again. */
int plugins_open(plugins_t **ret, const plumb_conf_t *conf, plumb_err_t *err);
void plugins_close(plugins_t **plugins);

/* Readable when something changed in the directory; -1: there is no watch, and plugins_look must be
 * called often. */
int plugins_fd(const plugins_t *plugins);

/* Look at the directory: load what is new or changed, drop what is gone; refusals and loads are
 * logged.  True when the set of channels or a channel's note changed. */
bool plugins_look(plugins_t *plugins);
/* The same after plugins_fd became readable. */
bool plugins_on_change(plugins_t *plugins);

/* The current plugin of a code; NULL: none. */
plugin_t *plugins_find(const plugins_t *plugins, const char *code, size_t length);
plugin_t *plugins_first(const plugins_t *plugins); /* then ->next */

/* Notes of channels that were here and are no longer; NULL behind the last. */
const char *plugins_gone_note(const plugins_t *plugins, size_t index);

plugin_t *plugin_hold(plugin_t *plugin);
void plugin_release(plugin_t *plugin); /* NULL is fine */

#endif
