/* two: a send of two requests with a checkpoint between them, as a CRM's contact and deal. */
#include <plumb/channel.h>

static const plumb_field_t fields[] = {
    {.name = "url", .type = PLUMB_FIELD_URL, .flags = PLUMB_REQUIRED, .title = "Address"}, {0}};

static plumb_step_t make(plumb_call_t *call, const char *what, unsigned next)
{
    plumb_request(call, "POST", plumb_format(call, "%s%s", plumb_field(call, "url"), what));
    plumb_body_json(call, plumb_checkpoint(call));
    return plumb_ask(call, next);
}

static plumb_step_t two_send(plumb_call_t *call)
{
    if (call->stage == 0 && json_object_get(plumb_checkpoint(call), "contact") == NULL)
        return make(call, "?contact", 1);
    if (call->stage == 1) {
        if (call->reply->status >= 300)
            return plumb_end(call, plumb_outcome_of_status(call->reply->status));
        json_object_set_new(plumb_checkpoint(call), "contact", json_integer(5));
    }
    if (call->stage < 2)
        return make(call, "?deal", 2);
    return plumb_end(call, plumb_outcome_of_status(call->reply->status));
}

PLUMB_EXPORT const plumb_channel_t plumb_channel = {PLUMB_CHANNEL_HEAD,      .code = "two",
                                                    .title = "Two requests", .version = "1.0.0",
                                                    .fields = fields,        .send = two_send};
