/* null: takes every lead at once and sends it nowhere; for benchmarks and tests. */
#include <plumb/channel.h>

static const plumb_field_t fields[] = {{0}};

static plumb_step_t null_send(plumb_call_t *call)
{
    plumb_external_id(call, call->delivery);
    return plumb_end(call, PLUMB_OUT_ok);
}

static plumb_step_t null_test(plumb_call_t *call)
{
    return plumb_end_because(call, PLUMB_OUT_ok, "there is nothing that could fail");
}

PLUMB_EXPORT const plumb_channel_t plumb_channel = {PLUMB_CHANNEL_HEAD,
                                                    .code = "null",
                                                    .title = "Nowhere",
                                                    .version = "1.0.0",
                                                    .flags = PLUMB_CHANNEL_RESENDS,
                                                    .fields = fields,
                                                    .send = null_send,
                                                    .update = null_send,
                                                    .probe = null_send,
                                                    .test_connection = null_test};
