/* Log lines: to the journal as fields when stderr leads there, else to stderr as text. */
#include "log.h"

#include "clock.h"
#include "log_pairs.h"

#define SD_JOURNAL_SUPPRESS_LOCATION /* the place of a line is its event */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

/* Set once by plumb_log_open before there are threads, only read after it. */
static struct {
    char daemon[32];
    int level;
    bool journal;
} sink = {"plumb", LOG_INFO, false};

static const char *const priority_names[] = {"emerg",   "alert",  "crit", "err",
                                             "warning", "notice", "info", "debug"};

/* systemd names the stream it made of stderr; a redirected stderr is somebody else's wish.  Where
 * fields have no way (a service with a root of its own), sd_journal_sendv would report success. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat is;
    unsigned long long device, inode;
    char rest;
    return stream != NULL && sscanf(stream, "%llu:%llu%c", &device, &inode, &rest) == 2 &&
           fstat(STDERR_FILENO, &is) == 0 && is.st_dev == device && is.st_ino == inode &&
           access("/run/systemd/journal/socket", W_OK) == 0;
}

void plumb_log_open(const char *daemon, int level)
{
    snprintf(sink.daemon, sizeof sink.daemon, "%s", daemon);
    sink.level = level;
    sink.journal = stderr_is_journal();
}

/* ---- the journal ---- */

#define FIELDS_MAX (PLUMB_LOG_PAIRS_MAX + 4)

typedef struct entry {
    struct iovec field[FIELDS_MAX];
    int count;
    size_t used;
    char memory[3 * PLUMB_LOG_TEXT_MAX];
} entry_t;

/* Add "NAME=value" with NAME in capitals; one that finds no room is left out: MESSAGE has it. */
static void add_field(entry_t *entry, const char *prefix, const char *key, const char *value)
{
    char *at = entry->memory + entry->used;
    size_t room = sizeof entry->memory - entry->used;
    int length = snprintf(at, room, "%s%s=%s", prefix, key, value);
    if (length < 0 || (size_t)length >= room || entry->count == FIELDS_MAX)
        return;
    for (char *c = at; *c != '='; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    entry->field[entry->count++] = (struct iovec){at, (size_t)length};
    entry->used += (size_t)length;
}

static bool send_journal(int priority, const char *event, const plumb_log_pairs_t *pairs,
                         const char *message)
{
    entry_t entry;
    entry.count = 0;
    entry.used = 0;
    char number[2] = {(char)('0' + priority), '\0'};
    char identifier[48];
    snprintf(identifier, sizeof identifier, "plumb-%s", sink.daemon);
    add_field(&entry, "", "MESSAGE", message);
    add_field(&entry, "", "PRIORITY", number);
    add_field(&entry, "", "SYSLOG_IDENTIFIER", identifier);
    add_field(&entry, "PLUMB_", "EVENT", event);
    for (size_t i = 0; i < pairs->count; i++)
        add_field(&entry, "PLUMB_", pairs->pair[i].key, pairs->pair[i].value);
    return sd_journal_sendv(entry.field, entry.count) == 0;
}

/* ---- stderr ---- */

/* One write a line: lines of several processes on one pipe do not mix. */
static void write_line(int priority, const char *message)
{
    char line[PLUMB_LOG_TEXT_MAX];
    char now[PLUMB_TIME_TEXT];
    int length = snprintf(line, sizeof line, "%s %s %s %s\n", plumb_time_text(plumb_wall_ms(), now),
                          priority_names[priority], sink.daemon, message);
    size_t size = (size_t)length < sizeof line ? (size_t)length : sizeof line - 1;
    line[size - 1] = '\n';
    ssize_t written = write(STDERR_FILENO, line, size);
    (void)written; /* there is nobody left to tell */
}

void plumb_log_event(int priority, const char *event, const char *pairs, ...)
{
    if (priority > sink.level)
        return;
    plumb_log_pairs_t taken;
    va_list args;
    va_start(args, pairs);
    plumb_log_pairs(&taken, pairs, args);
    va_end(args);
    char message[PLUMB_LOG_TEXT_MAX - 96]; /* with time, level and name it still fits a line */
    size_t length = (size_t)snprintf(message, sizeof message, "event=%.64s%s", event,
                                     taken.count > 0 ? " " : "");
    plumb_log_pairs_text(&taken, message + length, sizeof message - length);
    if (!sink.journal || !send_journal(priority, event, &taken, message))
        write_line(priority, message);
}
