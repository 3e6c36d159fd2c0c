/* The operator's master keys in locked memory, and what is done with them. */
#include "key_file.h"
#include "seal.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

struct plumb_keyring {
    unsigned count;
    plumb_key_t keys[PLUMB_KEYS_MAX]; /* ascending ids: the last seals */
};

static int load_keys(plumb_keyring_t *ring, const char *dir, plumb_err_t *err)
{
    uint32_t ids[PLUMB_KEYS_MAX];
    unsigned count = 0;
    int rc = plumb_key_files(dir, ids, &count, err);
    if (rc == 0 && count == 0)
        rc = plumb_err_set(err, PLUMB_E_KEY, "no master-<id>.key in '%s'", dir);
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        rc = plumb_key_file_read(&ring->keys[i], dir, ids[i], err);
        ring->count = i + 1;
    }
    return rc;
}

int plumb_keyring_open(plumb_keyring_t **ret, const char *dir, plumb_err_t *err)
{
    *ret = NULL;
    if (sodium_init() < 0)
        return plumb_err_set(err, PLUMB_E_KEY, "the cipher library has no random numbers");
    plumb_keyring_t *ring = sodium_malloc(sizeof *ring);
    if (ring == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "keyring");
    int rc = 0;
    ring->count = 0;
    if (sodium_mlock(ring, sizeof *ring) < 0) /* sodium_malloc tries, and is silent about it */
        rc = plumb_err_set(err, PLUMB_E_KEY, "lock keys in memory: %s", strerror(errno));
    if (rc == 0)
        rc = load_keys(ring, dir, err);
    if (rc < 0) {
        plumb_keyring_destroy(&ring);
        return rc;
    }
    sodium_mprotect_readonly(ring);
    *ret = ring;
    return 0;
}

void plumb_keyring_destroy(plumb_keyring_t **keyring)
{
    if (keyring == NULL || *keyring == NULL)
        return;
    sodium_free(*keyring); /* wipes */
    *keyring = NULL;
}

/* 0: the newest. */
static const plumb_key_t *find_key(const plumb_keyring_t *ring, uint32_t id, plumb_err_t *err)
{
    if (id == 0)
        return &ring->keys[ring->count - 1];
    for (unsigned i = 0; i < ring->count; i++)
        if (ring->keys[i].id == id)
            return &ring->keys[i];
    plumb_err_set(err, PLUMB_E_KEY, "no master key %" PRIu32, id);
    return NULL;
}

/* ---- what it is for ---- */

/* What an account key's frame holds: its id too, so that frames of two ids cannot change places. */
typedef struct wrapped {
    uint8_t id[4]; /* big endian */
    uint8_t bytes[PLUMB_KEY_BYTES];
} wrapped_t;

/* What is wrapped: its name in places, and in errors. */
typedef struct sort {
    const char *purpose, *name;
} sort_t;
static const sort_t account_key = {"account-key", "account key"};
static const sort_t index_key = {"index-key", "index key"};

static int wrap(const plumb_keyring_t *keyring, const sort_t *sort, plumb_buf_t *out,
                const plumb_uuid_t *account, const plumb_key_t *key, plumb_err_t *err)
{
    plumb_seal_place_t place = {sort->purpose, *account, *account, "key"};
    wrapped_t plain;
    uint32_t id = htobe32(key->id);
    memcpy(plain.id, &id, sizeof plain.id);
    memcpy(plain.bytes, key->bytes, sizeof plain.bytes);
    int rc = plumb_seal(out, find_key(keyring, 0, err), &place, &plain, sizeof plain, err);
    sodium_memzero(&plain, sizeof plain);
    return rc;
}

static int take_wrapped(plumb_key_t *key, const sort_t *sort, uint32_t key_id,
                        const plumb_buf_t *plain, plumb_err_t *err)
{
    const wrapped_t *wrapped = (const wrapped_t *)plain->data;
    uint32_t id = htobe32(key_id);
    if (plain->length != sizeof *wrapped || memcmp(wrapped->id, &id, sizeof id) != 0)
        return plumb_err_set(err, PLUMB_E_SEAL, "frame is not of %s %" PRIu32, sort->name, key_id);
    key->id = key_id;
    memcpy(key->bytes, wrapped->bytes, sizeof key->bytes);
    return 0;
}

static int unwrap(const plumb_keyring_t *keyring, const sort_t *sort, plumb_key_t *key,
                  uint32_t key_id, const plumb_uuid_t *account, const void *frame, size_t length,
                  plumb_err_t *err)
{
    uint32_t master_id = plumb_seal_key_id(frame, length);
    if (master_id == 0)
        return plumb_err_set(err, PLUMB_E_SEAL, "%s %" PRIu32 " is no frame", sort->name, key_id);
    const plumb_key_t *master = find_key(keyring, master_id, err);
    if (master == NULL)
        return plumb_err_add(err, "unwrap %s %" PRIu32, sort->name, key_id);
    plumb_seal_place_t place = {sort->purpose, *account, *account, "key"};
    plumb_buf_t plain = {0};
    int rc = plumb_seal_open(&plain, master, &place, frame, length, err);
    if (rc == 0)
        rc = take_wrapped(key, sort, key_id, &plain, err);
    plumb_buf_wipe(&plain);
    return rc;
}

int plumb_keyring_wrap(const plumb_keyring_t *keyring, plumb_buf_t *out,
                       const plumb_uuid_t *account, const plumb_key_t *key, plumb_err_t *err)
{
    return wrap(keyring, &account_key, out, account, key, err);
}

int plumb_keyring_unwrap(const plumb_keyring_t *keyring, plumb_key_t *key, uint32_t key_id,
                         const plumb_uuid_t *account, const void *frame, size_t length,
                         plumb_err_t *err)
{
    return unwrap(keyring, &account_key, key, key_id, account, frame, length, err);
}

int plumb_keyring_wrap_index(const plumb_keyring_t *keyring, plumb_buf_t *out,
                             const plumb_uuid_t *account, const plumb_key_t *key, plumb_err_t *err)
{
    return wrap(keyring, &index_key, out, account, key, err);
}

int plumb_keyring_unwrap_index(const plumb_keyring_t *keyring, plumb_key_t *key,
                               const plumb_uuid_t *account, const void *frame, size_t length,
                               plumb_err_t *err)
{
    return unwrap(keyring, &index_key, key, PLUMB_INDEX_KEY_ID, account, frame, length, err);
}

uint32_t plumb_keyring_newest(const plumb_keyring_t *keyring)
{
    return keyring->keys[keyring->count - 1].id;
}

/* Keyed hash of `data` under what is derived of a master key for `purpose`. */
static int keyed_hash(const plumb_keyring_t *keyring, uint32_t master_id, const char *purpose,
                      const void *data, size_t length, uint8_t *hash, size_t size, uint32_t *used,
                      plumb_err_t *err)
{
    const plumb_key_t *master = find_key(keyring, master_id, err);
    if (master == NULL)
        return -PLUMB_E_KEY;
    uint8_t key[PLUMB_KEY_BYTES];
    crypto_kdf_derive_from_key(key, sizeof key, 1, purpose, master->bytes);
    crypto_generichash(hash, size, data, length, key, sizeof key);
    sodium_memzero(key, sizeof key);
    if (used != NULL)
        *used = master->id;
    return 0;
}

int plumb_keyring_token_hash(const plumb_keyring_t *keyring, uint32_t master_id, const char *secret,
                             size_t length, uint8_t hash[PLUMB_TOKEN_HASH], uint32_t *used,
                             plumb_err_t *err)
{
    return keyed_hash(keyring, master_id, "token   ", secret, length, hash, PLUMB_TOKEN_HASH, used,
                      err);
}

int plumb_keyring_tag(const plumb_keyring_t *keyring, uint32_t master_id, const char purpose[9],
                      const void *data, size_t length, uint8_t tag[PLUMB_TAG], uint32_t *used,
                      plumb_err_t *err)
{
    return keyed_hash(keyring, master_id, purpose, data, length, tag, PLUMB_TAG, used, err);
}
