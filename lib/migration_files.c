/* Reading the numbered files of sql/. */
#include "migration_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 999

void plumb_migrations_fini(plumb_migrations_t *m)
{
    for (int i = 0; i < m->count; i++) {
        free(m->files[i].name);
        plumb_buf_fini(&m->files[i].sql);
    }
    free(m->files);
    *m = (plumb_migrations_t){0};
}

/* The number in NNN_name.sql; 0: not such a name. */
static int number_of(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    size_t stem = strspn(name, "0123456789abcdefghijklmnopqrstuvwxyz_");
    if (digits != 3 || name[3] != '_' || stem < 5 || strcmp(name + stem, ".sql") != 0)
        return 0;
    return atoi(name); /* three digits */
}

static int is_sql(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 4 && strcmp(entry->d_name + length - 4, ".sql") == 0;
}

static int read_file(plumb_migration_t *file, const char *dir, plumb_err_t *err)
{
    char path[PATH_MAX], block[16384];
    size_t length;
    snprintf(path, sizeof path, "%s/%s", dir, file->name);
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "'%s': %s", path, strerror(errno));
    while ((length = fread(block, 1, sizeof block, in)) > 0)
        plumb_buf_put(&file->sql, block, length);
    bool broken = ferror(in);
    fclose(in);
    if (broken)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "'%s': %s", path, strerror(errno));
    plumb_buf_put(&file->sql, "", 0); /* a text even when the file is empty */
    if (file->sql.failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "read '%s'", path);
    if (strlen(file->sql.data) != file->sql.length)
        return plumb_err_set(err, PLUMB_E_MIGRATION, "'%s' holds a NUL byte", path);
    crypto_generichash(file->checksum, sizeof file->checksum, (const uint8_t *)file->sql.data,
                       file->sql.length, NULL, 0);
    return 0;
}

/* Take the file `name`, which must be the next number. */
static int add_file(plumb_migrations_t *m, const char *dir, const char *name, plumb_err_t *err)
{
    int number = number_of(name);
    if (number == 0)
        return plumb_err_set(err, PLUMB_E_MIGRATION, "file '%s', want NNN_name.sql", name);
    if (number != m->count + 1)
        return plumb_err_set(err, PLUMB_E_MIGRATION, "file '%s', want number %03d", name,
                             m->count + 1);
    plumb_migration_t *file = &m->files[m->count];
    file->name = strdup(name);
    if (file->name == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "read '%s'", name);
    m->count++;
    return read_file(file, dir, err);
}

int plumb_migrations_read(plumb_migrations_t *m, const char *dir, plumb_err_t *err)
{
    *m = (plumb_migrations_t){0};
    struct dirent **entries = NULL;
    int found = scandir(dir, &entries, is_sql, alphasort);
    if (found < 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "migrations in '%s': %s", dir, strerror(errno));
    int rc = 0;
    if (found == 0 || found > FILES_MAX)
        rc = plumb_err_set(err, PLUMB_E_MIGRATION, "%d files NNN_name.sql in '%s'", found, dir);
    m->files = rc == 0 ? calloc((size_t)found, sizeof *m->files) : NULL;
    if (rc == 0 && m->files == NULL)
        rc = plumb_err_set(err, PLUMB_E_MEMORY, "read '%s'", dir);
    for (int i = 0; rc == 0 && i < found; i++)
        rc = add_file(m, dir, entries[i]->d_name, err);
    for (int i = 0; i < found; i++)
        free(entries[i]);
    free(entries);
    return rc;
}
