/* A ring of events. */
#include "feed_line.h"

#include <stdlib.h>
#include <string.h>

static void drop_first(feed_line_t *line)
{
    line_event_t *e = &line->ring[line->first];
    line->floor = e->place;
    line->bytes -= e->length;
    free(e->kind);
    line->first = (line->first + 1) % LINE_EVENTS;
    line->count--;
}

void line_destroy(feed_line_t **line)
{
    if (line == NULL || *line == NULL)
        return;
    while ((*line)->count > 0)
        drop_first(*line);
    free(*line);
    *line = NULL;
}

const line_event_t *line_event(const feed_line_t *line, size_t i)
{
    return &line->ring[(line->first + i) % LINE_EVENTS];
}

size_t line_find(const feed_line_t *line, const event_place_t *place)
{
    size_t low = 0, high = line->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (event_place_compare(&line_event(line, middle)->place, place) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Kind and text behind each other; NULL: no memory. */
static char *copy(const char *kind, const plumb_buf_t *text)
{
    size_t length = strlen(kind) + 1;
    char *both = text->failed ? NULL : malloc(length + text->length);
    if (both != NULL) {
        memcpy(both, kind, length);
        memcpy(both + length, text->data, text->length);
    }
    return both;
}

void line_add(feed_line_t *line, const PGresult *r, int row, plumb_buf_t *scratch)
{
    event_t event;
    if (!store_event(r, row, &event) || event_place_compare(&event.place, &line->place) <= 0)
        return;
    plumb_buf_clear(scratch);
    store_event_write(scratch, r, row);
    char *both = copy(event.kind, scratch);
    line->place = event.place;
    while (line->count > 0 && (both == NULL || line->count == LINE_EVENTS ||
                               line->bytes + scratch->length > LINE_BYTES))
        drop_first(line);
    if (both == NULL) {
        line->floor = event.place;
        return;
    }
    line->ring[(line->first + line->count++) % LINE_EVENTS] =
        (line_event_t){.place = event.place,
                       .lead = event.lead,
                       .project = event.project,
                       .kind = both,
                       .text = both + strlen(both) + 1,
                       .length = scratch->length};
    line->bytes += scratch->length;
}
