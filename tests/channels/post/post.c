/* post: a mail to two people, as its credential says. */
#include <plumb/channel.h>

#include <string.h>

static const plumb_field_t fields[] = {
    {.name = "url", .type = PLUMB_FIELD_URL, .flags = PLUMB_REQUIRED, .title = "Server"},
    {.name = "user", .type = PLUMB_FIELD_TEXT, .title = "User"},
    {.name = "wait_ms", .type = PLUMB_FIELD_INT, .title = "Patience"},
    {.name = "password", .type = PLUMB_FIELD_TEXT, .flags = PLUMB_SECRET, .title = "Password"},
    {0}};

static plumb_outcome_t outcome_of(int status)
{
    return status < 400    ? PLUMB_OUT_ok
           : status < 500  ? PLUMB_OUT_retry
           : status == 535 ? PLUMB_OUT_credentials
                           : PLUMB_OUT_permanent;
}

static plumb_step_t post_send(plumb_call_t *call)
{
    static const char text[] =
        "Subject: New lead\r\n\r\nA line\r\n.dot at its begin\r\n.\r\nend\r\n";
    const char *user = plumb_field(call, "user");
    if (call->stage > 0)
        return plumb_end_because(call, outcome_of(call->reply->status), "the server said %d",
                                 call->reply->status);
    plumb_mail(call, plumb_field(call, "url"), "plumb@here.example", user[0] != '\0' ? user : NULL,
               user[0] != '\0' ? plumb_field(call, "password") : NULL);
    plumb_mail_to(call, "first@there.example");
    plumb_mail_to(call, "second@there.example");
    plumb_body(call, NULL, text, strlen(text));
    plumb_timeout(call, json_integer_value(json_object_get(call->fields, "wait_ms")));
    return plumb_ask(call, 1);
}

PLUMB_EXPORT const plumb_channel_t plumb_channel = {PLUMB_CHANNEL_HEAD, .code = "post",
                                                    .title = "Post",    .version = "1.0.0",
                                                    .fields = fields,   .send = post_send};
