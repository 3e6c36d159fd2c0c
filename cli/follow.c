/* Following log files by inotify. */
#include "follow.h"

#include "merge.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX 262144 /* of one log at a time: the terminal is the slow one */

struct follow {
    int notify;
    bool colour;
    unsigned count;
    char path[MERGE_SOURCES_MAX][PATH_MAX];
    const char *name[MERGE_SOURCES_MAX]; /* borrowed */
    int fd[MERGE_SOURCES_MAX];           /* the file that is read; -1: none yet */
    off_t at[MERGE_SOURCES_MAX];         /* so far */
    merge_t merge;
    FILE *out;   /* while printing */
    size_t skip; /* lines yet to be passed over, in follow_tail */
};

bool follow_may_colour(FILE *out)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(out)) && (none == NULL || none[0] == '\0') && term != NULL &&
           strcmp(term, "dumb") != 0;
}

/* Go over to the file that bears the name now, and read on at its end or from its beginning. */
static void reopen(follow_t *f, unsigned i, bool at_end)
{
    struct stat st;
    if (f->fd[i] >= 0)
        close(f->fd[i]);
    f->fd[i] = open(f->path[i], O_RDONLY | O_CLOEXEC);
    f->at[i] = at_end && f->fd[i] >= 0 && fstat(f->fd[i], &st) == 0 ? st.st_size : 0;
}

int follow_new(follow_t **ret, const char *log_dir, const char *const names[], unsigned count,
               bool colour, plumb_err_t *err)
{
    follow_t *f = calloc(1, sizeof *f);
    *ret = f;
    if (f == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "follow logs");
    f->colour = colour;
    f->count = count < MERGE_SOURCES_MAX ? count : MERGE_SOURCES_MAX;
    for (unsigned i = 0; i < f->count; i++) {
        f->name[i] = names[i];
        snprintf(f->path[i], PATH_MAX, "%s/%s.log", log_dir, names[i]);
        f->fd[i] = -1;
        reopen(f, i, true);
    }
    f->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (f->notify < 0 || inotify_add_watch(f->notify, log_dir, IN_MODIFY | IN_CREATE) < 0) {
        int rc = plumb_err_set(err, PLUMB_E_SYSTEM, "watch '%s': %s", log_dir, strerror(errno));
        follow_destroy(ret);
        return rc;
    }
    return 0;
}

void follow_destroy(follow_t **follow)
{
    if (follow == NULL || *follow == NULL)
        return;
    if ((*follow)->notify >= 0)
        close((*follow)->notify);
    for (unsigned i = 0; i < (*follow)->count; i++)
        if ((*follow)->fd[i] >= 0)
            close((*follow)->fd[i]);
    merge_fini(&(*follow)->merge);
    free(*follow);
    *follow = NULL;
}

int follow_fd(const follow_t *follow)
{
    return follow->notify;
}

/* ---- reading ---- */

/* Does another file bear the name now?  Then nothing is added to the one that is read. */
static bool is_put_aside(const follow_t *f, unsigned i)
{
    struct stat named, read;
    return stat(f->path[i], &named) == 0 && fstat(f->fd[i], &read) == 0 &&
           (named.st_ino != read.st_ino || named.st_dev != read.st_dev);
}

/* Read the file on to its end, unless READ_MAX comes before it: true. */
static bool read_file(follow_t *f, unsigned i)
{
    char data[16384];
    size_t total = 0;
    ssize_t n;
    struct stat st;
    if (fstat(f->fd[i], &st) == 0 && st.st_size < f->at[i]) /* somebody cut it */
        f->at[i] = 0;
    while (total < READ_MAX && (n = pread(f->fd[i], data, sizeof data, f->at[i])) > 0) {
        merge_feed(&f->merge, i, data, (size_t)n);
        f->at[i] += n;
        total += (size_t)n;
    }
    return total >= READ_MAX;
}

/* Take what one log has grown by.  True: there may be more. */
static bool read_log(follow_t *f, unsigned i)
{
    if (f->fd[i] < 0)
        reopen(f, i, false);
    while (f->fd[i] >= 0) {
        bool last = is_put_aside(f, i); /* asked before its end is seen */
        if (read_file(f, i))
            return true;
        if (!last)
            return false;
        reopen(f, i, false);
    }
    return false;
}

static void drain_notify(const follow_t *f)
{
    char events[4096];
    while (read(f->notify, events, sizeof events) > 0)
        ;
}

/* ---- printing ---- */

static void print_line(void *self, unsigned source, const char *line, size_t length)
{
    static const char *const colours[] = {"\033[36m", "\033[33m", "\033[35m",
                                          "\033[32m", "\033[34m", "\033[90m"};
    follow_t *f = self;
    const char *colour = f->colour ? colours[source % 6] : "";
    fprintf(f->out, "%s%-8s |%s ", colour, f->name[source], f->colour ? "\033[0m" : "");
    for (size_t i = 0; i < length; i++) { /* a log may hold what a terminal should not see */
        unsigned char c = (unsigned char)line[i];
        fputc(c == '\t' || (c >= 0x20 && c != 0x7f) ? c : '?', f->out);
    }
    fputc('\n', f->out);
}

bool follow_print(follow_t *f, FILE *out)
{
    bool more = false;
    f->out = out;
    drain_notify(f);
    for (unsigned i = 0; i < f->count; i++)
        more = read_log(f, i) || more;
    merge_flush(&f->merge, print_line, f);
    fflush(out);
    return more;
}

void follow_skip(follow_t *f)
{
    drain_notify(f);
    for (unsigned i = 0; i < f->count; i++)
        reopen(f, i, true);
}

static void print_late_line(void *self, unsigned source, const char *line, size_t length)
{
    follow_t *f = self;
    if (f->skip > 0)
        f->skip--;
    else
        print_line(f, source, line, length);
}

void follow_tail(follow_t *f, FILE *out, unsigned lines)
{
    f->out = out;
    for (unsigned i = 0; i < f->count; i++) {
        struct stat st;
        if (f->fd[i] >= 0 && fstat(f->fd[i], &st) == 0 && st.st_size - f->at[i] > READ_MAX)
            f->at[i] = st.st_size - READ_MAX;
        read_log(f, i);
        f->skip = f->merge.count > lines ? f->merge.count - lines : 0;
        merge_flush(&f->merge, print_late_line, f);
    }
    fflush(out);
}
