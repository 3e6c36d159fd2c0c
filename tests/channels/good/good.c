/* good: a channel that may be replaced by itself. */
#include <plumb/channel.h>

static const plumb_field_t fields[] = {
    {.name = "n", .type = PLUMB_FIELD_INT, .title = "Number", .initial = "3", .min = 1, .max = 9},
    {0}};

static const plumb_limit_t limits[] = {{.key = NULL, .per_kilosecond = 7000, .burst = 7},
                                       {.key = "", .per_kilosecond = 500, .burst = 1},
                                       {0}};

static plumb_step_t good_send(plumb_call_t *call)
{
    return plumb_end_because(call, PLUMB_OUT_ok, "n is %d",
                             (int)json_integer_value(json_object_get(call->fields, "n")));
}

PLUMB_EXPORT const plumb_channel_t plumb_channel = {PLUMB_CHANNEL_HEAD,
                                                    .code = "good",
                                                    .title = "Good \"one\"",
                                                    .version = "1.2.3",
                                                    .schedule = PLUMB_SCHEDULE_MAIL,
                                                    .fields = fields,
                                                    .limits = limits,
                                                    .send = good_send};
