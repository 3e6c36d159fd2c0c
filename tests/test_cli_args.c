/* The command line by its tables: what is taken, what is refused and with which words. */
#include "args.h"
#include "commands.h"
#include "count.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 10

static int never(const args_t *args, plumb_err_t *err)
{
    (void)args, (void)err;
    return 0;
}

static const command_t rows[] = {
    {"up", "", 1u << OPT_STATE | 1u << OPT_SET | 1u << OPT_DETACH, "start", NULL, never},
    {"channels ls", "", 1u << OPT_JSON, "list", NULL, never},
    {"channels pause", "QUEUE", 1u << OPT_STATE, "pause", NULL, never},
    {"leads erase", "ID…", 0, "erase", NULL, never},
    {"help", "[COMMAND [WORD]]", 0, "help", NULL, never},
    {0}};

static const struct {
    const char *name;
    const char *words[WORDS_MAX]; /* behind "plumb" */
    int rc;
    const char *command; /* NULL: none found */
    const char *says;    /* part of the error */
} cases[] = {
    {"plain", {"up"}, 0, "up", NULL},
    {"two words", {"channels", "ls"}, 0, "channels ls", NULL},
    {"option apart", {"up", "--state", "/x"}, 0, "up", NULL},
    {"option joined", {"up", "--state=/x"}, 0, "up", NULL},
    {"value like an option", {"up", "--state", "--x"}, 0, "up", NULL},
    {"switch", {"up", "--detach"}, 0, "up", NULL},
    {"repeated set", {"up", "--set", "a=1", "--set", "b=2"}, 0, "up", NULL},
    {"word", {"channels", "pause", "q"}, 0, "channels pause", NULL},
    {"word after options", {"channels", "pause", "--state", "/x", "q"}, 0, "channels pause", NULL},
    {"word behind dashes", {"channels", "pause", "--", "--q"}, 0, "channels pause", NULL},
    {"one of many words", {"leads", "erase", "a"}, 0, "leads erase", NULL},
    {"many words", {"leads", "erase", "a", "b", "c"}, 0, "leads erase", NULL},
    {"none of many words", {"leads", "erase"}, -PLUMB_E_USAGE, "leads erase", "wants ID…"},
    {"help of a command", {"channels", "pause", "--help"}, 0, "channels pause", NULL},
    {"short help", {"up", "-h"}, 0, "up", NULL},
    {"no optional words", {"help"}, 0, "help", NULL},
    {"both optional words", {"help", "channels", "ls"}, 0, "help", NULL},
    {"nothing", {NULL}, -PLUMB_E_USAGE, NULL, "no command; type 'plumb help'"},
    {"unknown", {"fly"}, -PLUMB_E_USAGE, NULL, "unknown command 'fly'; type 'plumb help'"},
    {"part of a name", {"u"}, -PLUMB_E_USAGE, NULL, "unknown command 'u'"},
    {"group", {"channels"}, -PLUMB_E_USAGE, NULL, "'channels' what? type 'plumb help channels'"},
    {"unknown in a group", {"channels", "fly"}, -PLUMB_E_USAGE, NULL, "'channels fly'"},
    {"unknown option", {"up", "--fly"}, -PLUMB_E_USAGE, "up", "unknown option '--fly'"},
    {"another's option", {"up", "--json"}, -PLUMB_E_USAGE, "up", "unknown option '--json'"},
    {"unknown short option", {"up", "-x"}, -PLUMB_E_USAGE, "up", "unknown option '-x'"},
    {"part of an option", {"up", "--stat", "x"}, -PLUMB_E_USAGE, "up", "unknown option '--stat'"},
    {"missing value", {"up", "--state"}, -PLUMB_E_USAGE, "up", "option '--state' wants DIR"},
    {"value of a switch", {"up", "--detach=1"}, -PLUMB_E_USAGE, "up", "takes no value"},
    {"twice", {"up", "--state", "a", "--state", "b"}, -PLUMB_E_USAGE, "up", "given twice"},
    {"missing word", {"channels", "pause"}, -PLUMB_E_USAGE, "channels pause", "wants QUEUE"},
    {"word too many", {"up", "x"}, -PLUMB_E_USAGE, "up", "unexpected argument 'x'"},
    {"far too many", {"help", "a", "b", "c"}, -PLUMB_E_USAGE, "help", "unexpected argument 'c'"},
};

static int parse(args_t *args, const command_t **command, const char *const words[],
                 plumb_err_t *err)
{
    char *argv[WORDS_MAX + 2] = {"plumb"};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)words[argc - 1];
    return args_parse(args, rows, command, argc, argv, err);
}

static void parses(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        args_t args;
        const command_t *command;
        plumb_err_t err = {0};
        int rc = parse(&args, &command, cases[i].words, &err);
        const char *found = command == NULL ? "(none)" : command->name;
        const char *want = cases[i].command == NULL ? "(none)" : cases[i].command;
        if (rc != cases[i].rc || strcmp(found, want) != 0 ||
            (cases[i].says != NULL && strstr(err.text, cases[i].says) == NULL))
            fail_msg("%s: %d, %s, '%s'", cases[i].name, rc, found, err.text);
        args_fini(&args);
    }
}

static void keeps_values(void **state)
{
    (void)state;
    args_t args;
    const command_t *command;
    plumb_err_t err = {0};
    const char *const words[] = {"up", "--set", "a=1", "--state=/x=y", "--set=b=2", NULL};
    assert_int_equal(parse(&args, &command, words, &err), 0);
    assert_string_equal(args.value[OPT_STATE], "/x=y");
    assert_int_equal(args.set_count, 2);
    assert_string_equal(args.sets[0], "a=1");
    assert_string_equal(args.sets[1], "b=2");
    assert_true(args_has(&args, OPT_SET));
    assert_false(args_has(&args, OPT_DETACH));
    args_fini(&args);
    args_fini(&args);
}

static void reads_ports(void **state)
{
    static const struct {
        const char *text;
        int rc, port;
    } ports[] = {{"0", 0, 0},
                 {"65535", 0, 65535},
                 {"65536", -PLUMB_E_USAGE, 0},
                 {"-1", -PLUMB_E_USAGE, 0},
                 {"", -PLUMB_E_USAGE, 0},
                 {"80x", -PLUMB_E_USAGE, 0},
                 {NULL, 0, 8080}};
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(ports); i++) {
        args_t args = {0};
        int port = -1;
        args.value[OPT_PORT] = ports[i].text;
        int rc = args_port(&args, OPT_PORT, 8080, &port, NULL);
        if (rc != ports[i].rc || (rc == 0 && port != ports[i].port))
            fail_msg("'%s': %d, port %d", ports[i].text, rc, port);
    }
}

/* What the real table promises to help and completion. */
static void has_a_sound_table(void **state)
{
    (void)state;
    for (const command_t *row = commands; row->name != NULL; row++) {
        if (row->run == NULL || row->help == NULL || row->help[0] == '\0' ||
            row->arguments == NULL || strlen(row->name) > 40)
            fail_msg("%s: incomplete", row->name);
        for (const command_t *other = row + 1; other->name != NULL; other++)
            if (strcmp(row->name, other->name) == 0)
                fail_msg("%s: twice", row->name);
    }
    for (unsigned i = 0; i < OPT_COUNT; i++)
        if (args_option(i)->help[0] == '\0' || args_option(i)->name[0] == '\0')
            fail_msg("option %u: incomplete", i);
    assert_null(args_option(OPT_COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parses), cmocka_unit_test(keeps_values),
                                       cmocka_unit_test(reads_ports),
                                       cmocka_unit_test(has_a_sound_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
