/* One message of each type with every member set that the type uses. */
#ifndef PLUMB_TESTS_MSG_SAMPLES_H
#define PLUMB_TESTS_MSG_SAMPLES_H

#include "msg.h"

plumb_uuid_t sample_uuid(uint8_t seed);
plumb_slice_t sample_text(const char *text);

extern const plumb_held_t sample_held[2];

plumb_job_t sample_job(void);
plumb_result_t sample_result(void);
plumb_note_t sample_note(plumb_msg_type_t type); /* any but JOB and RESULT */

#endif
