/* Sealing: XChaCha20-Poly1305 with keys by id (reliability 5).
 *
 *   master key (file, operator) ── wraps ──▶ account key (table account_keys)
 *               ── wraps ──▶ index key (table account_index_keys): blind indexes, lib/blind.h
 *   account key ── wraps ──▶ a lead's data key (leads.sealed_key); seals credentials
 *   data key    ── seals ──▶ the lead's personal data (leads.sealed), its idempotent answer
 *               ── derives ▶ the attempt key, by which a worker seals what it keeps of an exchange;
 *                            the worker never sees any other key
 *
 * A frame is: version (1 byte, 1), key id (4, big endian), nonce (24), ciphertext of the plaintext
 * padded to 64 bytes (ISO/IEC 7816-4), tag (16).  Additional data binds purpose, account, subject,
 * column and key id, so that a frame moved to another row or column does not open. */
#ifndef PLUMB_SEAL_H
#define PLUMB_SEAL_H

#include "buf.h"
#include "err.h"
#include "uuid.h"

#define PLUMB_KEY_BYTES 32

typedef struct plumb_key {
    uint32_t id;
    uint8_t bytes[PLUMB_KEY_BYTES];
} plumb_key_t;

/* What a frame belongs to. `purpose` and `column` are short constants ("lead", "personal"). */
typedef struct plumb_seal_place {
    const char *purpose;
    plumb_uuid_t account;
    plumb_uuid_t subject;
    const char *column;
} plumb_seal_place_t;

/* Append the frame of `plain` to `out`. */
int plumb_seal(plumb_buf_t *out, const plumb_key_t *key, const plumb_seal_place_t *place,
               const void *plain, size_t length, plumb_err_t *err);

/* Append the plaintext of `frame` to `out`.  SEAL: not ours, cut, changed, moved, or another key's.
 */
int plumb_seal_open(plumb_buf_t *out, const plumb_key_t *key, const plumb_seal_place_t *place,
                    const void *frame, size_t length, plumb_err_t *err);

/* The key id a frame names; 0 when it is no frame. */
uint32_t plumb_seal_key_id(const void *frame, size_t length);

/* A fresh random key. */
void plumb_key_new(plumb_key_t *key, uint32_t id);

/* The key a worker seals one attempt's exchange with.  Its id is fixed, since a job carries the
 * bytes only. */
#define PLUMB_ATTEMPT_KEY_ID 1
void plumb_key_attempt(plumb_key_t *attempt, const plumb_key_t *data_key);

/* ---- master keys ---- */

/* All master keys of a directory, in locked memory.  The highest id seals, the others only open. */
typedef struct plumb_keyring plumb_keyring_t;

/* Load master-<id>.key files (32 bytes as 64 hex digits).  KEY: none there, readable by others,
 * memory cannot be locked. */
int plumb_keyring_open(plumb_keyring_t **ret, const char *dir, plumb_err_t *err);
void plumb_keyring_destroy(plumb_keyring_t **keyring);

/* Make a new master key file, mode 0600, synced; never overwrites.  Its id goes to `id`. */
int plumb_keyring_generate(const char *dir, uint32_t *id, plumb_err_t *err);

/* Wrap and unwrap an account's key (frame with place {"account-key", account, account, "key"}). */
int plumb_keyring_wrap(const plumb_keyring_t *keyring, plumb_buf_t *out,
                       const plumb_uuid_t *account, const plumb_key_t *key, plumb_err_t *err);
int plumb_keyring_unwrap(const plumb_keyring_t *keyring, plumb_key_t *key, uint32_t key_id,
                         const plumb_uuid_t *account, const void *frame, size_t length,
                         plumb_err_t *err);

/* The same for the key of an account's blind indexes (place {"index-key", account, account,
 * "key"}), whose id is fixed: there is one, for ever. */
#define PLUMB_INDEX_KEY_ID 1
int plumb_keyring_wrap_index(const plumb_keyring_t *keyring, plumb_buf_t *out,
                             const plumb_uuid_t *account, const plumb_key_t *key, plumb_err_t *err);
int plumb_keyring_unwrap_index(const plumb_keyring_t *keyring, plumb_key_t *key,
                               const plumb_uuid_t *account, const void *frame, size_t length,
                               plumb_err_t *err);

/* The id of the newest master key: it seals. */
uint32_t plumb_keyring_newest(const plumb_keyring_t *keyring);

/* Keyed hash (BLAKE2b-256) of a token's secret under a key derived from master key `master_id`
 * (0: the newest; the id used goes to `used`). */
#define PLUMB_TOKEN_HASH 32
int plumb_keyring_token_hash(const plumb_keyring_t *keyring, uint32_t master_id, const char *secret,
                             size_t length, uint8_t hash[PLUMB_TOKEN_HASH], uint32_t *used,
                             plumb_err_t *err);

/* The same for what is handed out and must come back as it was: a tag over `data` under a key that
 * is derived for `purpose` (8 bytes). */
#define PLUMB_TAG 16
int plumb_keyring_tag(const plumb_keyring_t *keyring, uint32_t master_id, const char purpose[9],
                      const void *data, size_t length, uint8_t tag[PLUMB_TAG], uint32_t *used,
                      plumb_err_t *err);

#endif
