/* Where the other programs, the plugins and the schema are: beside this program in a build tree,
 * installed otherwise. */
#ifndef PLUMB_CLI_PLACES_H
#define PLUMB_CLI_PLACES_H

#include "err.h"

#include <limits.h>

typedef struct places {
    char bin[PATH_MAX / 2];      /* directory of plumb itself and of the daemons */
    char channels[PATH_MAX / 2]; /* plugins */
    char sql[PATH_MAX / 2];      /* numbered files of the schema */
} places_t;

int places_find(places_t *places, plumb_err_t *err);

#endif
