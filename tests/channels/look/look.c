/* look: sends the lead as it is, and tells how each way of looking at the call saw it. */
#include <plumb/channel.h>

static const plumb_field_t fields[] = {
    {.name = "url", .type = PLUMB_FIELD_URL, .flags = PLUMB_REQUIRED, .title = "Address"}, {0}};

static const char *tree_text(plumb_call_t *call, const char *name)
{
    const char *text = json_string_value(json_object_get(plumb_lead_tree(call), name));
    return text != NULL ? text : "";
}

static plumb_step_t look_send(plumb_call_t *call)
{
    if (call->stage == 0) {
        plumb_request(call, "POST", plumb_field(call, "url"));
        plumb_body_lead(call);
        return plumb_ask(call, 1);
    }
    const json_t *reply = plumb_reply_json(call), *tree = plumb_lead_tree(call);
    bool same = reply == plumb_reply_json(call) && tree == plumb_lead_tree(call) &&
                strcmp(plumb_lead(call, "phone"), tree_text(call, "phone")) == 0;
    return plumb_end_because(
        call, same ? PLUMB_OUT_permanent : PLUMB_OUT_bug, "%s|%s|%s|%zu|%zu|%d",
        tree_text(call, "name"), plumb_lead(call, "data"), plumb_lead(call, "none"),
        json_object_size(plumb_mapped(call)), json_object_size(plumb_checkpoint(call)),
        (int)json_integer_value(json_object_get(reply, "n")));
}

PLUMB_EXPORT const plumb_channel_t plumb_channel = {PLUMB_CHANNEL_HEAD, .code = "look",
                                                    .title = "Looks",   .version = "1.0.0",
                                                    .fields = fields,   .send = look_send};
