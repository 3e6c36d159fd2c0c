/* abi: built for another plugin interface. */
#include <plumb/channel.h>

static const plumb_field_t fields[] = {{0}};

static plumb_step_t abi_send(plumb_call_t *call)
{
    return plumb_end(call, PLUMB_OUT_ok);
}

PLUMB_EXPORT const plumb_channel_t plumb_channel = {.magic = PLUMB_CHANNEL_MAGIC,
                                                    .abi = 99,
                                                    .size = sizeof(plumb_channel_t),
                                                    .code = "abi",
                                                    .title = "From the future",
                                                    .version = "1.0.0",
                                                    .fields = fields,
                                                    .send = abi_send};
