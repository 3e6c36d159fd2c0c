/* Any bytes as a frame: no decoder may crash or take what the check refuses, and what one takes can
 * be encoded again, to a frame that is taken again and says the same. */
#include "msg.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A decoded message of any type, with the memory behind it. */
typedef struct decoded {
    plumb_msg_type_t type;
    plumb_job_t job;
    plumb_result_t result;
    plumb_note_t note;
    plumb_note_space_t space;
} decoded_t;

/* Each decoder walks by itself: what one lets through, the check must have too, as that type. */
static void hold_against_check(const void *frame, size_t length)
{
    plumb_msg_type_t type = PLUMB_MSG_COUNT;
    decoded_t d = {0};
    int checked = plumb_msg_check(frame, length, &type, NULL);
    bool job = plumb_job_decode(&d.job, frame, length, NULL) == 0;
    bool passed = plumb_job_decode_to_pass_on(&d.job, frame, length, NULL) == 0;
    bool result = plumb_result_decode(&d.result, frame, length, NULL) == 0;
    bool note = plumb_note_decode(&d.note, &d.space, frame, length, NULL) == 0;
    plumb_msg_type_t claims = plumb_msg_claims(frame, length);
    if ((job && (!passed || type != PLUMB_MSG_JOB)) || (passed && type != PLUMB_MSG_JOB) ||
        (result && type != PLUMB_MSG_RESULT) || (note && type != d.note.type) ||
        ((passed || result || note) && checked < 0) || (checked == 0 && claims != type))
        abort();
    plumb_note_space_fini(&d.space);
}

static int decode(decoded_t *d, const void *frame, size_t length, plumb_err_t *err)
{
    int rc = plumb_msg_check(frame, length, &d->type, err);
    if (rc < 0)
        return rc;
    if (d->type == PLUMB_MSG_JOB)
        return plumb_job_decode(&d->job, frame, length, err);
    if (d->type == PLUMB_MSG_RESULT)
        return plumb_result_decode(&d->result, frame, length, err);
    return plumb_note_decode(&d->note, &d->space, frame, length, err);
}

static int encode(plumb_buf_t *out, const decoded_t *d, plumb_err_t *err)
{
    if (d->type == PLUMB_MSG_JOB)
        return plumb_job_encode(out, &d->job, err);
    if (d->type == PLUMB_MSG_RESULT)
        return plumb_result_encode(out, &d->result, err);
    return plumb_note_encode(out, &d->note, err);
}

static void must(int rc, const plumb_err_t *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s\n", err->text);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    plumb_err_t err = {0};
    decoded_t first = {0}, second = {0};
    plumb_buf_t once = {0}, twice = {0};
    hold_against_check(data, size);
    if (decode(&first, data, size, &err) == 0) {
        must(encode(&once, &first, &err), &err);
        must(decode(&second, once.data, once.length, &err), &err);
        must(encode(&twice, &second, &err), &err);
        if (once.length != twice.length || memcmp(once.data, twice.data, once.length) != 0)
            abort();
    }
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy != NULL) {
        memcpy(copy, data, size);
        plumb_job_restamp(copy, size, 7, 9, &err);
    }
    free(copy);
    plumb_note_space_fini(&first.space);
    plumb_note_space_fini(&second.space);
    plumb_buf_fini(&once);
    plumb_buf_fini(&twice);
    return 0;
}
