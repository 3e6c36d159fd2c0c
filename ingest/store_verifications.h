/* Phone verifications in the database. */
#ifndef INGEST_STORE_VERIFICATIONS_H
#define INGEST_STORE_VERIFICATIONS_H

#include "buf.h"
#include "readers.h"

#define VERIFICATION_HASH 32
#define VERIFICATION_CLIENT 16

/* A code that is to be sent. */
typedef struct verification_new {
    plumb_uuid_t account, id, event;
    int64_t phone_term;
    const plumb_buf_t *phone, *code; /* frames: the phone; phone and code, for whoever sends it */
    uint8_t client[VERIFICATION_CLIENT];
    uint8_t code_hash[VERIFICATION_HASH];
} verification_new_t;

typedef struct verification_times {
    int64_t created_ms, expires_ms;
    int64_t confirmed_ms; /* 0: not yet */
} verification_times_t;

/* Store it, with the event that asks for its sending.  `retry_ms` above 0: phone or client had its
 * codes of this hour, and nothing was stored.  CONFLICT: the account has chosen no credential that
 * sends codes. */
int store_verification(reader_t *reader, const verification_new_t *verification,
                       verification_times_t *times, int64_t *retry_ms, plumb_err_t *err);

/* Spend a try; `hash` is what the code must have.  NOT_FOUND: there is none such; INVALID: all
 * tries are spent, or it is too old. */
int store_verification_try(reader_t *reader, const plumb_uuid_t *account, const plumb_uuid_t *id,
                           uint8_t hash[VERIFICATION_HASH], plumb_err_t *err);

/* Confirm it, unless it is confirmed already. */
int store_verification_confirm(reader_t *reader, const plumb_uuid_t *account,
                               const plumb_uuid_t *id, verification_times_t *times,
                               plumb_err_t *err);

/* NOT_FOUND: there is none such. */
int store_verification_times(reader_t *reader, const plumb_uuid_t *account, const plumb_uuid_t *id,
                             verification_times_t *times, plumb_err_t *err);

/* The newest confirmed one that covers the phone; nil: none. */
int store_verification_of(reader_t *reader, const plumb_uuid_t *account, int64_t phone_term,
                          plumb_uuid_t *id, plumb_err_t *err);

#endif
