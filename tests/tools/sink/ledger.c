/* One line for each request that was received whole. */
#include "sink.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#define LEDGER_BLOCK 65536

void ledger_flush(sink_t *s)
{
    for (size_t done = 0; done < s->lines.length;) {
        ssize_t n = write(s->ledger, s->lines.data + done, s->lines.length - done);
        if (n < 0 && errno != EINTR)
            sink_die("ledger");
        done += n > 0 ? (size_t)n : 0;
    }
    plumb_buf_clear(&s->lines);
}

static int64_t wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void put_text(plumb_buf_t *out, const text_t *text)
{
    plumb_buf_put(out, " ", 1);
    if (text->length > 0)
        plumb_buf_put(out, text->at, text->length);
    else
        plumb_buf_put(out, "-", 1);
}

void ledger_note(sink_t *s, const conn_t *c, const request_t *r)
{
    plumb_buf_printf(&s->lines, "%" PRId64, wall_us());
    put_text(&s->lines, &r->id);
    put_text(&s->lines, &r->attempt);
    put_text(&s->lines, &r->path);
    plumb_buf_printf(&s->lines, " %d %zu %" PRId64 "\n", c->status, r->body, r->stamp);
    if (s->lines.failed)
        sink_die("memory");
    if (s->lines.length > LEDGER_BLOCK)
        ledger_flush(s);
}
