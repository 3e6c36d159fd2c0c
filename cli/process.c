/* Starting a child that cannot outlive us, sees nothing of ours, and may be somebody else. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_NOT_STARTED 127

/* ---- behind the fork ---- */

static _Noreturn void give_up(const char *what, const char *program)
{
    dprintf(STDERR_FILENO, "cannot start %s: %s: %s\n", program, what, strerror(errno));
    _exit(STATUS_NOT_STARTED);
}

static void default_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* fails for a few, which are theirs anyway */
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void arrange_descriptors(const process_plan_t *plan, int log)
{
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
        dup2(log, STDERR_FILENO) < 0)
        give_up("arrange descriptors", plan->argv[0]);
    int keep = STDERR_FILENO;
    if (plan->passed >= 0) {
        if (plan->passed == PROCESS_PASSED_FD ? fcntl(plan->passed, F_SETFD, 0) < 0
                                              : dup2(plan->passed, PROCESS_PASSED_FD) < 0)
            give_up("pass a descriptor", plan->argv[0]);
        for (int fd = STDERR_FILENO + 1; fd < PROCESS_PASSED_FD; fd++)
            close(fd);
        keep = PROCESS_PASSED_FD;
    }
    closefrom(keep + 1);
}

/* What an operator's shell says of locales and databases is not meant for this one. */
static void plain_environment(void)
{
    setenv("LC_ALL", "C", 1);
    unsetenv("PGDATA");
    unsetenv("PGPORT");
    unsetenv("PGOPTIONS");
}

static _Noreturn void become(const process_plan_t *plan, pid_t parent, int log)
{
    setsid(); /* a Ctrl-C is for the supervisor, which stops us in order */
    default_signals();
    arrange_descriptors(plan, log);
    if (plan->plain)
        plain_environment();
    if (chdir("/") < 0)
        give_up("chdir /", plan->argv[0]);
    if (plan->drops &&
        (setgroups(1, &plan->gid) < 0 || setgid(plan->gid) < 0 || setuid(plan->uid) < 0))
        give_up("become another user", plan->argv[0]);
    /* Changing the user clears it, so it comes after; the parent may have died before. */
    if (prctl(PR_SET_PDEATHSIG, plan->death_signal) < 0)
        give_up("tie to the supervisor", plan->argv[0]);
    if (getppid() != parent)
        _exit(STATUS_NOT_STARTED);
    execv(plan->argv[0], (char *const *)plan->argv);
    give_up("execute", plan->argv[0]);
}

/* ---- before it ---- */

int process_start(const process_plan_t *plan, pid_t *pid, plumb_err_t *err)
{
    int log = plan->output > 0 ? fcntl(plan->output, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                               : open(plan->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "open '%s': %s", plan->log, strerror(errno));
    pid_t parent = getpid();
    *pid = fork();
    if (*pid == 0)
        become(plan, parent, log);
    int rc = 0;
    if (*pid < 0)
        rc = plumb_err_set(err, PLUMB_E_SYSTEM, "start %s: %s", plan->name, strerror(errno));
    close(log);
    return rc;
}

char *process_end_text(int status, char *out, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(out, size, "was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(out, size, "ended with status %d", WEXITSTATUS(status));
    return out;
}

int process_run(const process_plan_t *plan, int timeout_ms, plumb_err_t *err)
{
    pid_t pid;
    char text[64];
    int status = 0;
    int rc = process_start(plan, &pid, err);
    if (rc < 0)
        return rc;
    struct pollfd end = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    int ended = end.fd < 0 ? 1 : poll(&end, 1, timeout_ms);
    if (ended == 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (end.fd >= 0)
        close(end.fd);
    if (ended == 0)
        return plumb_err_set(err, PLUMB_E_TIMEOUT, "%s took longer than %d s", plan->name,
                             timeout_ms / 1000);
    if (status != 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "%s %s", plan->name,
                             process_end_text(status, text, sizeof text));
    return 0;
}
