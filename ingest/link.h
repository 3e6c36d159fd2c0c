/* The thread that hears the broker's beacon and tells the tracker that this ingest lives. */
#ifndef INGEST_LINK_H
#define INGEST_LINK_H

#include "conf.h"
#include "handover.h"

typedef struct link link_t;
int link_new(link_t **ret, const plumb_conf_t *conf, handover_t *handover, plumb_err_t *err);
void link_destroy(link_t **link);

#endif
