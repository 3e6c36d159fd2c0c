/* rude: breaks the contract of a step in the way its credential names. */
#include <plumb/channel.h>

#include <string.h>

static const plumb_field_t fields[] = {
    {.name = "how", .type = PLUMB_FIELD_TEXT, .flags = PLUMB_REQUIRED, .title = "How"},
    {.name = "url", .type = PLUMB_FIELD_URL, .title = "Address"},
    {0}};

static bool is(plumb_call_t *call, const char *how)
{
    return strcmp(plumb_field(call, "how"), how) == 0;
}

static void ask_rudely(plumb_call_t *call)
{
    static char large[(1 << 20) + 1];
    if (is(call, "header"))
        plumb_header(call, "X-Name", "%s", "a\r\nX-Smuggled: 1");
    if (is(call, "header name"))
        plumb_header(call, "X-Name: a\r\nX", "%s", "b");
    if (is(call, "length"))
        plumb_header(call, "content-length", "%d", 3);
    if (is(call, "chunked"))
        plumb_header(call, "Transfer-Encoding", "%s", "chunked");
    if (is(call, "twice"))
        plumb_request(call, "POST", plumb_field(call, "url"));
    if (is(call, "large"))
        plumb_body(call, "text/plain", large, sizeof large);
    if (is(call, "checkpoint"))
        json_object_set_new(plumb_checkpoint(call), "x", json_stringn(large, 0));
    for (int i = 0; is(call, "checkpoint") && i < 200; i++)
        json_object_set_new(plumb_checkpoint(call), plumb_format(call, "k%d", i), json_integer(i));
    for (int i = 0; is(call, "many headers") && i < 100; i++)
        plumb_header(call, plumb_format(call, "X-%d", i), "%d", i);
    if (is(call, "id"))
        plumb_external_id(call, plumb_format(call, "%0300d", 1));
}

static plumb_step_t rude_send(plumb_call_t *call)
{
    if (is(call, "outcome"))
        return plumb_end(call, (plumb_outcome_t)77);
    if (is(call, "nothing"))
        return plumb_ask(call, 1);
    if (is(call, "mail"))
        plumb_mail(call, "smtp://127.0.0.1:25", "a@b.example>\r\nRCPT TO:<c@d.example", NULL, NULL);
    else
        plumb_request(call, is(call, "method") ? "GET / HTTP/1.1\r\nX:" : "POST",
                      is(call, "url") ? "http://127.0.0.1/a\r\nb" : plumb_field(call, "url"));
    ask_rudely(call);
    return plumb_ask(call, 0); /* "steps": for ever */
}

PLUMB_EXPORT const plumb_channel_t plumb_channel = {PLUMB_CHANNEL_HEAD, .code = "rude",
                                                    .title = "Rude",    .version = "1.0.0",
                                                    .fields = fields,   .send = rude_send};
