/* Where an address is, from a MaxMind DB file that may be replaced while it is used. */
#ifndef INGEST_GEO_H
#define INGEST_GEO_H

#include "err.h"

#include <stdbool.h>
#include <sys/socket.h>

/* Valid UTF-8, no longer than the lead's attributes of these names; "": not known. */
typedef struct geo_place {
    char city[256], country[256], region[256], timezone[65]; /* country: ISO code */
} geo_place_t;

typedef struct geo geo_t;

/* `*ret` stays NULL without a file name.  A file that is not there or is broken is no error: it is
 * logged, and looked for again by geo_refresh.  Names are in `language`, else in English. */
int geo_new(geo_t **ret, const char *file, const char *language, plumb_err_t *err);
void geo_destroy(geo_t **geo);

/* Take the file anew if it is another than before (`self` is a geo_t; one thread calls it).  One
 * that is broken is refused and the one before stays; one that was removed stays, too. */
void geo_refresh(void *self);

/* Look an address (AF_INET, AF_INET6) up, without a lock.  False: nothing is known of it. */
bool geo_find(geo_t *geo, const struct sockaddr *address, geo_place_t *place);

/* Is there a file to look into?  If not, or if the newest was refused, `err` says why. */
bool geo_is_here(geo_t *geo, plumb_err_t *err);

#endif
