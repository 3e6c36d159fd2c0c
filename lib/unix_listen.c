/* Unix sockets that listen.  A socket's file outlives its process, and bind refuses it then; to
 * remove it unseen would take the place of a process that lives. */
#include "unix_listen.h"

#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define STEP_MS 10
#define BACKLOG 128

static int make_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* 0: a process listens, or errno. */
static int knock(const struct sockaddr_un *address)
{
    int fd = make_socket();
    if (fd < 0)
        return errno;
    int error = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ? 0 : errno;
    close(fd);
    return error == EAGAIN ? 0 : error; /* its backlog is full */
}

/* Remove what a dead process left. */
static int make_way(const struct sockaddr_un *address, plumb_err_t *err)
{
    const char *path = address->sun_path;
    struct stat is;
    if (lstat(path, &is) < 0)
        return errno == ENOENT
                   ? 0
                   : plumb_err_set(err, PLUMB_E_SYSTEM, "look at '%s': %s", path, strerror(errno));
    if (!S_ISSOCK(is.st_mode))
        return plumb_err_set(err, PLUMB_E_SYSTEM, "'%s' is there and is no socket", path);
    int error = knock(address);
    if (error == 0)
        return plumb_err_set(err, PLUMB_E_UNAVAILABLE, "another process listens on '%s'", path);
    if (error == ENOENT || (error == ECONNREFUSED && (unlink(path) == 0 || errno == ENOENT)))
        return 0;
    return plumb_err_set(err, PLUMB_E_SYSTEM, "take '%s': %s", path, strerror(error));
}

static int listen_at(const struct sockaddr_un *address, plumb_err_t *err)
{
    int fd = make_socket();
    if (fd >= 0 && bind(fd, (const struct sockaddr *)address, sizeof *address) == 0 &&
        chmod(address->sun_path, 0660) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    plumb_err_set(err, PLUMB_E_SYSTEM, "listen at '%s': %s", address->sun_path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -PLUMB_E_SYSTEM;
}

int plumb_unix_listen(const char *path, int64_t wait_ms, plumb_err_t *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    int64_t until = plumb_mono_ms() + wait_ms;
    if (length >= sizeof address.sun_path)
        return plumb_err_set(err, PLUMB_E_CONFIG, "'%s' has %zu bytes, want at most %zu", path,
                             length, sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, length + 1);
    int rc = make_way(&address, err);
    while (rc == -PLUMB_E_UNAVAILABLE && plumb_mono_ms() < until) {
        poll(NULL, 0, STEP_MS);
        rc = make_way(&address, err);
    }
    return rc < 0 ? rc : listen_at(&address, err);
}
