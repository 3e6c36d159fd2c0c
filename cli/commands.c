/* The table of commands, and what is derived from it. */
#include "commands.h"

#include <stdio.h>
#include <string.h>

static int run_help(const args_t *args, plumb_err_t *err);
static int run_version(const args_t *args, plumb_err_t *err);

#define O(id) (1u << OPT_##id)
#define WHERE (O(STATE) | O(CONFIG) | O(SET))
#define BROKER (O(STATE) | O(CONFIG) | O(SET) | O(JSON))

/* clang-format off */
const command_t commands[] = {
    {"up", "", O(STATE) | O(PORT) | O(SET) | O(DATABASE) | O(NO_DEMO) | O(DETACH) | O(JSON) | O(NO_COLOR),
     "start everything, send a first lead, show its way, follow the logs until Ctrl-C",
     "Makes a private PostgreSQL, keys, a demo account with a receiver, and starts every daemon; all of it\n"
     "lives in the state directory, and a second 'up' there finds it again.  --port is ingest's (8080 unless\n"
     "it is busy).  --database uses that server instead of a private one.", run_up},
    {"down", "", O(STATE), "stop what 'plumb up' started", NULL, run_down},
    {"status", "", O(STATE) | O(JSON), "every process, its pid, whether work can flow; exit status 6 if not",
     NULL, run_status},
    {"channels ls", "", BROKER, "the broker's queues: what waits, what runs, how old",
     NULL, run_channels_ls},
    {"channels pause", "QUEUE", BROKER, "hand out nothing more of a queue, such as integration-webhooks",
     "What waits stays waiting; new deliveries stay pending in PostgreSQL.", run_channels_pause},
    {"channels resume", "QUEUE", BROKER, "hand out again", NULL, run_channels_resume},
    {"channels drain", "QUEUE", BROKER, "take nothing new into a queue, hand out what it has",
     NULL, run_channels_drain},
    {"listen", "", O(PORT) | O(PORT_FILE) | O(SECRET) | O(SECRET_FILE) | O(JSON),
     "receive webhooks on 127.0.0.1, check their signatures, print one line a call",
     "Answers 200, or 401 when a secret is given and no signature matches.  Standard Webhooks 1.0.0.",
     run_listen},
    {"migrate", "", WHERE | O(DATABASE) | O(CHECK), "bring the database up to this version's schema",
     "Every file of sql/ runs once, in order, in a transaction of its own.  --check changes nothing.",
     run_migrate},
    {"config", "", WHERE | O(CHECK) | O(HELP_TEXTS), "print the effective configuration, or only check it",
     NULL, run_config},
    {"keys new", "", WHERE | O(DIR) | O(JSON), "make a new master key; from then on it seals",
     "Older keys stay, since they open what they sealed.  Every host that seals or opens needs all of them.",
     run_keys_new},
    {"keys rotate", "", WHERE | O(ACCOUNT) | O(ALL) | O(MASTER) | O(WATCH) | O(JSON),
     "give accounts a new key and bring what they sealed under it, while everything runs",
     "A tracker does it in the background, and goes on where it was after a stop.  Older versions of a key go\n"
     "when nothing is under them and no daemon can have them in memory (keys.linger).  --master instead wraps\n"
     "the keys of all accounts by the newest master key: after 'plumb keys new' and the restarts it asks for.",
     run_keys_rotate},
    {"keys ls", "", WHERE | O(DIR) | O(ACCOUNT) | O(JSON),
     "list the master keys, the versions of accounts' keys, what is being changed",
     "With --dir the files alone.", run_keys_ls},
    {"leads erase", "ID…", WHERE | O(YES), "destroy what tells who a lead is from, for good",
     "Its data key, what that seals, the indexes it is found by, its data and addresses; its row stays for the\n"
     "counters.  Deliveries that wait are canceled.  Backups keep what they have until they expire.",
     run_leads_erase},
    {"version", "", 0, "print the version", NULL, run_version},
    {"help", "[COMMAND [WORD]]", 0, "this list, or one command with its options", NULL, run_help},
    {0}};
/* clang-format on */

/* ---- help ---- */

static const char exit_statuses[] = "Exit status: 0 ok, 1 failed, 2 usage, 3 not found, 4 not "
                                    "authorised, 6 unhealthy, 7 conflict,\n"
                                    "124 timed out, 130 interrupted.\n";

static void print_usage(FILE *out, const command_t *row)
{
    bool has_options = row->options != 0;
    fprintf(out, "usage: plumb %s%s%s%s\n", row->name, row->arguments[0] != '\0' ? " " : "",
            row->arguments, has_options ? " [options]" : "");
}

static void print_command(FILE *out, const command_t *row)
{
    print_usage(out, row);
    fprintf(out, "\n%s\n", row->help);
    if (row->more != NULL)
        fprintf(out, "%s\n", row->more);
    fprintf(out, "\n");
    for (unsigned i = 0; i < OPT_COUNT; i++) {
        const option_row_t *option = args_option(i);
        char text[64];
        if (i != OPT_HELP && (row->options & 1u << i) == 0)
            continue;
        snprintf(text, sizeof text, "--%s%s%s", option->name, option->value[0] != '\0' ? " " : "",
                 option->value);
        fprintf(out, "  %-22s %s\n", text, option->help);
    }
}

static void print_list(FILE *out, const char *group)
{
    size_t length = strlen(group);
    for (const command_t *row = commands; row->name != NULL; row++) {
        char text[64];
        if (strncmp(row->name, group, length) != 0)
            continue;
        snprintf(text, sizeof text, "%s %s", row->name, row->arguments);
        fprintf(out, "  %-24s %s\n", text, row->help);
    }
}

/* The rows that `args` names: a command, a group such as "channels", or all. */
static int run_help(const args_t *args, plumb_err_t *err)
{
    char name[64] = "";
    if (args->word_count > 0)
        snprintf(name, sizeof name, "%s%s%s", args->word[0], args->word_count > 1 ? " " : "",
                 args->word_count > 1 ? args->word[1] : "");
    for (const command_t *row = commands; row->name != NULL; row++)
        if (strcmp(row->name, name) == 0) {
            print_command(stdout, row);
            return STATUS_OK;
        }
    size_t length = strlen(name);
    for (const command_t *row = commands; row->name != NULL; row++)
        if (length == 0 || (strncmp(row->name, name, length) == 0 && row->name[length] == ' ')) {
            puts("usage: plumb COMMAND [options]\n");
            print_list(stdout, name);
            printf("\n'plumb help COMMAND' tells more.  %s", exit_statuses);
            return STATUS_OK;
        }
    return plumb_err_set(err, PLUMB_E_USAGE, "unknown command '%s'; type 'plumb help'", name);
}

static int run_version(const args_t *args, plumb_err_t *err)
{
    (void)args, (void)err;
    puts("plumb " PLUMB_VERSION);
    return STATUS_OK;
}

/* ---- dispatch ---- */

/* What everybody tries first: the command that an option in a command's place means, or NULL. */
static const char *meant(const char *word)
{
    static const char *const aliases[][2] = {
        {"--help", "help"}, {"-h", "help"}, {"--version", "version"}, {"-V", "version"}};
    for (size_t i = 0; word != NULL && i < sizeof aliases / sizeof *aliases; i++)
        if (strcmp(word, aliases[i][0]) == 0)
            return aliases[i][1];
    return NULL;
}

/* One line that says what happened and why, and what to type next where it is about usage. */
static int report(const command_t *command, int rc, const plumb_err_t *err)
{
    fprintf(stderr, "plumb%s%s: %s\n", command != NULL ? " " : "",
            command != NULL ? command->name : "", err->text);
    if (command != NULL && rc == -PLUMB_E_USAGE) {
        print_usage(stderr, command);
        fprintf(stderr, "'plumb help %s' lists the options\n", command->name);
    }
    return plumb_code_exit(rc < 0 && -rc < PLUMB_E_COUNT ? (plumb_code_t)-rc : PLUMB_E_INTERNAL);
}

static int print_help_for(const command_t *command)
{
    print_command(stdout, command);
    return STATUS_OK;
}

int commands_main(int argc, char *const *argv)
{
    args_t args;
    plumb_err_t err = {0};
    const command_t *command = NULL;
    char *other[] = {argv[0], (char *)meant(argv[1]), NULL};
    if (other[1] != NULL) {
        argc = 2;
        argv = other;
    }
    int rc = args_parse(&args, commands, &command, argc, argv, &err);
    if (rc == 0)
        rc = args_has(&args, OPT_HELP) ? print_help_for(command) : command->run(&args, &err);
    if (rc < 0)
        rc = report(command, rc, &err);
    args_fini(&args);
    if (fflush(stdout) != 0 && rc == STATUS_OK)
        rc = STATUS_FAILED;
    return rc;
}
