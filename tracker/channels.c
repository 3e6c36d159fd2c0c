/* CHANNELS notes. */
#include "channels.h"

#include "json.h"
#include "log.h"
#include "metrics.h"
#include "tracker.h"

#include <stdlib.h>
#include <string.h>

#define CODE_MAX 32

void channels_fini(channels_t *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->texts[i]);
    *c = (channels_t){0};
}

void channels_note(tracker_t *t, const plumb_note_t *note)
{
    channels_t *c = &t->channels;
    if (c->count == CHANNELS_WAITING || note->text.data == NULL ||
        note->text.length > CHANNELS_TEXT_MAX)
        return;
    char *text = malloc(note->text.length + 1);
    if (text == NULL)
        return;
    memcpy(text, note->text.data, note->text.length); /* nothing ends it within the frame */
    text[note->text.length] = '\0';
    c->texts[c->count++] = text;
}

static bool is_code(const char *code)
{
    return code != NULL && *code != '\0' && strlen(code) <= CODE_MAX &&
           strspn(code, "abcdefghijklmnopqrstuvwxyz0123456789") == strlen(code);
}

static int write_note(tracker_t *t, const json_t *root, plumb_err_t *err)
{
    const char *title = json_string_value(json_object_get(root, "title"));
    const char *version = json_string_value(json_object_get(root, "version"));
    channel_write_t channel = {.code = json_string_value(json_object_get(root, "code")),
                               .title = title == NULL ? "" : title,
                               .version = version == NULL ? "" : version,
                               .present = json_is_true(json_object_get(root, "present"))};
    const json_t *fields = json_object_get(root, "fields");
    const json_t *limits = json_object_get(root, "limits");
    if (!is_code(channel.code))
        return plumb_err_set(err, PLUMB_E_MESSAGE, "a channel without a good code");
    char *fields_text = json_dumps(fields, JSON_COMPACT);
    char *limits_text = json_dumps(limits, JSON_COMPACT);
    channel.fields = fields_text == NULL ? "[]" : fields_text;
    channel.limits = limits_text == NULL ? "{}" : limits_text;
    int rc = store_channel(&t->store, &channel, err);
    free(fields_text);
    free(limits_text);
    return rc;
}

static int take(tracker_t *t, const char *text, plumb_err_t *err)
{
    json_t *root = plumb_json_tree(text, strlen(text), err);
    if (root == NULL)
        return plumb_err_return(err->code);
    int rc = write_note(t, root, err);
    json_decref(root);
    return rc;
}

static bool is_notes_fault(int rc)
{
    return rc == -PLUMB_E_MESSAGE || rc == -PLUMB_E_BAD_JSON || rc == -PLUMB_E_DB_VALUE;
}

/* In the order in which they came: the newest word on a plugin is the one that stays. */
int channels_work(tracker_t *t, plumb_err_t *err)
{
    channels_t *c = &t->channels;
    size_t done = 0;
    int rc = 0;
    for (; done < c->count; done++) {
        rc = take(t, c->texts[done], err);
        if (rc < 0 && !is_notes_fault(rc))
            break;
        if (rc < 0) {
            plumb_metric_add(PLUMB_M_FRAMES_REFUSED, "channel", 1);
            plumb_log_event(LOG_WARNING, "channel_note_refused", "reason=\"%s\"", err->text);
            rc = 0;
        }
        free(c->texts[done]);
    }
    c->count -= done;
    memmove(c->texts, c->texts + done, c->count * sizeof *c->texts);
    return rc;
}
