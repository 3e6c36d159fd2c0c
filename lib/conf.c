/* Reading configuration: defaults, the file, single assignments. */
#include "conf.h"

#include "conf_table.h"
#include "conf_units.h"
#include "count.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

typedef struct text { /* a piece of a line */
    const char *at;
    size_t length;
} text_t;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static text_t trim(const char *at, size_t length)
{
    while (length > 0 && is_blank(at[0])) {
        at++;
        length--;
    }
    while (length > 0 && is_blank(at[length - 1]))
        length--;
    return (text_t){at, length};
}

/* A char **, bool * or int64_t *, as the key's kind says. */
static void *member(plumb_conf_t *conf, const plumb_conf_key_t *key)
{
    return (char *)conf + key->offset;
}

/* ---- one value ---- */

static int set_text(char **member, const plumb_conf_key_t *key, text_t value, plumb_err_t *err)
{
    for (size_t i = 0; i < value.length; i++)
        if ((unsigned char)value.at[i] < 0x20)
            return plumb_err_set(err, PLUMB_E_CONFIG, "%s: holds a control character (%d)",
                                 key->name, value.at[i]);
    char *copy = strndup(value.at, value.length);
    if (copy == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "%s: no memory", key->name);
    free(*member);
    *member = copy;
    return 0;
}

int plumb_conf_init(plumb_conf_t *conf, plumb_err_t *err)
{
    *conf = (plumb_conf_t){0};
    for (size_t i = 0; i < PLUMB_CONF_KEYS; i++) {
        const plumb_conf_key_t *key = &plumb_conf_keys[i];
        text_t initial = {key->text, key->text != NULL ? strlen(key->text) : 0};
        int rc = 0;
        if (key->kind == PLUMB_CONF_IS_TEXT)
            rc = set_text(member(conf, key), key, initial, err);
        else if (key->kind == PLUMB_CONF_IS_BOOL)
            *(bool *)member(conf, key) = key->number != 0;
        else
            *(int64_t *)member(conf, key) = key->number;
        if (rc < 0) {
            plumb_conf_fini(conf);
            return rc;
        }
    }
    return 0;
}

void plumb_conf_fini(plumb_conf_t *conf)
{
    if (conf == NULL)
        return;
    for (size_t i = 0; i < PLUMB_CONF_KEYS; i++)
        if (plumb_conf_keys[i].kind == PLUMB_CONF_IS_TEXT)
            free(*(char **)member(conf, &plumb_conf_keys[i]));
    *conf = (plumb_conf_t){0};
}

static int set_bool(bool *member, const plumb_conf_key_t *key, text_t value, plumb_err_t *err)
{
    static const struct {
        const char *name;
        bool is;
    } names[] = {{"true", true},   {"yes", true}, {"on", true},
                 {"false", false}, {"no", false}, {"off", false}};
    for (size_t i = 0; i < PLUMB_COUNT(names); i++) {
        if (strlen(names[i].name) == value.length &&
            memcmp(names[i].name, value.at, value.length) == 0) {
            *member = names[i].is;
            return 0;
        }
    }
    return plumb_err_set(err, PLUMB_E_CONFIG, "%s: '%.*s' is neither true nor false", key->name,
                         (int)value.length, value.at);
}

/* How numbers of each kind are read and written. */
static const struct {
    bool (*parse)(int64_t *value, const char *text, size_t length);
    const char *form;
} numbers[] = {
    [PLUMB_CONF_IS_INT] = {plumb_int_parse, "a whole number"},
    [PLUMB_CONF_IS_MS] = {plumb_ms_parse, "a time with its unit (ms, s, m, h, d)"},
    [PLUMB_CONF_IS_SIZE] = {plumb_size_parse, "a size in bytes or with K, M, G"},
};

static int set_number(int64_t *member, const plumb_conf_key_t *key, text_t value, plumb_err_t *err)
{
    int64_t number;
    char min[PLUMB_UNIT_TEXT], max[PLUMB_UNIT_TEXT];
    if (!numbers[key->kind].parse(&number, value.at, value.length))
        return plumb_err_set(err, PLUMB_E_CONFIG, "%s: '%.*s', want %s", key->name,
                             (int)value.length, value.at, numbers[key->kind].form);
    if (number < key->min || number > key->max)
        return plumb_err_set(err, PLUMB_E_CONFIG, "%s: %.*s is not within %s and %s", key->name,
                             (int)value.length, value.at,
                             plumb_conf_number_text(key, key->min, min),
                             plumb_conf_number_text(key, key->max, max));
    *member = number;
    return 0;
}

static int unknown_key(text_t name, plumb_err_t *err)
{
    const plumb_conf_key_t *like = plumb_conf_key_like(name.at, name.length);
    if (like == NULL)
        return plumb_err_set(err, PLUMB_E_CONFIG, "unknown key '%.*s'", (int)name.length, name.at);
    return plumb_err_set(err, PLUMB_E_CONFIG, "unknown key '%.*s' (did you mean '%s'?)",
                         (int)name.length, name.at, like->name);
}

typedef struct assignment {
    const plumb_conf_key_t *key;
    text_t value;
} assignment_t;

/* Take "key = value" of `length` bytes apart. */
static int parse(assignment_t *out, const char *line, size_t length, plumb_err_t *err)
{
    const char *equals = memchr(line, '=', length);
    if (equals == NULL)
        return plumb_err_set(err, PLUMB_E_CONFIG, "'%.*s' is not 'key = value'", (int)length, line);
    text_t name = trim(line, (size_t)(equals - line));
    out->value = trim(equals + 1, length - (size_t)(equals + 1 - line));
    out->key = plumb_conf_key_find(name.at, name.length);
    return out->key != NULL ? 0 : unknown_key(name, err);
}

static int apply(plumb_conf_t *conf, const assignment_t *what, plumb_err_t *err)
{
    const plumb_conf_key_t *key = what->key;
    if (key->kind == PLUMB_CONF_IS_TEXT)
        return set_text(member(conf, key), key, what->value, err);
    if (key->kind == PLUMB_CONF_IS_BOOL)
        return set_bool(member(conf, key), key, what->value, err);
    return set_number(member(conf, key), key, what->value, err);
}

int plumb_conf_set(plumb_conf_t *conf, const char *assignment, const char *origin, plumb_err_t *err)
{
    assignment_t what = {0};
    int rc = parse(&what, assignment, strlen(assignment), err);
    if (rc == 0)
        rc = apply(conf, &what, err);
    return rc < 0 ? plumb_err_add(err, "%s", origin) : 0;
}

/* ---- the file ---- */

typedef struct seen { /* the line each key was set in, 0 not yet */
    unsigned line[PLUMB_CONF_KEYS];
} seen_t;

static int read_line(plumb_conf_t *conf, const char *line, size_t length, unsigned number,
                     seen_t *seen, plumb_err_t *err)
{
    text_t text = trim(line, length);
    if (text.length == 0 || line[0] == '#')
        return 0;
    if (memchr(text.at, '\0', text.length) != NULL)
        return plumb_err_set(err, PLUMB_E_CONFIG, "holds a NUL byte");
    assignment_t what = {0};
    int rc = parse(&what, text.at, text.length, err);
    if (rc < 0)
        return rc;
    unsigned *earlier = &seen->line[what.key - plumb_conf_keys];
    if (*earlier > 0)
        return plumb_err_set(err, PLUMB_E_CONFIG, "%s: already set in line %u", what.key->name,
                             *earlier);
    *earlier = number;
    return apply(conf, &what, err);
}

int plumb_conf_load(plumb_conf_t *conf, const char *path, plumb_err_t *err)
{
    int rc = 0;
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    seen_t seen = {{0}};
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return plumb_err_set(err, PLUMB_E_CONFIG, "open '%s': %s", path, strerror(errno));
    for (unsigned number = 1; rc == 0 && (length = getline(&line, &size, file)) >= 0; number++) {
        rc = read_line(conf, line, (size_t)length, number, &seen, err);
        if (rc < 0)
            plumb_err_add(err, "%s:%u", path, number);
    }
    if (rc == 0 && !feof(file)) /* a directory, a failing disk, no memory */
        rc = plumb_err_set(err, PLUMB_E_CONFIG, "read '%s': %s", path, strerror(errno));
    free(line);
    fclose(file);
    return rc;
}

/* ---- what is made of values ---- */

#define SOCKET_PATH_MAX (sizeof((struct sockaddr_un *)0)->sun_path - 1)

int plumb_conf_run_path(const plumb_conf_t *conf, char *out, size_t size, const char *name,
                        plumb_err_t *err)
{
    int length = snprintf(out, size, "%s/%s", conf->run_dir, name);
    size_t max = size <= SOCKET_PATH_MAX ? size - 1 : SOCKET_PATH_MAX;
    if (length < 0 || (size_t)length > max)
        return plumb_err_set(err, PLUMB_E_CONFIG,
                             "run_dir: path '%s/%s' has %d bytes, want at most %zu", conf->run_dir,
                             name, length, max);
    return 0;
}

static int given_endpoint(const char *value, char *out, size_t size, plumb_err_t *err)
{
    static const char ipc[] = "ipc://";
    size_t length = strlen(value);
    size_t max = size - 1;
    if (strncmp(value, ipc, sizeof ipc - 1) == 0 && max > SOCKET_PATH_MAX + sizeof ipc - 1)
        max = SOCKET_PATH_MAX + sizeof ipc - 1;
    if (length > max)
        return plumb_err_set(err, PLUMB_E_CONFIG, "endpoint '%s' has %zu bytes, want at most %zu",
                             value, length, max);
    memcpy(out, value, length + 1);
    return 0;
}

int plumb_conf_endpoint(const plumb_conf_t *conf, const char *value, const char *name, char *out,
                        size_t size, plumb_err_t *err)
{
    char path[SOCKET_PATH_MAX + 1];
    char endpoint[SOCKET_PATH_MAX + sizeof "ipc://"];
    if (value[0] != '\0')
        return given_endpoint(value, out, size, err);
    int rc = plumb_conf_run_path(conf, path, sizeof path, name, err);
    if (rc < 0)
        return rc;
    snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
    return given_endpoint(endpoint, out, size, err);
}
