/* The supervisor's children must be born by it, so the split comes first and the parent's return
 * last. */
#include "detach.h"

#include "args.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

int detach_fork(detach_t *detach, plumb_err_t *err)
{
    int ends[2];
    pid_t parent = getpid();
    if (pipe2(ends, O_CLOEXEC) < 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "detach: %s", strerror(errno));
    detach->supervisor = fork();
    if (detach->supervisor < 0) {
        close(ends[0]);
        close(ends[1]);
        return plumb_err_set(err, PLUMB_E_SYSTEM, "detach: %s", strerror(errno));
    }
    bool child = detach->supervisor == 0;
    detach->pipe = ends[child ? 1 : 0];
    close(ends[child ? 0 : 1]);
    if (!child)
        return 0;
    setsid();
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "detach: the waiting process is gone");
    return 0;
}

static int watch_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

int detach_wait(detach_t *detach)
{
    struct pollfd fds[] = {{.fd = watch_signals(), .events = POLLIN},
                           {.fd = detach->pipe, .events = POLLIN}};
    struct signalfd_siginfo info;
    char word;
    int status = 0;
    bool interrupted = false;
    while (fds[1].revents == 0) {
        if (poll(fds, 2, -1) > 0 && fds[0].revents != 0 &&
            read(fds[0].fd, &info, sizeof info) == (ssize_t)sizeof info) {
            interrupted = true;
            kill(detach->supervisor, SIGTERM);
        }
    }
    bool works = read(detach->pipe, &word, 1) == 1;
    close(fds[0].fd);
    close(detach->pipe);
    if (works)
        return STATUS_OK;
    while (waitpid(detach->supervisor, &status, 0) < 0 && errno == EINTR)
        ;
    if (interrupted)
        return STATUS_INTERRUPTED;
    return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : STATUS_FAILED;
}

int detach_go(detach_t *detach, const char *log, plumb_err_t *err)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int own = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int rc = 0;
    if (null < 0 || own < 0)
        rc = plumb_err_set(err, PLUMB_E_SYSTEM, "detach: '%s': %s", log, strerror(errno));
    prctl(PR_SET_PDEATHSIG, 0);
    if (rc == 0 && (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
                    dup2(own, STDERR_FILENO) < 0))
        rc = plumb_err_set(err, PLUMB_E_SYSTEM, "detach: %s", strerror(errno));
    if (rc == 0 && write(detach->pipe, "", 1) != 1)
        rc = plumb_err_set(err, PLUMB_E_UNAVAILABLE, "detach: the waiting process is gone");
    close(detach->pipe);
    detach->pipe = -1;
    if (null >= 0)
        close(null);
    if (own >= 0)
        close(own);
    return rc;
}
