/* Reading the command line by the tables of options and commands. */
#include "args.h"

#include "conf_units.h"

#include <stdlib.h>
#include <string.h>

static const option_row_t options[OPT_COUNT] = {
#define CLI_OPTION(id, name, value, help) [OPT_##id] = {name, value, help},
#include "options.h"
#undef CLI_OPTION
};

const option_row_t *args_option(option_t option)
{
    return option < OPT_COUNT ? &options[option] : NULL;
}

/* Words of the command line that `row`'s name takes: 0 when it is another
 * command. */
static int words_of_name(const command_t *row, int argc, char *const *argv)
{
    const char *space = strchr(row->name, ' ');
    size_t first = space == NULL ? strlen(row->name) : (size_t)(space - row->name);
    if (argc < 2 || strlen(argv[1]) != first || strncmp(row->name, argv[1], first) != 0)
        return 0;
    if (space == NULL)
        return 1;
    return argc > 2 && strcmp(space + 1, argv[2]) == 0 ? 2 : 0;
}

/* Is there a command of two words that begins with `word`? */
static bool begins_group(const command_t *rows, const char *word)
{
    size_t length = strlen(word);
    for (const command_t *row = rows; row->name != NULL; row++)
        if (strncmp(row->name, word, length) == 0 && row->name[length] == ' ')
            return true;
    return false;
}

static int find_command(const command_t *rows, const command_t **command, int *used, int argc,
                        char *const *argv, plumb_err_t *err)
{
    *command = NULL;
    *used = 0;
    for (const command_t *row = rows; row->name != NULL; row++) {
        int words = words_of_name(row, argc, argv);
        if (words > *used) {
            *used = words;
            *command = row;
        }
    }
    if (*command != NULL)
        return 0;
    if (argc < 2)
        return plumb_err_set(err, PLUMB_E_USAGE, "no command; type 'plumb help'");
    if (!begins_group(rows, argv[1]))
        return plumb_err_set(err, PLUMB_E_USAGE, "unknown command '%s'; type 'plumb help'",
                             argv[1]);
    if (argc < 3)
        return plumb_err_set(err, PLUMB_E_USAGE, "'%s' what? type 'plumb help %s'", argv[1],
                             argv[1]);
    return plumb_err_set(err, PLUMB_E_USAGE, "unknown command '%s %s'; type 'plumb help %s'",
                         argv[1], argv[2], argv[1]);
}

static bool names_option(const char *text, size_t length, option_t option)
{
    return strlen(options[option].name) == length &&
           memcmp(options[option].name, text, length) == 0;
}

/* Read one "--name", "--name=value" or "--name value" at *at, and move past it.
 */
static int read_option(args_t *args, const command_t *command, int *at, int argc, char *const *argv,
                       plumb_err_t *err)
{
    const char *text = argv[*at] + 2;
    size_t length = strcspn(text, "=");
    unsigned option = 0;
    while (option < OPT_COUNT && !names_option(text, length, option))
        option++;
    uint32_t allowed = command->options | 1u << OPT_HELP;
    if (option == OPT_COUNT || (allowed & 1u << option) == 0)
        return plumb_err_set(err, PLUMB_E_USAGE, "unknown option '--%.*s'", (int)length, text);
    bool takes = options[option].value[0] != '\0';
    const char *value = text[length] == '=' ? text + length + 1 : NULL;
    if (!takes && value != NULL)
        return plumb_err_set(err, PLUMB_E_USAGE, "option '--%s' takes no value",
                             options[option].name);
    if (takes && value == NULL && ++*at < argc)
        value = argv[*at];
    if (takes && value == NULL)
        return plumb_err_set(err, PLUMB_E_USAGE, "option '--%s' wants %s", options[option].name,
                             options[option].value);
    if (args->value[option] != NULL && option != OPT_SET)
        return plumb_err_set(err, PLUMB_E_USAGE, "option '--%s' was given twice",
                             options[option].name);
    args->value[option] = takes ? value : "";
    if (option == OPT_SET)
        args->sets[args->set_count++] = value;
    return 0;
}

static int read_word(args_t *args, const char *word, plumb_err_t *err)
{
    if (args->word_count == ARGS_WORDS_MAX)
        return plumb_err_set(err, PLUMB_E_USAGE, "unexpected argument '%s'", word);
    args->word[args->word_count++] = word;
    return 0;
}

/* Compare with "QUEUE", "ID…", "[COMMAND [WORD]]": each word in capitals is
 * one, those behind a bracket may be left out, the last may be repeated. */
static int check_words(const args_t *args, const command_t *command, plumb_err_t *err)
{
    size_t needed = 0, most = 0;
    bool optional = false, inside = false;
    for (const char *c = command->arguments; *c != '\0'; c++) {
        bool capital = *c >= 'A' && *c <= 'Z';
        optional = optional || *c == '[';
        if (capital && !inside) {
            most++;
            needed += optional ? 0 : 1;
        }
        inside = capital;
    }
    if (strstr(command->arguments, "…") != NULL)
        most = ARGS_WORDS_MAX;
    if (args->word_count < needed)
        return plumb_err_set(err, PLUMB_E_USAGE, "wants %s", command->arguments);
    if (args->word_count > most)
        return plumb_err_set(err, PLUMB_E_USAGE, "unexpected argument '%s'", args->word[most]);
    return 0;
}

int args_parse(args_t *args, const command_t *rows, const command_t **command, int argc,
               char *const *argv, plumb_err_t *err)
{
    int used;
    bool only_words = false;
    *args = (args_t){0};
    args->sets = calloc((size_t)argc + 1, sizeof *args->sets);
    if (args->sets == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "read command line");
    int rc = find_command(rows, command, &used, argc, argv, err);
    for (int at = used + 1; rc == 0 && at < argc; at++) {
        if (!only_words && strcmp(argv[at], "--") == 0)
            only_words = true;
        else if (!only_words && strncmp(argv[at], "--", 2) == 0)
            rc = read_option(args, *command, &at, argc, argv, err);
        else if (!only_words && strcmp(argv[at], "-h") == 0)
            args->value[OPT_HELP] = "";
        else if (!only_words && argv[at][0] == '-' && argv[at][1] != '\0')
            rc = plumb_err_set(err, PLUMB_E_USAGE, "unknown option '%s'", argv[at]);
        else
            rc = read_word(args, argv[at], err);
    }
    if (rc == 0 && !args_has(args, OPT_HELP))
        rc = check_words(args, *command, err);
    return rc;
}

void args_fini(args_t *args)
{
    free(args->sets);
    args->sets = NULL;
}

int args_port(const args_t *args, option_t option, int initial, int *port, plumb_err_t *err)
{
    *port = initial;
    if (!args_has(args, option))
        return 0;
    int64_t value;
    const char *text = args->value[option];
    if (!plumb_int_parse(&value, text, strlen(text)) || value < 0 || value > 65535)
        return plumb_err_set(err, PLUMB_E_USAGE, "--%s: '%s', want 0 to 65535",
                             options[option].name, text);
    *port = (int)value;
    return 0;
}
