/* Every command of `plumb`: one table, from which dispatch, help and errors of usage come. */
#ifndef PLUMB_CLI_COMMANDS_H
#define PLUMB_CLI_COMMANDS_H

#include "args.h"

/* Do what the command line says; the exit status.  The only place that prints errors. */
int commands_main(int argc, char *const *argv);

/* The table; ends with a row without name. */
extern const command_t commands[];

/* One function a row; see args.h for what they return. */
int run_up(const args_t *args, plumb_err_t *err);
int run_down(const args_t *args, plumb_err_t *err);
int run_status(const args_t *args, plumb_err_t *err);
int run_migrate(const args_t *args, plumb_err_t *err);
int run_config(const args_t *args, plumb_err_t *err);
int run_listen(const args_t *args, plumb_err_t *err);
int run_keys_new(const args_t *args, plumb_err_t *err);
int run_keys_rotate(const args_t *args, plumb_err_t *err);
int run_leads_erase(const args_t *args, plumb_err_t *err);
int run_keys_ls(const args_t *args, plumb_err_t *err);
int run_channels_ls(const args_t *args, plumb_err_t *err);
int run_channels_pause(const args_t *args, plumb_err_t *err);
int run_channels_resume(const args_t *args, plumb_err_t *err);
int run_channels_drain(const args_t *args, plumb_err_t *err);

#endif
