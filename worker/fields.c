/* Checking credential fields. */
#include "fields.h"

#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

static bool matches(const char *pattern, const char *text)
{
    char whole[1024];
    regex_t compiled;
    if (snprintf(whole, sizeof whole, "^(%s)$", pattern) >= (int)sizeof whole ||
        regcomp(&compiled, whole, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool good = regexec(&compiled, text, 0, NULL, 0) == 0;
    regfree(&compiled);
    return good;
}

/* NULL: good; else what the value is not. */
static const char *check_text(const plumb_field_t *row, const json_t *value)
{
    if (!json_is_string(value))
        return "is no text";
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    if (strlen(text) != length || has_control(text))
        return "holds control characters";
    if (row->max > 0 && (length > (uint64_t)row->max || (int64_t)length < row->min))
        return "has the wrong length";
    if (row->pattern != NULL && !matches(row->pattern, text))
        return "has the wrong form";
    return NULL;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (const char *at = choices; at != NULL && *at != '\0'; at += strspn(at, "|")) {
        size_t size = strcspn(at, "|");
        if (size == length && strncmp(at, text, size) == 0)
            return true;
        at += size;
    }
    return false;
}

static const char *check_texts(const json_t *value, bool map)
{
    const char *key;
    size_t i;
    json_t *member;
    if (map ? !json_is_object(value) : !json_is_array(value))
        return map ? "is no map" : "is no list";
    if (map) {
        json_object_foreach((json_t *)value, key,
                            member) if (!json_is_string(member) ||
                                        has_control(json_string_value(member)) ||
                                        has_control(key)) return "holds something else than texts";
    } else {
        json_array_foreach(value, i,
                           member) if (!json_is_string(member) ||
                                       has_control(json_string_value(
                                           member))) return "holds something else than texts";
    }
    return NULL;
}

static const char *check_int(const plumb_field_t *row, const json_t *value)
{
    if (!json_is_integer(value))
        return "is no whole number";
    json_int_t number = json_integer_value(value);
    bool bounded = row->min != 0 || row->max != 0;
    return bounded && (number < row->min || number > row->max) ? "is out of bounds" : NULL;
}

static const char *check_value(const plumb_field_t *row, const json_t *value)
{
    switch (row->type) {
    case PLUMB_FIELD_TEXT:
    case PLUMB_FIELD_URL:
        return check_text(row, value);
    case PLUMB_FIELD_INT:
        return check_int(row, value);
    case PLUMB_FIELD_BOOL:
        return json_is_boolean(value) ? NULL : "is neither true nor false";
    case PLUMB_FIELD_ENUM:
        return json_is_string(value) && is_choice(row->choices, json_string_value(value))
                   ? NULL
                   : "is none of its choices";
    case PLUMB_FIELD_MAP:
    case PLUMB_FIELD_LIST:
        return check_texts(value, row->type == PLUMB_FIELD_MAP);
    }
    return "has an unknown type";
}

/* The initial value of a row, by its type; NULL: it has none. */
static json_t *initial_of(const plumb_field_t *row)
{
    if (row->initial == NULL)
        return NULL;
    switch (row->type) {
    case PLUMB_FIELD_INT:
    case PLUMB_FIELD_BOOL:
    case PLUMB_FIELD_MAP:
    case PLUMB_FIELD_LIST:
        return json_loads(row->initial, JSON_DECODE_ANY, NULL);
    default:
        return json_string(row->initial);
    }
}

static bool is_given(const json_t *value)
{
    return value != NULL && !json_is_null(value) &&
           !(json_is_string(value) && json_string_length(value) == 0);
}

static bool open_one(const plumb_field_t *row, const json_t *given, json_t *out, char *why)
{
    json_t *value = json_object_get(given, row->name);
    const char *wrong = NULL;
    if (!is_given(value)) {
        json_t *initial = initial_of(row);
        if (initial != NULL)
            return json_object_set_new(out, row->name, initial) == 0;
        if ((row->flags & PLUMB_REQUIRED) == 0)
            return true;
        wrong = "is missing";
    } else {
        wrong = check_value(row, value);
    }
    if (wrong == NULL)
        return json_object_set(out, row->name, value) == 0;
    snprintf(why, FIELDS_WHY_MAX, "credential field '%s' %s", row->name, wrong);
    return false;
}

static bool ask_channel(const plumb_channel_t *channel, const json_t *fields, char *why)
{
    const char *field = "", *wrong = NULL;
    if (channel->validate_credentials != NULL)
        wrong = channel->validate_credentials(fields, &field);
    if (wrong != NULL)
        snprintf(why, FIELDS_WHY_MAX, "credential field '%s': %s", field != NULL ? field : "",
                 wrong);
    return wrong == NULL;
}

json_t *fields_open(const plumb_channel_t *channel, const json_t *given, char *why)
{
    json_t *out = json_object();
    snprintf(why, FIELDS_WHY_MAX, "the credential cannot be read");
    bool good = out != NULL && json_is_object(given);
    for (const plumb_field_t *row = channel->fields; good && row->name != NULL; row++)
        good = open_one(row, given, out, why);
    if (good && ask_channel(channel, out, why))
        return out;
    json_decref(out);
    return NULL;
}

int fields_secrets(const plumb_channel_t *channel, const json_t *fields, redact_t *redact)
{
    int rc = 0;
    for (const plumb_field_t *row = channel->fields; row->name != NULL; row++)
        if ((row->flags & PLUMB_SECRET) != 0)
            rc |= redact_add_json(redact, json_object_get(fields, row->name));
    return rc;
}

bool fields_has_secret_url(const plumb_channel_t *channel)
{
    for (const plumb_field_t *row = channel->fields; row->name != NULL; row++)
        if (row->type == PLUMB_FIELD_URL && (row->flags & PLUMB_SECRET) != 0)
            return true;
    return false;
}
