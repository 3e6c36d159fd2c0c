/* Names of queues, from the broker and from the table of channels. */
#include "queues.h"

#include "buf.h"
#include "store.h"

/* `names` is an object whose keys are the names: each once, in the order they came. */
static void add_brokers(json_t *names, const json_t *state)
{
    size_t i;
    const json_t *queue;
    json_array_foreach(json_object_get(state, "queues"), i, queue)
    {
        const char *name = json_string_value(json_object_get(queue, "name"));
        if (name != NULL)
            json_object_set_new(names, name, json_true());
    }
}

static int add_channels(json_t *names, const char *database, plumb_err_t *err)
{
    plumb_db_t *db = NULL;
    int rc = plumb_db_new(&db, database, "plumb-channels", err);
    if (rc == 0)
        rc = store_queues(db, names, err);
    plumb_db_destroy(&db);
    return rc;
}

static int refuse(const char *queue, json_t *names, plumb_err_t *err)
{
    plumb_buf_t list = {0};
    const char *name;
    json_t *unused;
    json_object_foreach(names, name, unused)
    {
        plumb_buf_printf(&list, "%s%s", list.length > 0 ? ", " : "", name);
    }
    int rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, "there is no queue '%s', known are: %s", queue,
                           list.length > 0 && !list.failed ? list.data : "none yet");
    plumb_buf_fini(&list);
    return rc;
}

int queues_check(const char *queue, const json_t *state, const char *database, plumb_err_t *err)
{
    json_t *names = json_object();
    int rc = 0;
    add_brokers(names, state);
    if (json_object_get(names, queue) == NULL)
        rc = add_channels(names, database, err);
    if (rc < 0)
        plumb_err_add(err, "the broker has no queue '%s', and its channel cannot be looked for",
                      queue);
    else if (json_object_get(names, queue) == NULL)
        rc = refuse(queue, names, err);
    json_decref(names);
    return rc;
}
