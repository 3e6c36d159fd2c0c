/* A reserved port is a bound socket that never listens.  It is bound without SO_REUSEADDR, so that
 * two reservations of one port exclude each other, and gets it afterwards, so that the daemon,
 * which sets it, may bind and listen beside it. */
#include "port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT_MIN 10000
#define PORT_MAX 65535
#define TRIES 200

static int try_hold(int port, bool reuse)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if ((!reuse || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0) &&
        bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* The kernel's own range for outgoing connections is avoided: a client that knocks at a listener
 * that is just restarting could be given its very port, and then talk to itself. */
static bool is_outgoing(int port)
{
    int low = 32768, high = 60999;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (file != NULL) {
        if (fscanf(file, "%d %d", &low, &high) != 2)
            low = high = 0;
        fclose(file);
    }
    return port >= low && port <= high;
}

static int hold_any(int *port)
{
    for (int i = 0; i < TRIES; i++) {
        int candidate = PORT_MIN + (int)randombytes_uniform(PORT_MAX - PORT_MIN + 1);
        if (is_outgoing(candidate) && i < TRIES / 2)
            continue;
        int fd = try_hold(candidate, false);
        if (fd >= 0) {
            *port = candidate;
            return fd;
        }
    }
    return -1;
}

int port_hold(int wanted, int *port, int *held, plumb_err_t *err)
{
    *port = wanted;
    *held = wanted == 0 ? hold_any(port) : try_hold(wanted, false);
    if (*held < 0 && wanted != 0 && errno == EADDRINUSE) /* or only by connections of the past */
        *held = try_hold(wanted, true);
    if (*held >= 0)
        return 0;
    if (wanted == 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "find a free port: %s", strerror(errno));
    return plumb_err_set(err, errno == EADDRINUSE ? PLUMB_E_CONFLICT : PLUMB_E_SYSTEM,
                         "port %d: %s", wanted, strerror(errno));
}
