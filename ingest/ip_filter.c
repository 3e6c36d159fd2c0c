/* Filters by address. */
#include "ip_filter.h"

#include <stdatomic.h>
#include <stdlib.h>

struct ip_filter {
    atomic_uint users;
    size_t allowed, denied;
    plumb_cidr_t ranges[]; /* first the allowed */
};

/* How many ranges a list may hold. */
static size_t most_of(const char *list)
{
    size_t count = 1;
    for (; *list != '\0'; list++)
        count += *list == ',';
    return count;
}

int ip_filter_new(ip_filter_t **ret, const char *allowed, const char *denied, plumb_err_t *err)
{
    *ret = NULL;
    if (allowed[0] == '\0' && denied[0] == '\0')
        return 0;
    size_t most = most_of(allowed), more = most_of(denied);
    ip_filter_t *f = calloc(1, sizeof *f + (most + more) * sizeof f->ranges[0]);
    if (f == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "address filter");
    atomic_init(&f->users, 1);
    int rc = plumb_cidr_list(allowed, f->ranges, most, &f->allowed, err);
    if (rc == 0)
        rc = plumb_cidr_list(denied, f->ranges + f->allowed, more, &f->denied, err);
    if (rc == 0)
        *ret = f;
    else
        free(f);
    return rc;
}

ip_filter_t *ip_filter_use(ip_filter_t *filter)
{
    if (filter != NULL)
        atomic_fetch_add(&filter->users, 1);
    return filter;
}

void ip_filter_release(ip_filter_t **filter)
{
    if (*filter != NULL && atomic_fetch_sub(&(*filter)->users, 1) == 1)
        free(*filter);
    *filter = NULL;
}

bool ip_filter_passes(const ip_filter_t *filter, const struct sockaddr *address)
{
    if (filter == NULL)
        return true;
    if (plumb_cidr_any(filter->ranges + filter->allowed, filter->denied, address))
        return false;
    return filter->allowed == 0 || plumb_cidr_any(filter->ranges, filter->allowed, address);
}
