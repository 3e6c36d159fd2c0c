/* The configuration that `plumb up` gives its daemons. */
#ifndef PLUMB_CLI_SETTINGS_H
#define PLUMB_CLI_SETTINGS_H

#include "args.h"
#include "buf.h"
#include "conf.h"

/* What `up` decides, then --set over it, checked.  `channel_dir` is where the plugins are. */
int settings_make(plumb_conf_t *conf, const char *state_dir, const char *channel_dir,
                  const args_t *args, plumb_err_t *err);

/* One more decision of ours, made once it is known. */
int settings_put(plumb_conf_t *conf, const char *key, const char *value, plumb_err_t *err);

/* The file that gives `conf` back: every key that is not at its default. */
void settings_print(const plumb_conf_t *conf, plumb_buf_t *out);

/* Do the sockets of every daemon fit a unix socket's address?  CONFIG says what to type. */
int settings_check_paths(const plumb_conf_t *conf, const char *state_dir, plumb_err_t *err);

/* The configuration a command works with: --config FILE, else plumb.conf of --state or of the
 * default state directory, else /etc/plumb/plumb.conf; then --set.  `needed`: NOT_FOUND when there
 * is none, else the defaults do. */
int settings_load(plumb_conf_t *conf, const args_t *args, bool needed, plumb_err_t *err);

#endif
