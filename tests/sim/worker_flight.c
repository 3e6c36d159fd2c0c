/* worker/flight.h over memory that outlives its process, as the mapped file does. */
#include "worker_flight.h"

#include "sim.h"

#include <stdlib.h>
#include <string.h>

struct flight {
    flight_file_t *file;
    int node;
    int unused[FLIGHT_SLOTS];
    unsigned unused_count;
};

flight_t *flight_of(flight_file_t *file, int node)
{
    flight_t *flight = calloc(1, sizeof *flight);
    if (flight == NULL)
        abort();
    flight->file = file;
    flight->node = node;
    for (int slot = FLIGHT_SLOTS; slot-- > 0;)
        if (file->records[slot].phase == FLIGHT_FREE)
            flight->unused[flight->unused_count++] = slot;
    return flight;
}

static char *put_text(char *at, plumb_slice_t *text)
{
    if (text->length > 0)
        memcpy(at, text->data, text->length);
    text->data = at;
    return at + text->length;
}

void flight_own(flight_t *flight, uint64_t instance)
{
    if (!sim_acts(flight->node))
        flight->file->instance = instance;
}

bool flight_next(flight_t *flight, int from, flight_left_t *left)
{
    for (int slot = from; slot < FLIGHT_SLOTS; slot++) {
        flight_record_t *record = &flight->file->records[slot];
        if (record->phase == FLIGHT_FREE)
            continue;
        *left = (flight_left_t){slot, record->phase, record->call, record->note};
        return true;
    }
    return false;
}

int flight_take(flight_t *flight, const flight_call_t *call)
{
    if (flight->unused_count == 0)
        return -1;
    int slot = flight->unused[--flight->unused_count];
    if (!sim_acts(flight->node)) {
        flight_record_t *record = &flight->file->records[slot];
        memset(record, 0, sizeof *record);
        record->phase = FLIGHT_ASSIGNED;
        record->call = *call;
    }
    return slot;
}

void flight_phase(flight_t *flight, int slot, flight_phase_t phase)
{
    if (!sim_acts(flight->node))
        flight->file->records[slot].phase = phase;
}

void flight_note(flight_t *flight, int slot, flight_phase_t phase, const flight_note_t *note)
{
    flight_record_t *record = &flight->file->records[slot];
    if (sim_acts(flight->node))
        return;
    flight_note_t copy = *note; /* what it borrows may lie in the record itself */
    char text[sizeof record->text], *at = text;
    at = put_text(at, &copy.detail);
    at = put_text(at, &copy.external_id);
    put_text(at, &copy.checkpoint);
    memcpy(record->text, text, sizeof text);
    copy.detail.data = record->text;
    copy.external_id.data = copy.detail.data + copy.detail.length;
    copy.checkpoint.data = copy.external_id.data + copy.external_id.length;
    record->note = copy;
    record->phase = phase;
    if (phase == FLIGHT_ANSWERED && note->outcome != PLUMB_OUT_ambiguous)
        sim_noted(&record->call.ticket, flight->node);
}

void flight_free(flight_t *flight, int slot)
{
    flight_record_t *record = &flight->file->records[slot];
    if (!sim_acts(flight->node)) {
        if (record->phase == FLIGHT_ANSWERED)
            sim_acked(&record->call.ticket, flight->node);
        record->phase = FLIGHT_FREE;
    }
    flight->unused[flight->unused_count++] = slot;
}
