/* Loading a plugin. */
#include "loader.h"

#include "elf_check.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHERS_WRITE (S_IWGRP | S_IWOTH)

/* ---- the directory ---- */

static int check_owner(const struct stat *is, const char *what, bool development, plumb_err_t *err)
{
    if ((is->st_mode & OTHERS_WRITE) != 0)
        return plumb_err_set(err, PLUMB_E_CHANNEL, "%s is writable by others (mode %04o)", what,
                             (unsigned)is->st_mode & 07777);
    if (is->st_uid != 0 && !(development && is->st_uid == geteuid()))
        return plumb_err_set(err, PLUMB_E_CHANNEL, "%s belongs to user %u, want root", what,
                             (unsigned)is->st_uid);
    return 0;
}

/* Step from the directory `*at` to its entry `name`. */
static int enter(int *at, const char *name, plumb_err_t *err)
{
    int next = openat(*at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat is;
    close(*at);
    *at = next;
    if (next < 0 || fstat(next, &is) != 0)
        return plumb_err_set(err, PLUMB_E_CHANNEL, "'%s': %s", name, strerror(errno));
    return check_owner(&is, name, false, err);
}

static int walk(int *at, const char *path, plumb_err_t *err)
{
    char copy[PATH_MAX], *rest = copy;
    int length = snprintf(copy, sizeof copy, "%s", path);
    if (path[0] != '/' || length >= (int)sizeof copy)
        return plumb_err_set(err, PLUMB_E_CHANNEL, "want an absolute path");
    *at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;
    for (char *name; rc == 0 && (name = strsep(&rest, "/")) != NULL;)
        if (name[0] != '\0')
            rc = enter(at, name, err);
    return rc;
}

int loader_open_dir(int *fd, const char *path, bool development, plumb_err_t *err)
{
    int at = -1, rc = 0;
    *fd = -1;
    if (!development)
        rc = walk(&at, path, err);
    if (rc == 0) {
        *fd =
            openat(at < 0 ? AT_FDCWD : at, at < 0 ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (*fd < 0)
            rc = plumb_err_set(err, PLUMB_E_CHANNEL, "%s", strerror(errno));
    }
    if (at >= 0)
        close(at);
    return rc < 0 ? plumb_err_add(err, "channel directory '%s'", path) : 0;
}

/* ---- the file ---- */

static int open_file(int dir, const char *name, bool development, struct stat *is, plumb_err_t *err)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return plumb_err_set(err, PLUMB_E_CHANNEL, "%s",
                             errno == ELOOP ? "is a symbolic link" : strerror(errno));
    int rc = 0;
    if (fstat(fd, is) != 0 || !S_ISREG(is->st_mode))
        rc = plumb_err_set(err, PLUMB_E_CHANNEL, "is no regular file");
    else if (is->st_size > LOADER_FILE_MAX)
        rc = plumb_err_set(err, PLUMB_E_CHANNEL, "has %jd bytes, want at most %d",
                           (intmax_t)is->st_size, LOADER_FILE_MAX);
    else
        rc = check_owner(is, "file", development, err);
    if (rc < 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

/* Copy `size` bytes of `from` into fresh memory; its descriptor. */
static int copy_file(int from, size_t size, const char *name, plumb_err_t *err)
{
    int memory = memfd_create(name, MFD_CLOEXEC);
    size_t copied = 0;
    if (memory < 0 || ftruncate(memory, (off_t)size) != 0)
        goto failed;
    void *to = size > 0 ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0) : NULL;
    if (to == MAP_FAILED)
        goto failed;
    for (ssize_t got = 1; copied < size && got > 0; copied += got > 0 ? (size_t)got : 0)
        got = read(from, (char *)to + copied, size - copied);
    const char *wrong = copied < size ? "is truncated" : elf_check(to, size);
    if (to != NULL)
        munmap(to, size);
    if (wrong == NULL)
        return memory;
    close(memory);
    return plumb_err_set(err, PLUMB_E_CHANNEL, "%s", wrong);
failed:
    if (memory >= 0)
        close(memory);
    return plumb_err_set(err, PLUMB_E_SYSTEM, "copy: %s", strerror(errno));
}

/* ---- the table ---- */

/* Bytes of the symbol at `address`; 0 when that is not known. */
static size_t symbol_size(const void *address)
{
    Dl_info info;
    void *extra = NULL;
    if (dladdr1(address, &info, &extra, RTLD_DL_SYMENT) == 0 || extra == NULL)
        return 0;
    return (size_t)((const ElfW(Sym) *)extra)->st_size;
}

static int check_head(const plumb_channel_t *found, plumb_err_t *err)
{
    size_t size = symbol_size(found);
    if (size < offsetof(plumb_channel_t, code) || found->magic != PLUMB_CHANNEL_MAGIC)
        return plumb_err_set(err, PLUMB_E_CHANNEL,
                             "its plumb_channel is no channel table (use PLUMB_CHANNEL_HEAD)");
    if (found->abi != PLUMB_CHANNEL_ABI)
        return plumb_err_set(err, PLUMB_E_CHANNEL, "has ABI %" PRIu32 ", want %u", found->abi,
                             PLUMB_CHANNEL_ABI);
    if (found->size != sizeof(plumb_channel_t) || size < found->size)
        return plumb_err_set(err, PLUMB_E_CHANNEL, "has a table of %" PRIu32 " bytes, want %zu",
                             found->size, sizeof(plumb_channel_t));
    return 0;
}

static bool is_code(const char *code)
{
    size_t length = strspn(code, "abcdefghijklmnopqrstuvwxyz0123456789");
    return length > 0 && length <= 32 && code[length] == '\0';
}

static int check_members(const plumb_channel_t *table, const char *name, plumb_err_t *err)
{
    if (table->code == NULL || !is_code(table->code))
        return plumb_err_set(err, PLUMB_E_CHANNEL, "has no code of 1 to 32 of a-z and 0-9");
    size_t length = strlen(table->code);
    if (strncmp(name, table->code, length) != 0 || strcmp(name + length, ".so") != 0)
        return plumb_err_set(err, PLUMB_E_CHANNEL, "has code '%s', want its file's name",
                             table->code);
    const char *missing = table->title == NULL     ? "title"
                          : table->version == NULL ? "version"
                          : table->fields == NULL  ? "fields"
                          : table->send == NULL    ? "send"
                                                   : NULL;
    if (missing != NULL)
        return plumb_err_set(err, PLUMB_E_CHANNEL, "has no %s", missing);
    if ((table->flags & PLUMB_CHANNEL_BLOCKS) != 0)
        return plumb_err_set(err, PLUMB_E_CHANNEL,
                             "asks for a thread of its own, which this version does not give");
    return 0;
}

static int check_table(loaded_t *out, const char *name, plumb_err_t *err)
{
    const plumb_channel_t *found = dlsym(out->handle, "plumb_channel");
    if (found == NULL)
        return plumb_err_set(err, PLUMB_E_CHANNEL, "exports no symbol plumb_channel");
    int rc = check_head(found, err);
    if (rc == 0) {
        out->table = *found;
        rc = check_members(&out->table, name, err);
    }
    return rc;
}

static int load_memory(loaded_t *out, const char *name, plumb_err_t *err)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", out->memory);
    out->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (out->handle == NULL) {
        const char *why = dlerror();
        return plumb_err_set(err, PLUMB_E_CHANNEL, "%s", why != NULL ? why : "cannot be loaded");
    }
    return check_table(out, name, err);
}

int loader_load(loaded_t *out, int dir, const char *name, bool development, plumb_err_t *err)
{
    struct stat is;
    *out = (loaded_t){.memory = -1};
    int fd = open_file(dir, name, development, &is, err), rc = fd < 0 ? fd : 0;
    if (rc == 0) {
        out->memory = copy_file(fd, (size_t)is.st_size, name, err);
        rc = out->memory < 0 ? out->memory : 0;
        close(fd);
    }
    if (rc == 0)
        rc = load_memory(out, name, err);
    if (rc < 0) {
        loader_unload(out);
        return plumb_err_add(err, "'%s'", name);
    }
    return 0;
}

void loader_unload(loaded_t *loaded)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", loaded->memory);
    bool stays = false;
    if (loaded->handle != NULL) {
        dlclose(loaded->handle);
        void *still = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
        stays = still != NULL;
        if (stays)
            dlclose(still);
    }
    if (loaded->memory >= 0 && !stays) /* while it is loaded its name must not be given again */
        close(loaded->memory);
    *loaded = (loaded_t){.memory = -1};
}
