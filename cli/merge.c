/* Cutting streams into lines and ordering them. */
#include "merge.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void merge_fini(merge_t *merge)
{
    for (int i = 0; i < MERGE_SOURCES_MAX; i++)
        plumb_buf_fini(&merge->rest[i]);
    plumb_buf_fini(&merge->text);
    free(merge->lines);
    *merge = (merge_t){0};
}

/* "2026-01-02T03:04:05.678" as our daemons write it, or PostgreSQL with a blank for the T. */
static bool read_stamp(char out[MERGE_STAMP], const char *line, size_t length)
{
    static const char form[] = "0000-00-00T00:00:00.000";
    if (length < sizeof form - 1)
        return false;
    for (size_t i = 0; i < sizeof form - 1; i++) {
        char c = line[i] == ' ' ? 'T' : line[i];
        if (form[i] == '0' ? c < '0' || c > '9' : c != form[i])
            return false;
        out[i] = c;
    }
    out[sizeof form - 1] = '\0';
    return true;
}

static merge_line_t *new_line(merge_t *m)
{
    if (m->count == m->capacity) {
        size_t capacity = m->capacity == 0 ? 64 : m->capacity * 2;
        merge_line_t *lines = reallocarray(m->lines, capacity, sizeof *lines);
        if (lines == NULL)
            return NULL;
        m->lines = lines;
        m->capacity = capacity;
    }
    return &m->lines[m->count];
}

/* The gathered bytes of a source are one line now. */
static void end_line(merge_t *m, unsigned source)
{
    plumb_buf_t *rest = &m->rest[source];
    merge_line_t *line = new_line(m);
    size_t start = m->text.length;
    if (line != NULL && rest->length > 0)
        plumb_buf_put(&m->text, rest->data, rest->length);
    if (line != NULL && !m->text.failed && !rest->failed) {
        if (rest->length > 0)
            read_stamp(m->stamp[source], rest->data, rest->length);
        *line = (merge_line_t){
            .start = start, .length = rest->length, .source = source, .order = (unsigned)m->count};
        memcpy(line->stamp, m->stamp[source], sizeof line->stamp);
        m->count++;
    }
    plumb_buf_clear(rest);
}

void merge_feed(merge_t *m, unsigned source, const char *data, size_t length)
{
    while (length > 0) {
        const char *newline = memchr(data, '\n', length);
        size_t piece = newline == NULL ? length : (size_t)(newline - data);
        size_t room = MERGE_LINE_MAX - m->rest[source].length;
        bool ends = newline != NULL && piece <= room;
        if (piece > room)
            piece = room;
        plumb_buf_put(&m->rest[source], data, piece);
        if (ends || m->rest[source].length >= MERGE_LINE_MAX)
            end_line(m, source);
        data += piece + (ends ? 1 : 0);
        length -= piece + (ends ? 1 : 0);
    }
}

static int compare(const void *left, const void *right)
{
    const merge_line_t *a = left, *b = right;
    int by_time = strcmp(a->stamp, b->stamp);
    return by_time != 0 ? by_time : (a->order > b->order) - (a->order < b->order);
}

void merge_flush(merge_t *m, merge_emit_fn emit, void *self)
{
    if (m->count > 0)
        qsort(m->lines, m->count, sizeof *m->lines, compare);
    for (size_t i = 0; i < m->count; i++)
        emit(self, m->lines[i].source,
             m->lines[i].length > 0 ? m->text.data + m->lines[i].start : "", m->lines[i].length);
    m->count = 0;
    plumb_buf_clear(&m->text);
}
