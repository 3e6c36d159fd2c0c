/* The error table and the sentence an error carries. */
#include "err.h"

#include "log.h"
#include "utf8.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *slug, *title;
    int http, exit;
} codes[PLUMB_E_COUNT] = {
    [PLUMB_OK] = {"ok", "OK", 200, 0},
#define PLUMB_ERR_CODE(name, slug, http, exit, title) [PLUMB_E_##name] = {slug, title, http, exit},
#include "err_codes.h"
#undef PLUMB_ERR_CODE
};

/* Copy as much of `text` to `out` (`size` bytes) as fits, whole characters only; the length. */
static size_t copy_text(char *out, size_t size, const char *text)
{
    size_t length = plumb_utf8_cut(text, strlen(text), size - 1);
    memcpy(out, text, length);
    out[length] = '\0';
    return length;
}

/* Sentences are written beside the error first: their arguments may point into it. */
#define SENTENCE_MAX 2048

void plumb_err_fill(plumb_err_t *err, plumb_code_t code, const char *format, ...)
{
    if (err == NULL)
        return;
    char text[SENTENCE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err->code = code;
    copy_text(err->text, sizeof err->text, text);
}

int plumb_err_add(plumb_err_t *err, const char *format, ...)
{
    if (err == NULL)
        return -PLUMB_E_INTERNAL;
    char text[SENTENCE_MAX];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length >= 0 && (size_t)length < sizeof text)
        snprintf(text + length, sizeof text - (size_t)length, ": %s", err->text);
    if (err->code == PLUMB_OK) /* a caller that forgot to set one still fails */
        err->code = PLUMB_E_INTERNAL;
    copy_text(err->text, sizeof err->text, text);
    return -(int)err->code;
}

const char *plumb_code_slug(plumb_code_t code)
{
    return codes[code].slug;
}

const char *plumb_code_title(plumb_code_t code)
{
    return codes[code].title;
}

int plumb_code_http(plumb_code_t code)
{
    return codes[code].http;
}

int plumb_code_exit(plumb_code_t code)
{
    return codes[code].exit;
}

int plumb_exit(int rc, const plumb_err_t *err)
{
    if (rc == 0)
        return 0;
    plumb_log_event(LOG_ERR, "failed", "reason=\"%s\"", err->text);
    return plumb_code_exit(rc < 0 && -rc < PLUMB_E_COUNT ? (plumb_code_t)-rc : PLUMB_E_INTERNAL);
}
