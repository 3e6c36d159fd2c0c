/* Loading, replacing, refusing plugins. */
#include "plugins.h"

#include "count.h"

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static char log_path[96];
static int saved_stderr;

/* A directory of its own, and what is logged in a file beside it. */
static int enter(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/plumb-plugins-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(log_path, sizeof log_path, "%s.log", dir);
    int log = open(log_path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
    saved_stderr = dup(STDERR_FILENO);
    dup2(log, STDERR_FILENO);
    close(log);
    return 0;
}

static int leave(void **state)
{
    char command[256];
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    snprintf(command, sizeof command, "rm -rf '%s' '%s'", dir, log_path);
    return system(command); /* NOLINT(cert-env33-c): a fixed command on a directory of ours */
}

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "re");
    char *data = calloc(1, 1 << 20);
    assert_non_null(file);
    *size = fread(data, 1, (1 << 20) - 1, file);
    fclose(file);
    return data;
}

/* The last line of the log that holds both words; fails when there is none. */
static void assert_logged(const char *event, const char *word)
{
    size_t size;
    char *log = read_file(log_path, &size), *found = NULL;
    for (char *rest = log, *line; (line = strsep(&rest, "\n")) != NULL;)
        if (strstr(line, event) != NULL && strstr(line, word) != NULL)
            found = line;
    if (found == NULL)
        fail_msg("no line with '%s' and '%s'", event, word);
    free(log);
}

static size_t count_logged(const char *event)
{
    size_t size, count = 0;
    char *log = read_file(log_path, &size);
    for (const char *at = log; (at = strstr(at, event)) != NULL; at++)
        count++;
    free(log);
    return count;
}

static void write_file(const char *name, const void *data, size_t size, mode_t mode)
{
    char beside[128], path[128];
    snprintf(beside, sizeof beside, "%s/.new", dir);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, data, size), size);
    fchmod(fd, mode);
    close(fd);
    assert_int_equal(rename(beside, path), 0);
}

/* Install the test plugin `code` as `name`; only the first `cut` bytes when that is not 0. */
static void install(const char *code, const char *name, mode_t mode, size_t cut)
{
    char path[256];
    size_t size;
    snprintf(path, sizeof path, "%s/tests/channels/%s.so", getenv("PLUMB_BUILD"), code);
    char *data = read_file(path, &size);
    write_file(name, data, cut > 0 && cut < size ? cut : size, mode);
    free(data);
}

static plugins_t *open_plugins(plumb_conf_t *conf, const char *setting)
{
    plugins_t *p = NULL;
    plumb_err_t err = {0};
    char text[128];
    plumb_conf_init(conf, &err);
    snprintf(text, sizeof text, "channel_dir=%s", dir);
    plumb_conf_set(conf, text, "test", &err);
    plumb_conf_set(conf, "development=yes", "test", &err);
    if (setting != NULL)
        plumb_conf_set(conf, setting, "test", &err);
    assert_int_equal(plugins_open(&p, conf, &err), 0);
    return p;
}

static void wait_change(plugins_t *p)
{
    struct pollfd fd = {.fd = plugins_fd(p), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 5000), 1);
}

static plugin_t *find(plugins_t *p, const char *code)
{
    return plugins_find(p, code, strlen(code));
}

static void loads_and_tells(void **state)
{
    (void)state;
    plumb_conf_t conf;
    plugins_t *p = open_plugins(&conf, NULL);
    assert_null(find(p, "good"));
    install("good", "good.so", 0755, 0);
    wait_change(p);
    assert_true(plugins_on_change(p));
    plugin_t *good = find(p, "good");
    assert_non_null(good);
    assert_string_equal(good->queue, "integration-good");
    assert_logged("channel_loaded", "good");
    json_t *note = json_loads(good->note, JSON_REJECT_DUPLICATES, NULL);
    const char *code, *title, *version, *name, *type, *initial, *schedule, *second;
    json_t *first;
    int present, required, min, max, per, burst, resends;
    assert_int_equal(
        json_unpack(
            note,
            "{s:s,s:s,s:s,s:b,s:[{s:s,s:s,s:b,s:s,s:i,s:i}],s:{s:s,s:b,s:[{s:o,s:i,s:i},{s:s}]}}",
            "code", &code, "title", &title, "version", &version, "present", &present, "fields",
            "name", &name, "type", &type, "required", &required, "initial", &initial, "min", &min,
            "max", &max, "limits", "schedule", &schedule, "resends", &resends, "limits", "key",
            &first, "perKilosecond", &per, "burst", &burst, "key", &second),
        0);
    assert_string_equal(code, "good");
    assert_string_equal(title, "Good \"one\"");
    assert_string_equal(version, "1.2.3");
    assert_string_equal(type, "int");
    assert_string_equal(initial, "3");
    assert_string_equal(schedule, "mail");
    assert_string_equal(second, "");
    assert_true(json_is_null(first));
    assert_true(present && !required && !resends && min == 1 && max == 9 && per == 7000 &&
                burst == 7);
    json_decref(note);
    assert_false(plugins_look(p)); /* nothing new */
    plugins_close(&p);
    plumb_conf_fini(&conf);
}

static void replaces_while_calls_run(void **state)
{
    (void)state;
    plumb_conf_t conf;
    install("good", "good.so", 0755, 0);
    plugins_t *p = open_plugins(&conf, NULL);
    plugin_t *old = plugin_hold(find(p, "good"));
    install("good", "good.so", 0755, 0);
    assert_true(plugins_look(p));
    plugin_t *newer = find(p, "good");
    assert_ptr_not_equal(old, newer);
    assert_ptr_not_equal(old->lib.table.send, newer->lib.table.send); /* really another object */
    assert_true(newer->generation > old->generation);
    assert_string_equal(old->lib.table.title, "Good \"one\""); /* still mapped */
    plugin_release(old);
    for (int i = 0; i < 100; i++) { /* over and over, nothing piles up: the sanitizer looks */
        install("good", "good.so", 0755, 0);
        assert_true(plugins_look(p));
    }
    assert_int_equal(count_logged("channel_loaded"), 102);
    plugins_close(&p);
    plumb_conf_fini(&conf);
}

/* Written into in place, as an installer should not: the mapped copy is not touched. */
static void written_in_place(void **state)
{
    (void)state;
    plumb_conf_t conf;
    install("good", "good.so", 0755, 0);
    plugins_t *p = open_plugins(&conf, NULL);
    plugin_t *old = find(p, "good");
    char path[128];
    snprintf(path, sizeof path, "%s/good.so", dir);
    assert_int_equal(truncate(path, 10), 0);
    assert_false(plugins_look(p));
    assert_ptr_equal(find(p, "good"), old);
    assert_string_equal(old->lib.table.title, "Good \"one\"");
    assert_logged("channel_refused", "good.so");
    plugins_close(&p);
    plumb_conf_fini(&conf);
}

static void removed(void **state)
{
    (void)state;
    plumb_conf_t conf;
    install("good", "good.so", 0755, 0);
    plugins_t *p = open_plugins(&conf, NULL);
    assert_null(plugins_gone_note(p, 0));
    char path[128];
    snprintf(path, sizeof path, "%s/good.so", dir);
    unlink(path);
    wait_change(p);
    assert_true(plugins_on_change(p));
    assert_null(find(p, "good"));
    assert_non_null(strstr(plugins_gone_note(p, 0), "\"present\":false"));
    assert_logged("channel_removed", "good");
    install("good", "good.so", 0755, 0);
    assert_true(plugins_look(p));
    assert_null(plugins_gone_note(p, 0));
    plugins_close(&p);
    plumb_conf_fini(&conf);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *name, *code, *file, *word;
        mode_t mode;
        size_t cut;
    } rows[] = {
        {"abi", "abi", "abi.so", "99", 0755, 0},
        {"abi wanted", "abi", "abi.so", "want 1", 0755, 0},
        {"symbol", "nosymbol", "nosymbol.so", "plumb_channel", 0755, 0},
        {"world-writable", "good", "good.so", "writable", 0757, 0},
        {"group-writable", "good", "good.so", "writable", 0775, 0},
        {"another name", "good", "better.so", "'good'", 0755, 0},
        {"truncated in its head", "good", "good.so", "no shared object", 0755, 50},
        {"truncated in its segments", "good", "good.so", "truncated", 0755, 4096},
        {"truncated to nothing", "good", "good.so", "no shared object", 0755, 1},
    };
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        plumb_conf_t conf;
        enter(NULL);
        install(rows[i].code, rows[i].file, rows[i].mode, rows[i].cut);
        plugins_t *p = open_plugins(&conf, NULL);
        assert_null(plugins_first(p));
        assert_logged("channel_refused", rows[i].word);
        assert_logged("channel_refused", rows[i].file);
        plugins_look(p);
        assert_int_equal(count_logged("channel_refused"), 1); /* said once */
        plugins_close(&p);
        plumb_conf_fini(&conf);
        leave(NULL);
    }
}

/* Each length of a plugin file is loaded or refused, never fatal. */
static void every_truncation(void **state)
{
    (void)state;
    plumb_conf_t conf;
    char path[256];
    size_t size;
    snprintf(path, sizeof path, "%s/tests/channels/good.so", getenv("PLUMB_BUILD"));
    char *data = read_file(path, &size);
    plugins_t *p = open_plugins(&conf, NULL);
    for (size_t cut = 0; cut < size; cut += 397) {
        write_file("good.so", data, cut, 0755);
        plugins_look(p);
    }
    write_file("good.so", data, size, 0755);
    assert_true(plugins_look(p));
    assert_non_null(find(p, "good"));
    free(data);
    plugins_close(&p);
    plumb_conf_fini(&conf);
}

static void refuses_links_and_the_like(void **state)
{
    (void)state;
    plumb_conf_t conf;
    char path[128], target[128];
    install("good", "good.bin", 0755, 0);
    snprintf(path, sizeof path, "%s/good.so", dir);
    snprintf(target, sizeof target, "%s/good.bin", dir);
    assert_int_equal(symlink(target, path), 0);
    plugins_t *p = open_plugins(&conf, NULL);
    assert_null(plugins_first(p));
    assert_logged("channel_refused", "link");
    unlink(path);
    assert_int_equal(mkfifo(path, 0644), 0);
    plugins_look(p);
    assert_logged("channel_refused", "regular");
    unlink(path);
    assert_int_equal(mkdir(path, 0755), 0);
    plugins_look(p);
    assert_null(plugins_first(p));
    plugins_close(&p);
    plumb_conf_fini(&conf);
}

static void mended_by_chmod(void **state)
{
    (void)state;
    plumb_conf_t conf;
    char path[128];
    install("good", "good.so", 0777, 0);
    plugins_t *p = open_plugins(&conf, NULL);
    assert_null(find(p, "good"));
    snprintf(path, sizeof path, "%s/good.so", dir);
    chmod(path, 0755);
    wait_change(p);
    assert_true(plugins_on_change(p));
    assert_non_null(find(p, "good"));
    plugins_close(&p);
    plumb_conf_fini(&conf);
}

static void only_those_it_serves(void **state)
{
    (void)state;
    plumb_conf_t conf;
    install("good", "good.so", 0755, 0);
    install("two", "two.so", 0755, 0);
    install("rude", "rude.so", 0755, 0);
    plugins_t *p = open_plugins(&conf, "worker.channels=two, rude");
    assert_null(find(p, "good"));
    assert_non_null(find(p, "two"));
    assert_non_null(find(p, "rude"));
    plugins_close(&p);
    plumb_conf_fini(&conf);
}

/* Outside development the way to the file must be root's as well; /tmp is everybody's. */
static void strict_outside_development(void **state)
{
    (void)state;
    plumb_conf_t conf;
    install("good", "good.so", 0755, 0);
    plugins_t *p = open_plugins(&conf, "development=no");
    assert_null(plugins_first(p));
    assert_logged("channel_refused", "tmp is writable by others");
    plugins_look(p);
    assert_int_equal(count_logged("channel_refused"), 1);
    plugins_close(&p);
    plumb_conf_fini(&conf);
}

static void a_directory_that_comes_later(void **state)
{
    (void)state;
    plumb_conf_t conf;
    assert_int_equal(rmdir(dir), 0);
    plugins_t *p = open_plugins(&conf, NULL);
    assert_null(plugins_first(p));
    assert_int_equal(mkdir(dir, 0755), 0);
    install("good", "good.so", 0755, 0);
    assert_true(plugins_look(p));
    assert_non_null(find(p, "good"));
    plugins_close(&p);
    plumb_conf_fini(&conf);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(loads_and_tells),
        TEST(replaces_while_calls_run),
        TEST(written_in_place),
        TEST(removed),
        cmocka_unit_test(refuses),
        TEST(every_truncation),
        TEST(refuses_links_and_the_like),
        TEST(mended_by_chmod),
        TEST(only_those_it_serves),
        TEST(strict_outside_development),
        TEST(a_directory_that_comes_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
