/* crash: dies, stands still or leaves the process inside a step, as its credential says. */
#include <plumb/channel.h>

#include <signal.h>
#include <string.h>

static const plumb_field_t fields[] = {
    {.name = "how", .type = PLUMB_FIELD_TEXT, .flags = PLUMB_REQUIRED, .title = "How"},
    {.name = "url", .type = PLUMB_FIELD_URL, .title = "Address"},
    {0}};

static void go_wrong(const char *how)
{
    volatile int still = 1;
    if (strcmp(how, "signal") == 0)
        raise(SIGKILL); /* what a sanitizer does not catch first */
    if (strcmp(how, "exit") == 0)
        _Exit(0);
    while (strcmp(how, "loop") == 0 && still) {
    }
}

static plumb_step_t crash_send(plumb_call_t *call)
{
    const char *how = plumb_field(call, "how");
    if (call->stage == 0 && strcmp(how, "answer") == 0) {
        plumb_request(call, "POST", plumb_field(call, "url"));
        return plumb_ask(call, 1);
    }
    go_wrong(call->stage == 1 ? "signal" : how);
    return plumb_end(call, PLUMB_OUT_ok);
}

PLUMB_EXPORT const plumb_channel_t plumb_channel = {PLUMB_CHANNEL_HEAD, .code = "crash",
                                                    .title = "Crashes", .version = "1.0.0",
                                                    .fields = fields,   .send = crash_send};
