/* Address ranges as configuration writes them: ADDRESS[/BITS][:PORT], IPv6 with a port as
 * [ADDRESS/BITS]:PORT or [ADDRESS]/BITS:PORT.  An IPv4 address mapped into IPv6 counts as IPv4. */
#ifndef PLUMB_CIDR_H
#define PLUMB_CIDR_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PLUMB_CIDRS_MAX 64 /* in one list */

typedef struct plumb_cidr {
    int family; /* AF_INET or AF_INET6 */
    uint8_t address[16];
    unsigned bits; /* leading bits that must agree */
    uint16_t port; /* 0: any */
} plumb_cidr_t;

/* Read exactly `length` bytes.  False: not of the form above, `cidr` untouched. */
bool plumb_cidr_parse(plumb_cidr_t *cidr, const char *text, size_t length);

/* Is `address` (AF_INET, AF_INET6) inside, and its port the one named, if one is? */
bool plumb_cidr_match(const plumb_cidr_t *cidr, const struct sockaddr *address);

/* Read a comma-separated list of at most `max` ranges; blanks around them and an empty list are
 * fine.  CONFIG: names the entry. */
int plumb_cidr_list(const char *text, plumb_cidr_t *out, size_t max, size_t *count,
                    plumb_err_t *err);

/* Does any range of the list match? */
bool plumb_cidr_any(const plumb_cidr_t *list, size_t count, const struct sockaddr *address);

#endif
