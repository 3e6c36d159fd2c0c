/* The set of loaded channels. */
#include "plugins.h"

#include "log.h"
#include "metrics.h"
#include "plugin_note.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define WATCHED (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_ONLYDIR)

/* What tells one content of a file from another. */
typedef struct identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
} identity_t;

typedef struct file { /* of the directory; remembered, so that a refusal is logged once */
    struct file *next;
    char name[64];
    identity_t identity;
    bool seen; /* in the look that runs now */
} file_t;

typedef struct gone {
    struct gone *next;
    char code[33];
    char *note; /* owned */
} gone_t;

struct plugins {
    char *path, *wanted; /* owned: channel_dir and worker.channels */
    bool development;
    bool complained;         /* of the directory */
    int dir, watch, watched; /* the directory, inotify, what it watches (-1 each: none) */
    plugin_t *first;         /* current ones */
    file_t *files;
    gone_t *gone;
    uint64_t generation;
};

/* ---- one plugin ---- */

plugin_t *plugin_hold(plugin_t *plugin)
{
    plugin->refs++;
    return plugin;
}

void plugin_release(plugin_t *plugin)
{
    if (plugin == NULL || --plugin->refs > 0)
        return;
    loader_unload(&plugin->lib);
    free(plugin->note);
    free(plugin);
}

static plugin_t **find_place(plugins_t *p, const char *code, size_t length)
{
    plugin_t **place = &p->first;
    while (*place != NULL &&
           (strncmp((*place)->code, code, length) != 0 || (*place)->code[length] != '\0'))
        place = &(*place)->next;
    return place;
}

plugin_t *plugins_find(const plugins_t *p, const char *code, size_t length)
{
    return length < sizeof p->first->code ? *find_place((plugins_t *)p, code, length) : NULL;
}

plugin_t *plugins_first(const plugins_t *p)
{
    return p->first;
}

/* ---- those that are gone ---- */

static void forget_gone(plugins_t *p, const char *code)
{
    for (gone_t **place = &p->gone; *place != NULL; place = &(*place)->next) {
        gone_t *found = *place;
        if (strcmp(found->code, code) != 0)
            continue;
        *place = found->next;
        free(found->note);
        free(found);
        return;
    }
}

static void remember_gone(plugins_t *p, const plugin_t *plugin)
{
    gone_t *gone = calloc(1, sizeof *gone);
    if (gone == NULL)
        return; /* the tracker then shows it a little longer */
    memcpy(gone->code, plugin->code, sizeof gone->code);
    gone->note = plugin_note(&plugin->lib.table, false);
    gone->next = p->gone;
    p->gone = gone;
}

const char *plugins_gone_note(const plugins_t *p, size_t index)
{
    const gone_t *gone = p->gone;
    while (gone != NULL && index-- > 0)
        gone = gone->next;
    return gone != NULL ? gone->note : NULL;
}

/* ---- loading ---- */

static plugin_t *make_plugin(plugins_t *p, const loaded_t *lib)
{
    plugin_t *plugin = calloc(1, sizeof *plugin);
    if (plugin == NULL)
        return NULL;
    *plugin = (plugin_t){.lib = *lib, .refs = 1, .generation = ++p->generation};
    snprintf(plugin->code, sizeof plugin->code, "%s", lib->table.code);
    snprintf(plugin->queue, sizeof plugin->queue, "integration-%s", plugin->code);
    plugin->note = plugin_note(&lib->table, true);
    if (plugin->note == NULL) {
        free(plugin);
        return NULL;
    }
    return plugin;
}

static int load_plugin(plugins_t *p, const char *name, plumb_err_t *err)
{
    loaded_t lib;
    int rc = loader_load(&lib, p->dir, name, p->development, err);
    if (rc < 0)
        return rc;
    plugin_t *plugin = make_plugin(p, &lib);
    if (plugin == NULL) {
        loader_unload(&lib);
        return plumb_err_set(err, PLUMB_E_MEMORY, "'%s'", name);
    }
    plugin_t **place = find_place(p, plugin->code, strlen(plugin->code)), *old = *place;
    plugin->next = old != NULL ? old->next : NULL;
    *place = plugin;
    plumb_log_event(LOG_NOTICE, "channel_loaded", "channel=%s version=%s replaced=%s", plugin->code,
                    lib.table.version, old != NULL ? "yes" : "no");
    plumb_metric_add(PLUMB_M_CHANNEL_LOADS, old != NULL ? "replaced" : "loaded", 1);
    plugin_release(old);
    forget_gone(p, plugin->code);
    return 0;
}

static bool drop_plugin(plugins_t *p, const char *name)
{
    plugin_t **place = find_place(p, name, strlen(name) - 3), *old = *place;
    if (old == NULL)
        return false;
    *place = old->next;
    remember_gone(p, old);
    plumb_log_event(LOG_NOTICE, "channel_removed", "channel=%s", old->code);
    plumb_metric_add(PLUMB_M_CHANNEL_LOADS, "removed", 1);
    plugin_release(old);
    return true;
}

/* ---- looking at the directory ---- */

/* "webhooks.so", of a channel that this worker serves. */
static bool is_wanted(const plugins_t *p, const char *name)
{
    size_t length = strlen(name);
    if (name[0] == '.' || length < 4 || length >= sizeof p->files->name ||
        strcmp(name + length - 3, ".so") != 0)
        return false;
    if (strcmp(p->wanted, "all") == 0)
        return true;
    for (const char *at = p->wanted; *at != '\0'; at += strspn(at, ", ")) {
        size_t size = strcspn(at, ", ");
        if (size == length - 3 && strncmp(at, name, size) == 0)
            return true;
        at += size;
    }
    return false;
}

static identity_t identity_of(const struct stat *is)
{
    return (identity_t){is->st_dev, is->st_ino, is->st_size, is->st_ctim};
}

static bool is_same(const identity_t *a, const identity_t *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static file_t *file_of(plugins_t *p, const char *name)
{
    for (file_t *file = p->files; file != NULL; file = file->next)
        if (strcmp(file->name, name) == 0)
            return file;
    file_t *file = calloc(1, sizeof *file);
    if (file != NULL) {
        snprintf(file->name, sizeof file->name, "%s", name);
        file->next = p->files;
        p->files = file;
    }
    return file;
}

/* True when the channels changed. */
static bool look_at(plugins_t *p, const char *name)
{
    struct stat is;
    plumb_err_t err = {0};
    file_t *file = file_of(p, name);
    if (file == NULL || fstatat(p->dir, name, &is, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    identity_t identity = identity_of(&is);
    file->seen = true;
    if (is_same(&file->identity, &identity))
        return false;
    file->identity = identity;
    if (load_plugin(p, name, &err) == 0)
        return true;
    plumb_log_event(LOG_WARNING, "channel_refused", "file=%s reason=\"%s\"", name, err.text);
    plumb_metric_add(PLUMB_M_CHANNEL_LOADS, "refused", 1);
    return false;
}

static bool drop_missing(plugins_t *p)
{
    bool changed = false;
    for (file_t **place = &p->files; *place != NULL;) {
        file_t *file = *place;
        if (file->seen) {
            file->seen = false;
            place = &file->next;
            continue;
        }
        changed = drop_plugin(p, file->name) || changed;
        *place = file->next;
        free(file);
    }
    return changed;
}

/* Make sure that the directory is open and watched. */
static bool find_dir(plugins_t *p)
{
    plumb_err_t err = {0};
    struct stat here, there;
    if (p->dir >= 0 && fstat(p->dir, &here) == 0 && stat(p->path, &there) == 0 &&
        here.st_ino == there.st_ino && here.st_dev == there.st_dev)
        return true;
    if (p->dir >= 0)
        close(p->dir);
    if (p->watched >= 0)
        inotify_rm_watch(p->watch, p->watched);
    p->watched = -1;
    if (loader_open_dir(&p->dir, p->path, p->development, &err) < 0) {
        if (!p->complained)
            plumb_log_event(LOG_WARNING, "channel_refused", "reason=\"%s\"", err.text);
        p->complained = true;
        return false;
    }
    p->complained = false;
    if (p->watch >= 0)
        p->watched = inotify_add_watch(p->watch, p->path, WATCHED);
    return true;
}

bool plugins_look(plugins_t *p)
{
    if (!find_dir(p))
        return false;
    int copy = openat(p->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
    if (entries == NULL) {
        if (copy >= 0)
            close(copy);
        return false;
    }
    bool changed = false;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
        if (is_wanted(p, entry->d_name))
            changed = look_at(p, entry->d_name) || changed;
    closedir(entries);
    return drop_missing(p) || changed;
}

bool plugins_on_change(plugins_t *p)
{
    char events[4096];
    while (read(p->watch, events, sizeof events) > 0) {
        /* what happened is seen by looking: events may have been lost, or doubled */
    }
    return plugins_look(p);
}

int plugins_fd(const plugins_t *p)
{
    return p->watch;
}

int plugins_open(plugins_t **ret, const plumb_conf_t *conf, plumb_err_t *err)
{
    plugins_t *p = *ret = calloc(1, sizeof *p);
    if (p == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "channels");
    p->dir = p->watched = -1;
    p->development = conf->development;
    p->path = strdup(conf->channel_dir);
    p->wanted = strdup(conf->worker_channels);
    p->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (p->path == NULL || p->wanted == NULL) {
        plugins_close(ret);
        return plumb_err_set(err, PLUMB_E_MEMORY, "channels");
    }
    plugins_look(p);
    return 0;
}

void plugins_close(plugins_t **plugins)
{
    plugins_t *p = *plugins;
    if (p == NULL)
        return;
    while (p->first != NULL) {
        plugin_t *plugin = p->first;
        p->first = plugin->next;
        plugin_release(plugin);
    }
    while (p->files != NULL) {
        file_t *file = p->files;
        p->files = file->next;
        free(file);
    }
    while (p->gone != NULL)
        forget_gone(p, p->gone->code);
    if (p->dir >= 0)
        close(p->dir);
    if (p->watch >= 0)
        close(p->watch);
    free(p->path);
    free(p->wanted);
    free(p);
    *plugins = NULL;
}
