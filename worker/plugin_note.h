/* What the worker tells the tracker of a plugin: the text of a CHANNELS message. */
#ifndef PLUMB_WORKER_PLUGIN_NOTE_H
#define PLUMB_WORKER_PLUGIN_NOTE_H

#include "plumb/channel.h"

#include <stdbool.h>

/* JSON text, the caller's to free; NULL when out of memory. */
char *plugin_note(const plumb_channel_t *table, bool present);

/* The name of a field type in that text. */
const char *plugin_field_type(plumb_field_type_t type);

#endif
