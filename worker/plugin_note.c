/* A plugin's table as JSON. */
#include "plugin_note.h"

#include "buf.h"
#include "count.h"

#include <inttypes.h>

const char *plugin_field_type(plumb_field_type_t type)
{
    static const char *const names[] = {
        [PLUMB_FIELD_TEXT] = "text", [PLUMB_FIELD_URL] = "url",   [PLUMB_FIELD_INT] = "int",
        [PLUMB_FIELD_BOOL] = "bool", [PLUMB_FIELD_ENUM] = "enum", [PLUMB_FIELD_MAP] = "map",
        [PLUMB_FIELD_LIST] = "list"};
    return (size_t)type < PLUMB_COUNT(names) ? names[type] : "text";
}

/* `,"name":"text"`, or null. */
static void put_text(plumb_buf_t *out, const char *name, const char *text)
{
    plumb_buf_printf(out, ",\"%s\":", name);
    if (text == NULL)
        plumb_buf_text(out, "null");
    else
        plumb_buf_json_text(out, text);
}

static void put_field(plumb_buf_t *out, const plumb_field_t *field)
{
    plumb_buf_text(out, "{\"name\":");
    plumb_buf_json_text(out, field->name);
    put_text(out, "type", plugin_field_type(field->type));
    plumb_buf_printf(out, ",\"required\":%s,\"secret\":%s",
                     (field->flags & PLUMB_REQUIRED) != 0 ? "true" : "false",
                     (field->flags & PLUMB_SECRET) != 0 ? "true" : "false");
    put_text(out, "title", field->title);
    put_text(out, "titleRu", field->title_ru);
    put_text(out, "initial", field->initial);
    put_text(out, "pattern", field->pattern);
    put_text(out, "choices", field->choices);
    plumb_buf_printf(out, ",\"min\":%" PRId64 ",\"max\":%" PRId64, field->min, field->max);
    put_text(out, "help", field->help);
    plumb_buf_text(out, "}");
}

static void put_limits(plumb_buf_t *out, const plumb_channel_t *table)
{
    plumb_buf_printf(out, ",\"limits\":{\"schedule\":\"%s\",\"resends\":%s,\"limits\":[",
                     table->schedule == PLUMB_SCHEDULE_MAIL ? "mail" : "service",
                     (table->flags & PLUMB_CHANNEL_RESENDS) != 0 ? "true" : "false");
    const plumb_limit_t *limit = table->limits;
    for (size_t i = 0; limit != NULL && limit[i].per_kilosecond > 0; i++) {
        plumb_buf_text(out, i > 0 ? ",{\"key\":" : "{\"key\":");
        if (limit[i].key == NULL)
            plumb_buf_text(out, "null");
        else
            plumb_buf_json_text(out, limit[i].key);
        plumb_buf_printf(out, ",\"perKilosecond\":%" PRIu32 ",\"burst\":%" PRIu32 "}",
                         limit[i].per_kilosecond, limit[i].burst);
    }
    plumb_buf_text(out, "]}");
}

char *plugin_note(const plumb_channel_t *table, bool present)
{
    plumb_buf_t out = {0};
    plumb_buf_text(&out, "{\"code\":");
    plumb_buf_json_text(&out, table->code);
    put_text(&out, "title", table->title);
    put_text(&out, "version", table->version);
    plumb_buf_printf(&out, ",\"present\":%s,\"fields\":[", present ? "true" : "false");
    for (size_t i = 0; table->fields[i].name != NULL; i++) {
        if (i > 0)
            plumb_buf_text(&out, ",");
        put_field(&out, &table->fields[i]);
    }
    plumb_buf_text(&out, "]");
    put_limits(&out, table);
    plumb_buf_text(&out, "}");
    if (out.failed) {
        plumb_buf_fini(&out);
        return NULL;
    }
    return out.data;
}
