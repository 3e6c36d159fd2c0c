/* up.json: what runs and how to reach it. */
#include "up.h"

#include "log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *describe_pids(const up_t *up)
{
    json_t *pids = json_object();
    int bad = pids == NULL || json_object_set_new(pids, "up", json_integer(getpid())) < 0;
    for (int i = 0; i < CHILD_COUNT && !bad; i++) {
        const child_t *child = &up->supervisor.child[i];
        if (child->plan.name != NULL)
            bad = json_object_set_new(pids, child_name(i),
                                      child->pid > 0 ? json_integer(child->pid) : json_null()) < 0;
    }
    if (!bad)
        return pids;
    json_decref(pids);
    return NULL;
}

static int describe_demo(const up_t *up, json_t *json)
{
    const struct {
        const char *key;
        const plumb_uuid_t *id;
    } ids[] = {{"account", &up->demo.account},
               {"user", &up->demo.user},
               {"project", &up->demo.project},
               {"quiz", &up->demo.quiz},
               {"credential", &up->demo.credential}};
    int bad = json_object_set_new(json, "token", json_string(up->demo.token));
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char text[PLUMB_UUID_TEXT];
        bad |= json_object_set_new(json, ids[i].key, json_string(plumb_uuid_text(ids[i].id, text)));
    }
    return bad | json_object_set_new(json, "listen", json_string(up->listen_url));
}

json_t *up_describe(const up_t *up)
{
    json_t *json = json_object();
    int bad = json == NULL || json_object_set_new(json, "url", json_string(up->url)) < 0 ||
              json_object_set_new(json, "database", json_string(up->conf.database)) < 0 ||
              json_object_set_new(json, "channelDir", json_string(up->conf.channel_dir)) < 0 ||
              json_object_set_new(json, "state", json_string(up->state.dir)) < 0 ||
              json_object_set_new(json, "config", json_string(up->config)) < 0;
    if (!bad && up->demo.token[0] != '\0')
        bad = describe_demo(up, json);
    if (!bad)
        bad = json_object_set_new(json, "pids", describe_pids(up)) < 0;
    if (!bad)
        return json;
    json_decref(json);
    return NULL;
}

void up_write(void *self)
{
    const up_t *up = self;
    char path[PATH_MAX];
    plumb_err_t err = {0};
    json_t *json = up_describe(up);
    char *text = json == NULL ? NULL : json_dumps(json, JSON_INDENT(2));
    if (text == NULL)
        plumb_log_event(LOG_ERR, "up_file_failed", "reason=\"out of memory\"");
    else if (state_write(state_path(up->state.dir, "up.json", path), text, strlen(text), &err) < 0)
        plumb_log_event(LOG_ERR, "up_file_failed", "reason=\"%s\"", err.text);
    free(text);
    json_decref(json);
}
