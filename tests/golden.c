/* Golden files. */
#include "golden.h"

#include "buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool is_writing(void)
{
    const char *mode = getenv("PLUMB_GOLDEN");
    return mode != NULL && strcmp(mode, "write") == 0;
}

static void path_of(const char *name, char *out, size_t size)
{
    const char *source = getenv("PLUMB_SOURCE");
    snprintf(out, size, "%s/tests/golden/%s", source != NULL ? source : ".", name);
}

static void read_file(const char *path, plumb_buf_t *out)
{
    char piece[4096];
    size_t got;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        fail_msg("%s is missing; PLUMB_GOLDEN=write makes it", path);
    while ((got = fread(piece, 1, sizeof piece, file)) > 0)
        plumb_buf_put(out, piece, got);
    fclose(file);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
        fail_msg("%s cannot be written", path);
}

void golden_text(const char *name, const char *text)
{
    char path[4096];
    plumb_buf_t want = {0};
    path_of(name, path, sizeof path);
    if (is_writing())
        write_file(path, text);
    read_file(path, &want);
    if (strcmp(want.data != NULL ? want.data : "", text) != 0)
        fail_msg("%s differs: got\n%s", name, text);
    plumb_buf_fini(&want);
}

static void dump_line(plumb_buf_t *out, const uint8_t *at, size_t offset, size_t count)
{
    plumb_buf_printf(out, "%04zx ", offset);
    for (size_t i = 0; i < 16; i++)
        if (i < count)
            plumb_buf_printf(out, " %02x", at[i]);
        else
            plumb_buf_text(out, "   ");
    plumb_buf_text(out, "  ");
    for (size_t i = 0; i < count; i++)
        plumb_buf_printf(out, "%c", at[i] >= 0x20 && at[i] < 0x7f ? at[i] : '.');
    plumb_buf_text(out, "\n");
}

void golden_bytes(const char *name, const void *data, size_t length)
{
    plumb_buf_t dump = {0};
    for (size_t at = 0; at < length; at += 16)
        dump_line(&dump, (const uint8_t *)data + at, at, length - at < 16 ? length - at : 16);
    golden_text(name, dump.data != NULL ? dump.data : "");
    plumb_buf_fini(&dump);
}
