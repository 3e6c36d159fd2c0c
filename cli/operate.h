/* What `plumb up` shares with the commands that do one thing. */
#ifndef PLUMB_CLI_OPERATE_H
#define PLUMB_CLI_OPERATE_H

#include "migrate.h"

/* Bring the database behind a connection string up to the files of `sql_dir`. */
int operate_migrate(const char *database, const char *sql_dir, plumb_migrated_t *done,
                    plumb_err_t *err);

/* Make the first master key of `dir` where it has none. */
int operate_ensure_key(const char *dir, plumb_err_t *err);

#endif
