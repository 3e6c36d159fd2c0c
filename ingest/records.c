/* Records of a stream. */
#include "records.h"

#include <string.h>

#define PIECE 16384

void records_fini(records_t *records)
{
    plumb_buf_wipe(&records->buf);
}

/* Behind the record that begins at `at`; NULL: its end has not come yet.  In CSV a line's end
 * between quotes is none. */
static const char *end_of(const records_t *r, const char *at, const char *end)
{
    bool quoted = false;
    if (!r->is_csv)
        return memchr(at, '\n', (size_t)(end - at));
    for (; at < end; at++) {
        if (*at == '"')
            quoted = !quoted;
        else if (*at == '\n' && !quoted)
            return at;
    }
    return NULL;
}

/* More bytes behind those that are there. */
static int fill(records_t *r, plumb_err_t *err)
{
    size_t left = r->buf.length - r->at;
    if (left > r->record_max)
        return plumb_err_set(err, PLUMB_E_TOO_LARGE, "a record is larger than %zu bytes",
                             r->record_max);
    if (r->at > 0 && r->buf.data != NULL)
        memmove(r->buf.data, r->buf.data + r->at, left);
    r->buf.length = left;
    r->at = 0;
    plumb_buf_reserve(&r->buf, PIECE);
    if (r->buf.failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "records");
    int n = r->read(r->source, r->buf.data + left, PIECE, err);
    if (n < 0)
        return n;
    r->buf.length += (size_t)n;
    r->total += (size_t)n;
    r->has_ended = n == 0;
    if (r->total > r->total_max)
        return plumb_err_set(err, PLUMB_E_TOO_LARGE, "the body is larger than %zu bytes",
                             r->total_max);
    return 0;
}

/* Take the record up to `end`. */
static void take(records_t *r, const char *end, plumb_slice_t *record)
{
    const char *begin = r->buf.data + r->at;
    *record = (plumb_slice_t){begin, (size_t)(end - begin)};
    r->line = r->next_line + 1;
    for (const char *at = begin; at <= end && at < r->buf.data + r->buf.length; at++)
        r->next_line += *at == '\n';
    r->at = (size_t)(end - r->buf.data) + (end < r->buf.data + r->buf.length);
    if (record->length > 0 && record->data[record->length - 1] == '\r')
        record->length--;
}

int records_next(records_t *records, plumb_slice_t *record, plumb_err_t *err)
{
    records_t *r = records;
    for (;;) {
        const char *begin = r->buf.data + r->at, *all = r->buf.data + r->buf.length;
        const char *end = r->at < r->buf.length ? end_of(r, begin, all) : NULL;
        if (end == NULL && r->has_ended) {
            if (r->at == r->buf.length)
                return 0;
            end = all;
        }
        if (end == NULL) {
            int rc = fill(r, err);
            if (rc < 0)
                return rc;
            continue;
        }
        take(r, end, record);
        if (record->length > r->record_max)
            return plumb_err_set(err, PLUMB_E_TOO_LARGE, "a record is larger than %zu bytes",
                                 r->record_max);
        if (record->length > 0)
            return 1;
    }
}

/* ---- CSV ---- */

/* One value that begins at `*at`, which moves behind it.  False: its quotes are wrong. */
static bool split_value(char **at, const char *end, plumb_slice_t *value)
{
    char *out = *at, *from = *at;
    if (from == end || *from != '"') {
        char *stop = memchr(from, ',', (size_t)(end - from));
        *at = stop == NULL ? from + (end - from) : stop;
        *value = (plumb_slice_t){from, (size_t)(*at - from)};
        return true;
    }
    char *begin = out;
    for (from++; from < end; from++) {
        if (*from == '"' && (from + 1 == end || from[1] != '"'))
            break;
        from += *from == '"'; /* two stand for one */
        *out++ = *from;
    }
    *value = (plumb_slice_t){begin, (size_t)(out - begin)};
    *at = from + 1;
    return from < end && (from + 1 == end || from[1] == ',');
}

int records_split(char *row, size_t length, plumb_slice_t *values, int max)
{
    const char *end = row + length;
    int count = 0;
    for (;;) {
        if (count == max)
            return max + 1;
        if (!split_value(&row, end, &values[count++]))
            return -1;
        if (row == end)
            return count;
        row++;
    }
}
