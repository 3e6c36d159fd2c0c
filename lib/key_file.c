/* Master keys as files: 64 hex digits in master-<id>.key, for their owner's eyes only. */
#include "key_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX ((size_t)2 * PLUMB_KEY_BYTES)

/* The id in a name like master-7.key; 0: another file. */
static uint32_t id_of_name(const char *name)
{
    unsigned id = 0;
    char again[32];
    if (sscanf(name, "master-%9u.key", &id) != 1)
        return 0;
    snprintf(again, sizeof again, "master-%u.key", id);
    return strcmp(name, again) == 0 ? id : 0;
}

/* Put `id` into its place among `count` ascending ones. */
static void insert_id(uint32_t *ids, unsigned count, uint32_t id)
{
    for (; count > 0 && ids[count - 1] > id; count--)
        ids[count] = ids[count - 1];
    ids[count] = id;
}

int plumb_key_files(const char *dir, uint32_t ids[PLUMB_KEYS_MAX], unsigned *count,
                    plumb_err_t *err)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return plumb_err_set(err, PLUMB_E_KEY, "keys in '%s': %s", dir, strerror(errno));
    *count = 0;
    int rc = 0;
    for (const struct dirent *entry; rc == 0 && (entry = readdir(d)) != NULL;) {
        uint32_t id = id_of_name(entry->d_name);
        if (id != 0 && *count == PLUMB_KEYS_MAX)
            rc = plumb_err_set(err, PLUMB_E_KEY, "more than %d keys in '%s'", PLUMB_KEYS_MAX, dir);
        else if (id != 0)
            insert_id(ids, (*count)++, id);
    }
    closedir(d);
    return rc;
}

/* Readable by the group is allowed: systemd hands credentials over with an access list, whose mask
 * shows there. */
static int check_file(int fd, const char *path, plumb_err_t *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return plumb_err_set(err, PLUMB_E_KEY, "'%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return plumb_err_set(err, PLUMB_E_KEY, "'%s' is no regular file", path);
    if (st.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO))
        return plumb_err_set(err, PLUMB_E_KEY, "'%s' has mode %04o, want 0600", path,
                             (unsigned)st.st_mode & 07777);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return plumb_err_set(err, PLUMB_E_KEY, "'%s' belongs to user %u, want %u or root", path,
                             (unsigned)st.st_uid, (unsigned)geteuid());
    return 0;
}

/* 64 hex digits and at most one newline. */
static bool parse_key(uint8_t bytes[PLUMB_KEY_BYTES], const char *text, size_t length)
{
    if (length == HEX + 1 && text[HEX] == '\n')
        length = HEX;
    size_t parsed = 0;
    return length == HEX &&
           sodium_hex2bin(bytes, PLUMB_KEY_BYTES, text, HEX, NULL, &parsed, NULL) == 0 &&
           parsed == PLUMB_KEY_BYTES;
}

int plumb_key_file_read(plumb_key_t *key, const char *dir, uint32_t id, plumb_err_t *err)
{
    char path[PATH_MAX], text[HEX + 2];
    snprintf(path, sizeof path, "%s/master-%" PRIu32 ".key", dir, id);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return plumb_err_set(err, PLUMB_E_KEY, "'%s': %s", path, strerror(errno));
    int rc = check_file(fd, path, err);
    if (rc == 0) {
        ssize_t length = read(fd, text, sizeof text);
        key->id = id;
        if (length < 0 || !parse_key(key->bytes, text, (size_t)length))
            rc = plumb_err_set(err, PLUMB_E_KEY, "'%s' does not hold 64 hex digits", path);
        sodium_memzero(text, sizeof text);
    }
    close(fd);
    return rc;
}

/* ---- a new key ---- */

/* Write a fresh key to `fd`, for good. */
static int write_key(int fd, plumb_err_t *err)
{
    plumb_key_t key;
    char text[HEX + 1];
    plumb_key_new(&key, 0);
    sodium_bin2hex(text, sizeof text, key.bytes, sizeof key.bytes);
    text[HEX] = '\n';
    ssize_t written = write(fd, text, sizeof text);
    sodium_memzero(&key, sizeof key);
    sodium_memzero(text, sizeof text);
    if (written != sizeof text || fsync(fd) < 0)
        return plumb_err_set(err, PLUMB_E_KEY, "write key: %s", strerror(errno));
    return 0;
}

static int sync_dir(const char *dir, plumb_err_t *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;
    if (fd < 0 || fsync(fd) < 0)
        rc = plumb_err_set(err, PLUMB_E_KEY, "sync '%s': %s", dir, strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Give the file `temporary` the first free name behind the highest id. */
static int name_key(const char *dir, const char *temporary, uint32_t *id, plumb_err_t *err)
{
    uint32_t ids[PLUMB_KEYS_MAX];
    unsigned count = 0;
    int rc = plumb_key_files(dir, ids, &count, err);
    if (rc < 0)
        return rc;
    char path[PATH_MAX];
    int linked;
    *id = count == 0 ? 0 : ids[count - 1];
    do { /* somebody else may be at it */
        snprintf(path, sizeof path, "%s/master-%" PRIu32 ".key", dir, ++*id);
        linked = link(temporary, path);
    } while (linked < 0 && errno == EEXIST);
    if (linked < 0)
        return plumb_err_set(err, PLUMB_E_KEY, "'%s': %s", path, strerror(errno));
    return sync_dir(dir, err);
}

int plumb_keyring_generate(const char *dir, uint32_t *id, plumb_err_t *err)
{
    char temporary[PATH_MAX];
    snprintf(temporary, sizeof temporary, "%s/.master-XXXXXX", dir);
    int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return plumb_err_set(err, PLUMB_E_KEY, "new key in '%s': %s", dir, strerror(errno));
    int rc = write_key(fd, err);
    close(fd);
    if (rc == 0)
        rc = name_key(dir, temporary, id, err);
    unlink(temporary);
    return rc;
}
