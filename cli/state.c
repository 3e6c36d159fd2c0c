/* The state directory: where it is, whose it is, and files in it that are replaced whole. */
#include "state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const folders[] = {"keys", "run", "logs"};

/* ---- where ---- */

static const char *home(void)
{
    const char *given = getenv("HOME");
    if (given != NULL && given[0] == '/')
        return given;
    const struct passwd *user = getpwuid(geteuid());
    return user == NULL ? NULL : user->pw_dir;
}

static int default_dir(char *out, size_t size)
{
    const char *xdg = getenv("XDG_STATE_HOME");
    if (xdg != NULL && xdg[0] == '/')
        return snprintf(out, size, "%s/plumb", xdg);
    const char *at = home();
    return at == NULL ? -1 : snprintf(out, size, "%s/.local/state/plumb", at);
}

/* Paths go into configuration files and connection strings, a line each. */
static bool has_control(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++)
        if (*c < 0x20 || *c == 0x7f)
            return true;
    return false;
}

int state_locate(char dir[STATE_DIR_MAX], const char *given, plumb_err_t *err)
{
    char cwd[PATH_MAX];
    int length;
    if (given == NULL)
        length = default_dir(dir, STATE_DIR_MAX);
    else if (given[0] == '/')
        length = snprintf(dir, STATE_DIR_MAX, "%s", given);
    else if (given[0] == '\0' || getcwd(cwd, sizeof cwd) == NULL)
        length = -1;
    else
        length = snprintf(dir, STATE_DIR_MAX, "%s/%s", cwd, given);
    if (length < 0 || length >= STATE_DIR_MAX || has_control(dir))
        return plumb_err_set(err, PLUMB_E_USAGE,
                             "no usable state directory; name one: --state DIR");
    while (length > 1 && dir[length - 1] == '/')
        dir[--length] = '\0';
    return 0;
}

char *state_path(const char *dir, const char *name, char *out)
{
    snprintf(out, PATH_MAX, "%s/%s", dir, name);
    return out;
}

/* ---- making and locking it ---- */

/* mkdir -p; what is made is ours alone. */
static int make_dirs(const char *dir, plumb_err_t *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", dir);
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL)
            *slash = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return plumb_err_set(err, PLUMB_E_SYSTEM, "make directory '%s': %s", path,
                                 strerror(errno));
        if (slash == NULL)
            return 0;
        *slash = '/';
    }
}

/* A record lock, not flock: the kernel names its holder, children do not inherit it. */
static struct flock whole_file(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

static int take_lock(state_t *state, plumb_err_t *err)
{
    char path[PATH_MAX];
    state->lock = open(state_path(state->dir, "up.lock", path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (state->lock < 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "open '%s': %s", path, strerror(errno));
    struct flock lock = whole_file();
    if (fcntl(state->lock, F_SETLK, &lock) == 0)
        return 0;
    if (errno != EAGAIN && errno != EACCES)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "lock '%s': %s", path, strerror(errno));
    lock = whole_file();
    if (fcntl(state->lock, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
        lock.l_pid = 0;
    return plumb_err_set(err, PLUMB_E_CONFLICT,
                         "'%s' is up already (pid %d); see 'plumb status', or stop it: "
                         "plumb down --state '%s'",
                         state->dir, (int)lock.l_pid, state->dir);
}

int state_open(state_t *state, const char *dir, plumb_err_t *err)
{
    char path[PATH_MAX];
    state->lock = -1;
    snprintf(state->dir, sizeof state->dir, "%s", dir);
    int rc = make_dirs(dir, err);
    if (rc == 0)
        rc = take_lock(state, err);
    for (size_t i = 0; rc == 0 && i < sizeof folders / sizeof *folders; i++)
        if (mkdir(state_path(dir, folders[i], path), 0700) < 0 && errno != EEXIST)
            rc = plumb_err_set(err, PLUMB_E_SYSTEM, "make directory '%s': %s", path,
                               strerror(errno));
    if (rc < 0)
        state_close(state);
    return rc;
}

void state_close(state_t *state)
{
    if (state->lock >= 0)
        close(state->lock);
    state->lock = -1;
}

pid_t state_holder(const char *dir)
{
    char path[PATH_MAX];
    int fd = open(state_path(dir, "up.lock", path), O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return 0;
    struct flock lock = whole_file();
    bool held = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return held ? lock.l_pid : 0;
}

/* ---- files ---- */

static int write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0) {
            data += n;
            length -= (size_t)n;
        }
    }
    return fsync(fd);
}

int state_write(const char *path, const void *data, size_t length, plumb_err_t *err)
{
    char beside[PATH_MAX + 8];
    snprintf(beside, sizeof beside, "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write_all(fd, data, length) == 0;
    int why = errno;
    if (fd >= 0 && close(fd) < 0 && good) {
        good = false;
        why = errno;
    }
    if (good && rename(beside, path) < 0) {
        good = false;
        why = errno;
    }
    if (good)
        return 0;
    if (fd >= 0)
        unlink(beside);
    return plumb_err_set(err, PLUMB_E_SYSTEM, "write '%s': %s", path, strerror(why));
}

int state_read(const char *path, size_t max, char **text, size_t *length, plumb_err_t *err)
{
    *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return plumb_err_set(err, errno == ENOENT ? PLUMB_E_NOT_FOUND : PLUMB_E_SYSTEM,
                             "open '%s': %s", path, strerror(errno));
    int rc = 0;
    char *got = malloc(max + 1);
    ssize_t n = 1;
    *length = 0;
    while (got != NULL && n > 0 && *length < max) {
        n = read(fd, got + *length, max - *length);
        *length += n > 0 ? (size_t)n : 0;
    }
    if (got == NULL)
        rc = plumb_err_set(err, PLUMB_E_MEMORY, "read '%s'", path);
    else if (n < 0)
        rc = plumb_err_set(err, PLUMB_E_SYSTEM, "read '%s': %s", path, strerror(errno));
    else if (n > 0)
        rc = plumb_err_set(err, PLUMB_E_SYSTEM, "'%s' is larger than %zu bytes", path, max);
    close(fd);
    if (rc < 0) {
        free(got);
        return rc;
    }
    got[*length] = '\0';
    *text = got;
    return 0;
}

static bool is_leftover(int dir, const char *name)
{
    struct stat st;
    const char *dot = strrchr(name, '.');
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    return S_ISSOCK(st.st_mode) ||
           (S_ISREG(st.st_mode) && dot != NULL && strcmp(dot, ".port") == 0);
}

void state_clean_run(const char *run_dir)
{
    DIR *dir = opendir(run_dir);
    if (dir == NULL)
        return;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        if (is_leftover(dirfd(dir), entry->d_name))
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
}
