/* The words behind `plumb`, taken apart by the table of commands. */
#ifndef PLUMB_CLI_ARGS_H
#define PLUMB_CLI_ARGS_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum option {
#define CLI_OPTION(id, name, value, help) OPT_##id,
#include "options.h"
#undef CLI_OPTION
    OPT_COUNT
} option_t;

/* Exit statuses that are no error; those of errors are in err_codes.h. */
enum { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_UNHEALTHY = 6, STATUS_INTERRUPTED = 130 };

#define ARGS_WORDS_MAX 100 /* positional arguments of one command */

typedef struct args {
    const char *value[OPT_COUNT]; /* NULL: not given; "" for a switch that is */
    const char **sets;            /* owned: the values of --set, in order */
    size_t set_count;
    const char *word[ARGS_WORDS_MAX]; /* positional arguments, NULL when not given */
    size_t word_count;
} args_t;

typedef struct command {
    const char *name;      /* one word, or two: "channels pause" */
    const char *arguments; /* "QUEUE", "ID…" (one or more), "[COMMAND [WORD]]" or "" */
    uint32_t options;      /* bits 1 << OPT_… of those it takes; --help always */
    const char *help;      /* one line */
    const char *more;      /* further lines of `plumb help NAME`, or NULL */
    /* An exit status, or -code with `err` filled in. */
    int (*run)(const args_t *args, plumb_err_t *err);
} command_t;

/* Find the command that argv[1] (and argv[2]) name and read the rest.  `rows` ends with a row
 * without name.  On an error of usage `*command` is the command it happened in, or NULL.  The
 * caller releases `args`, also after an error. */
int args_parse(args_t *args, const command_t *rows, const command_t **command, int argc,
               char *const *argv, plumb_err_t *err);
void args_fini(args_t *args);

static inline bool args_has(const args_t *args, option_t option)
{
    return args->value[option] != NULL;
}

/* A port given as `option`, or `initial`. */
int args_port(const args_t *args, option_t option, int initial, int *port, plumb_err_t *err);

/* The row of an option; NULL beyond OPT_COUNT. */
typedef struct option_row {
    const char *name, *value, *help;
} option_row_t;
const option_row_t *args_option(option_t option);

#endif
