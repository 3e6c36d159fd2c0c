/* Writing configuration, in the form that is read. */
#include "conf_table.h"
#include "conf_units.h"

#include <libpq-fe.h>
#include <stdint.h>
#include <string.h>

/* Does a connection string hold a password?  What cannot be read might. */
static bool holds_password(const char *database)
{
    PQconninfoOption *options = PQconninfoParse(database, NULL);
    bool found = options == NULL;
    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
        found = found || (o->val != NULL && strstr(o->keyword, "password") != NULL);
    PQconninfoFree(options);
    return found;
}

static bool is_secret(const plumb_conf_key_t *key, const char *value)
{
    if (strcmp(key->name, "redis.url") == 0)
        return strchr(value, '@') != NULL;
    return strcmp(key->name, "database") == 0 && holds_password(value);
}

static void print_text(const plumb_conf_key_t *key, const char *value, FILE *out)
{
    bool secret = is_secret(key, value);
    if (secret)
        fprintf(out, "# %s = (not shown: holds a password)\n", key->name);
    else
        fprintf(out, "%s%s =%s%s\n", strcmp(value, key->text) == 0 ? "# " : "", key->name,
                value[0] != '\0' ? " " : "", value);
}

static void print_number(const plumb_conf_key_t *key, int64_t value, FILE *out)
{
    char text[PLUMB_UNIT_TEXT];
    fprintf(out, "%s%s = %s\n", value == key->number ? "# " : "", key->name,
            plumb_conf_number_text(key, value, text));
}

static void print_bool(const plumb_conf_key_t *key, bool value, FILE *out)
{
    fprintf(out, "%s%s = %s\n", value == (key->number != 0) ? "# " : "", key->name,
            value ? "true" : "false");
}

static void print_help(const plumb_conf_key_t *key, FILE *out)
{
    char min[PLUMB_UNIT_TEXT], max[PLUMB_UNIT_TEXT], initial[PLUMB_UNIT_TEXT];
    fprintf(out, "# %s", key->help);
    if (key->kind == PLUMB_CONF_IS_TEXT && key->text[0] != '\0')
        fprintf(out, " (default %s)", key->text);
    else if (key->kind == PLUMB_CONF_IS_BOOL)
        fprintf(out, " (default %s)", key->number != 0 ? "true" : "false");
    else if (key->kind != PLUMB_CONF_IS_TEXT)
        fprintf(
            out, " (default %s, from %s to %s)", plumb_conf_number_text(key, key->number, initial),
            plumb_conf_number_text(key, key->min, min), plumb_conf_number_text(key, key->max, max));
    fputc('\n', out);
}

void plumb_conf_print(const plumb_conf_t *conf, FILE *out, bool with_help)
{
    for (size_t i = 0; i < PLUMB_CONF_KEYS; i++) {
        const plumb_conf_key_t *key = &plumb_conf_keys[i];
        const void *value = plumb_conf_value(conf, key);
        if (with_help)
            print_help(key, out);
        if (key->kind == PLUMB_CONF_IS_TEXT)
            print_text(key, *(char *const *)value, out);
        else if (key->kind == PLUMB_CONF_IS_BOOL)
            print_bool(key, *(const bool *)value, out);
        else
            print_number(key, *(const int64_t *)value, out);
        if (with_help)
            fputc('\n', out);
    }
}
