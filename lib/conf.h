/* Configuration: one file for all daemons, every key one row of conf_keys.h.
 *
 * The file holds lines `key = value`; `#` starts a comment at the start of a line; an unknown key,
 * a doubled key or a bad value is an error that names file, line and key.
 * Order of precedence: default, file, --set KEY=VALUE. */
#ifndef PLUMB_CONF_H
#define PLUMB_CONF_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One member per key, named as in conf_keys.h.  Texts are owned by the struct and never NULL. */
typedef struct plumb_conf {
#define PLUMB_CONF_TEXT(member, key, initial, help) char *member;
#define PLUMB_CONF_INT(member, key, initial, min, max, help) int64_t member;
#define PLUMB_CONF_MS(member, key, initial, min, max, help) int64_t member;
#define PLUMB_CONF_SIZE(member, key, initial, min, max, help) int64_t member;
#define PLUMB_CONF_BOOL(member, key, initial, help) bool member;
#include "conf_keys.h"
#undef PLUMB_CONF_TEXT
#undef PLUMB_CONF_INT
#undef PLUMB_CONF_MS
#undef PLUMB_CONF_SIZE
#undef PLUMB_CONF_BOOL
} plumb_conf_t;

/* Fill `conf` with the defaults. */
int plumb_conf_init(plumb_conf_t *conf, plumb_err_t *err);
void plumb_conf_fini(plumb_conf_t *conf);

/* Read a file over what `conf` holds. */
int plumb_conf_load(plumb_conf_t *conf, const char *path, plumb_err_t *err);

/* Apply one "key=value"; `origin` names the place in errors ("--set", "plumb.conf:12"). */
int plumb_conf_set(plumb_conf_t *conf, const char *assignment, const char *origin,
                   plumb_err_t *err);

/* Rules between keys (development-only keys, lists that must parse). */
int plumb_conf_check(const plumb_conf_t *conf, plumb_err_t *err);

/* Write the effective configuration in the file's own form; values equal to their default are
 * commented out, a connection string that holds a password is masked, and commented out as well. */
void plumb_conf_print(const plumb_conf_t *conf, FILE *out, bool with_help);

/* Read a comma-separated list of at most `max` times ("10s,1m") as milliseconds, each above 0.
 * CONFIG: names the entry; `out` and `count` are then undefined. */
#define PLUMB_CONF_SCHEDULE_MAX 32
int plumb_conf_durations(const char *text, int64_t *out, size_t max, size_t *count,
                         plumb_err_t *err);

/* Path "<run_dir>/<name>" in `out`.  CONFIG: longer than a unix socket's address takes (107 bytes)
 * or than `size`.  Endpoints: `value`, or "ipc://<run_dir>/<name>" when it is empty. */
int plumb_conf_run_path(const plumb_conf_t *conf, char *out, size_t size, const char *name,
                        plumb_err_t *err);
int plumb_conf_endpoint(const plumb_conf_t *conf, const char *value, const char *name, char *out,
                        size_t size, plumb_err_t *err);

#endif
