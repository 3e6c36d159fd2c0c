/* The flight file. */
#include "flight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0x74686c66u /* "flht" */
#define LAYOUT 3u
#define RECORD_SIZE 384
#define LONG_SIZE 2048 /* of one record's two long texts */
#define PAGE_SIZE 4096
#define FIRST_SUM 2166136261u /* FNV-1a */
#define SHORT_MAX 64          /* nearly all notes: an id, or a sentence */
#define TEXT_MAX (FLIGHT_DETAIL_MAX + FLIGHT_EXTERNAL_MAX + FLIGHT_CHECKPOINT_MAX)

typedef struct header {
    uint32_t magic, layout, record_size, slots;
    _Atomic uint64_t instance;
} header_t;

/* Behind the header stands one word a record, its phase and which note is in force.  They stand
 * together so that looking for what is used touches one page, not all of the file. */
typedef _Atomic uint32_t state_t;

typedef struct note {
    uint32_t check; /* of all that follows but `text`, then of the texts */
    uint16_t detail, external_id, checkpoint; /* lengths of the texts, in this order */
    uint16_t status, requests;
    uint8_t outcome, blamed, resend;
    int64_t retry_after_ms;
    plumb_timings_t timings;
    char text[SHORT_MAX]; /* the texts, when they fit; else they stand in the long place */
} note_t;

typedef struct record {
    uint32_t check; /* of `call` */
    flight_call_t call;
    note_t note[2];
} record_t;

#define NOTE_SHIFT 8
#define PHASE_MASK 0xffu

_Static_assert(sizeof(record_t) <= RECORD_SIZE, "a record fits its place");
_Static_assert(2 * TEXT_MAX <= LONG_SIZE, "two long texts fit their place");
_Static_assert(sizeof(header_t) <= PAGE_SIZE, "the header fits its place");

struct flight {
    int fd;
    size_t size;
    char *map;
    uint64_t previous;
    unsigned slots, damaged;
    int *unused; /* a stack: the same few pages are used again and again */
    unsigned unused_count;
};

static header_t *header_of(const flight_t *flight)
{
    return (header_t *)(void *)flight->map;
}

static state_t *state_of(const flight_t *flight, int slot)
{
    return (state_t *)(void *)(flight->map + PAGE_SIZE) + slot;
}

/* Where the records begin. */
static size_t records_at(unsigned slots)
{
    size_t states = (size_t)slots * sizeof(state_t);
    return PAGE_SIZE + (states + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
}

static record_t *record_of(const flight_t *flight, int slot)
{
    size_t at = records_at(header_of(flight)->slots) + (size_t)slot * RECORD_SIZE;
    return (record_t *)(void *)(flight->map + at);
}

static uint32_t checksum(uint32_t sum, const void *data, size_t length)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ at[i]) * 16777619u;
    return sum;
}

static size_t text_length(const note_t *note)
{
    return (size_t)note->detail + note->external_id + note->checkpoint;
}

/* Where the texts of note `which` (0, 1) stand, by their length.  Long ones have a place apart, so
 * that many records share a page of memory. */
static char *texts_of(const flight_t *flight, int slot, unsigned which, size_t length)
{
    if (length <= SHORT_MAX)
        return record_of(flight, slot)->note[which].text;
    unsigned slots = header_of(flight)->slots;
    return flight->map + records_at(slots) + (size_t)slots * RECORD_SIZE +
           (size_t)slot * LONG_SIZE + (size_t)which * TEXT_MAX;
}

static uint32_t note_check(const note_t *note, const char *texts)
{
    size_t begin = offsetof(note_t, detail);
    uint32_t sum = checksum(FIRST_SUM, (const char *)note + begin, offsetof(note_t, text) - begin);
    return checksum(sum, texts, text_length(note));
}

/* ---- opening ---- */

static size_t size_for(unsigned slots)
{
    return records_at(slots) + (size_t)slots * (RECORD_SIZE + LONG_SIZE);
}

static int map_file(flight_t *flight, size_t size, plumb_err_t *err)
{
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, flight->fd, 0);
    if (map == MAP_FAILED)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "map: %s", strerror(errno));
    flight->map = map;
    flight->size = size;
    return 0;
}

static void unmap_file(flight_t *flight)
{
    if (flight->map != NULL)
        munmap(flight->map, flight->size);
    flight->map = NULL;
}

/* All blocks are reserved at once, since a full file system would otherwise kill us at a store. */
static int make_file(flight_t *flight, unsigned slots, plumb_err_t *err)
{
    unmap_file(flight);
    size_t size = size_for(slots);
    if (ftruncate(flight->fd, 0) != 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "truncate: %s", strerror(errno));
    int code = posix_fallocate(flight->fd, 0, (off_t)size);
    if (code != 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "reserve %zu bytes: %s", size, strerror(code));
    int rc = map_file(flight, size, err);
    if (rc < 0)
        return rc;
    header_t *header = header_of(flight);
    header->layout = LAYOUT;
    header->record_size = RECORD_SIZE;
    header->slots = slots;
    atomic_signal_fence(memory_order_release); /* the magic comes last: a half-made file has none */
    header->magic = MAGIC;
    return 0;
}

/* Is the mapped file one of ours, whole? */
static bool is_ours(const flight_t *flight)
{
    const header_t *header = header_of(flight);
    return header->magic == MAGIC && header->layout == LAYOUT &&
           header->record_size == RECORD_SIZE && header->slots > 0 &&
           flight->size == size_for(header->slots);
}

static bool is_used(const flight_t *flight)
{
    for (unsigned i = 0; i < header_of(flight)->slots; i++)
        if (*state_of(flight, (int)i) != FLIGHT_FREE)
            return true;
    return false;
}

static int read_or_make(flight_t *flight, unsigned slots, plumb_err_t *err)
{
    struct stat is;
    if (fstat(flight->fd, &is) != 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "stat: %s", strerror(errno));
    if ((size_t)is.st_size < size_for(1))
        return make_file(flight, slots, err);
    int rc = map_file(flight, (size_t)is.st_size, err);
    if (rc < 0)
        return rc;
    if (!is_ours(flight))
        return make_file(flight, slots, err);
    flight->previous = header_of(flight)->instance;
    if (header_of(flight)->slots == slots || is_used(flight))
        return 0;
    uint64_t previous = flight->previous;
    rc = make_file(flight, slots, err);
    if (rc == 0)
        header_of(flight)->instance = previous;
    return rc;
}

static int lock_file(flight_t *flight, const char *path, plumb_err_t *err)
{
    flight->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (flight->fd < 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "open: %s", strerror(errno));
    if (flock(flight->fd, LOCK_EX | LOCK_NB) != 0)
        return plumb_err_set(err, PLUMB_E_CONFIG, "another process works in this slot");
    return 0;
}

static int list_unused(flight_t *flight, plumb_err_t *err)
{
    flight->slots = header_of(flight)->slots;
    flight->unused = malloc(flight->slots * sizeof *flight->unused);
    if (flight->unused == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "list %u slots", flight->slots);
    for (int i = (int)flight->slots - 1; i >= 0; i--)
        if (*state_of(flight, i) == FLIGHT_FREE)
            flight->unused[flight->unused_count++] = i;
    return 0;
}

int flight_open(flight_t **ret, const char *path, unsigned slots, plumb_err_t *err)
{
    *ret = NULL;
    flight_t *flight = calloc(1, sizeof *flight);
    if (flight == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "open '%s'", path);
    int rc = lock_file(flight, path, err);
    if (rc == 0)
        rc = read_or_make(flight, slots, err);
    if (rc == 0)
        rc = list_unused(flight, err);
    if (rc < 0) {
        flight_close(&flight);
        return plumb_err_add(err, "flight file '%s'", path);
    }
    *ret = flight;
    return 0;
}

void flight_close(flight_t **flight)
{
    if (*flight == NULL)
        return;
    unmap_file(*flight);
    if ((*flight)->fd >= 0)
        close((*flight)->fd);
    free((*flight)->unused);
    free(*flight);
    *flight = NULL;
}

unsigned flight_slots(const flight_t *flight)
{
    return flight->slots;
}

uint64_t flight_previous(const flight_t *flight)
{
    return flight->previous;
}

void flight_own(flight_t *flight, uint64_t instance)
{
    atomic_store_explicit(&header_of(flight)->instance, instance, memory_order_release);
}

/* ---- reading what was left ---- */

static void read_note(flight_note_t *out, const note_t *note, const char *text)
{
    *out = (flight_note_t){.outcome = note->outcome,
                           .blamed = note->blamed,
                           .resend = note->resend,
                           .status = note->status,
                           .requests = note->requests,
                           .retry_after_ms = note->retry_after_ms,
                           .timings = note->timings};
    out->detail = (plumb_slice_t){text, note->detail};
    out->external_id = (plumb_slice_t){text + note->detail, note->external_id};
    out->checkpoint = (plumb_slice_t){text + note->detail + note->external_id, note->checkpoint};
}

/* A note that does not stand leaves only what the phase says; a result without its note is no
 * result: bytes had left, and how it ended is not known. */
static void take_note(flight_t *flight, flight_left_t *left, unsigned which)
{
    const note_t *note = &record_of(flight, left->slot)->note[which];
    size_t length = text_length(note);
    const char *texts = length <= TEXT_MAX ? texts_of(flight, left->slot, which, length) : NULL;
    left->note = (flight_note_t){0};
    if (texts != NULL && note->outcome < PLUMB_OUT_COUNT &&
        note->check == note_check(note, texts)) {
        read_note(&left->note, note, texts);
        return;
    }
    flight->damaged++;
    if (left->phase == FLIGHT_ANSWERED)
        left->phase = FLIGHT_SENT;
}

static bool read_record(flight_t *flight, int slot, flight_left_t *left)
{
    const record_t *record = record_of(flight, slot);
    uint32_t state = atomic_load_explicit(state_of(flight, slot), memory_order_acquire);
    unsigned which = state >> NOTE_SHIFT;
    *left = (flight_left_t){.slot = slot, .phase = state & PHASE_MASK, .call = record->call};
    if (left->phase > FLIGHT_ANSWERED || which > 2 ||
        record->check != checksum(FIRST_SUM, &record->call, sizeof record->call))
        return false;
    left->call.channel[FLIGHT_CHANNEL_MAX - 1] = '\0';
    if (which > 0) /* 0: no note yet */
        take_note(flight, left, which - 1);
    return true;
}

bool flight_next(flight_t *flight, int from, flight_left_t *left)
{
    for (int slot = from; slot < (int)flight->slots; slot++) {
        if (*state_of(flight, slot) == FLIGHT_FREE)
            continue;
        if (read_record(flight, slot, left))
            return true;
        flight->damaged++;
        flight_free(flight, slot);
    }
    return false;
}

unsigned flight_damaged(const flight_t *flight)
{
    return flight->damaged;
}

/* ---- writing ---- */

int flight_take(flight_t *flight, const flight_call_t *call)
{
    if (flight->unused_count == 0)
        return -1;
    int slot = flight->unused[--flight->unused_count];
    record_t *record = record_of(flight, slot);
    memcpy(&record->call, call, sizeof *call); /* padding as well: it is part of the sum */
    record->check = checksum(FIRST_SUM, &record->call, sizeof record->call);
    atomic_store_explicit(state_of(flight, slot), FLIGHT_ASSIGNED, memory_order_release);
    return slot;
}

void flight_phase(flight_t *flight, int slot, flight_phase_t phase)
{
    state_t *word = state_of(flight, slot);
    uint32_t state = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, (state & ~PHASE_MASK) | phase, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst); /* what the phase announces stays behind it */
}

/* A text, or nothing where it is longer than it may be. */
static plumb_slice_t fitting(plumb_slice_t text, size_t max)
{
    return text.length <= max ? text : (plumb_slice_t){0};
}

static void put_texts(char *out, const plumb_slice_t *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (texts[i].length > 0)
            memcpy(out, texts[i].data, texts[i].length);
        out += texts[i].length;
    }
}

void flight_note(flight_t *flight, int slot, flight_phase_t phase, const flight_note_t *note)
{
    record_t *record = record_of(flight, slot);
    uint32_t state = atomic_load_explicit(state_of(flight, slot), memory_order_relaxed);
    unsigned which = (state >> NOTE_SHIFT) == 1 ? 2 : 1;
    note_t *out = &record->note[which - 1];
    memset(out, 0, offsetof(note_t, text));
    out->outcome = (uint8_t)note->outcome;
    out->blamed = note->blamed;
    out->resend = note->resend;
    out->status = note->status;
    out->requests = note->requests;
    out->retry_after_ms = note->retry_after_ms;
    out->timings = note->timings;
    const plumb_slice_t texts[] = {fitting(note->detail, FLIGHT_DETAIL_MAX),
                                   fitting(note->external_id, FLIGHT_EXTERNAL_MAX),
                                   fitting(note->checkpoint, FLIGHT_CHECKPOINT_MAX)};
    out->detail = (uint16_t)texts[0].length;
    out->external_id = (uint16_t)texts[1].length;
    out->checkpoint = (uint16_t)texts[2].length;
    char *place = texts_of(flight, slot, which - 1, text_length(out));
    put_texts(place, texts, 3);
    out->check = note_check(out, place);
    atomic_store_explicit(state_of(flight, slot), (which << NOTE_SHIFT) | phase,
                          memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
}

void flight_free(flight_t *flight, int slot)
{
    atomic_store_explicit(state_of(flight, slot), FLIGHT_FREE, memory_order_release);
    flight->unused[flight->unused_count++] = slot;
}
