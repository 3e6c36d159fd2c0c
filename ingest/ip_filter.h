/* Which addresses may ask: an allow list and a deny list of CIDRs. */
#ifndef INGEST_IP_FILTER_H
#define INGEST_IP_FILTER_H

#include "cidr.h"

#include <stdbool.h>

/* Never changes once it is made; kept as long as somebody uses it. */
typedef struct ip_filter ip_filter_t;

/* Of two lists, each as plumb_cidr_list reads it and of any length.  `*ret` has one use; it is NULL
 * when both lists are empty.  CONFIG: names the range. */
int ip_filter_new(ip_filter_t **ret, const char *allowed, const char *denied, plumb_err_t *err);

/* One more use, and one less, which sets the pointer to NULL; NULL is fine. */
ip_filter_t *ip_filter_use(ip_filter_t *filter);
void ip_filter_release(ip_filter_t **filter);

/* Not denied, and allowed if anything is.  NULL lets everybody pass. */
bool ip_filter_passes(const ip_filter_t *filter, const struct sockaddr *address);

#endif
