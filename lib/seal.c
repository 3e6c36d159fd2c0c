/* Sealed frames and the keys below the master key. */
#include "seal.h"

#include <assert.h>
#include <endian.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

#define FRAME_VERSION 1
#define BLOCK 64     /* lengths of plaintexts show in steps of this */
#define PLACE_MAX 32 /* bytes of purpose and of column */

#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG crypto_aead_xchacha20poly1305_ietf_ABYTES

typedef struct head {
    uint8_t version;
    uint8_t key_id[4]; /* big endian */
    uint8_t nonce[NONCE];
} head_t;
_Static_assert(sizeof(head_t) == 29, "a frame's head has no holes");

/* What the frame is bound to, each part of a length that its neighbours cannot change. */
typedef struct binding {
    uint8_t version;
    uint8_t key_id[4];
    uint8_t account[16], subject[16];
    char purpose[PLACE_MAX], column[PLACE_MAX]; /* the rest zeroes */
} binding_t;

static void init_sodium(void)
{
    int rc = sodium_init();
    assert(rc >= 0); /* fails only where the kernel has no random numbers to give */
    (void)rc;
}

static void need_sodium(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_sodium);
}

static void store_id(uint8_t at[4], uint32_t id)
{
    uint32_t wire = htobe32(id);
    memcpy(at, &wire, sizeof wire);
}

static uint32_t load_id(const uint8_t at[4])
{
    uint32_t wire;
    memcpy(&wire, at, sizeof wire);
    return be32toh(wire);
}

static binding_t bind_to(const plumb_key_t *key, const plumb_seal_place_t *place)
{
    binding_t b = {.version = FRAME_VERSION};
    size_t purpose = strlen(place->purpose), column = strlen(place->column);
    assert(purpose <= PLACE_MAX && column <= PLACE_MAX);
    store_id(b.key_id, key->id);
    memcpy(b.account, place->account.b, sizeof b.account);
    memcpy(b.subject, place->subject.b, sizeof b.subject);
    memcpy(b.purpose, place->purpose, purpose);
    memcpy(b.column, place->column, column);
    return b;
}

/* Take what was appended away again, and leave no trace of it. */
static int give_up(plumb_buf_t *out, size_t start, plumb_code_t code, const char *why,
                   plumb_err_t *err)
{
    if (out->data != NULL)
        sodium_memzero(out->data + start, out->length - start);
    out->length = start;
    return plumb_err_set(err, code, "%s", why);
}

int plumb_seal(plumb_buf_t *out, const plumb_key_t *key, const plumb_seal_place_t *place,
               const void *plain, size_t length, plumb_err_t *err)
{
    static const uint8_t padding[BLOCK] = {0x80}, tag[TAG] = {0};
    need_sodium();
    size_t start = out->length;
    size_t padded = length / BLOCK * BLOCK + BLOCK; /* one byte of padding at least */
    head_t head = {.version = FRAME_VERSION};
    store_id(head.key_id, key->id);
    randombytes_buf(head.nonce, sizeof head.nonce);
    plumb_buf_put(out, &head, sizeof head);
    plumb_buf_put(out, plain, length);
    plumb_buf_put(out, padding, padded - length);
    plumb_buf_put(out, tag, sizeof tag);
    if (out->failed)
        return give_up(out, start, PLUMB_E_MEMORY, "seal: out of memory", err);
    binding_t binding = bind_to(key, place);
    uint8_t *body = (uint8_t *)out->data + start + sizeof head;
    crypto_aead_xchacha20poly1305_ietf_encrypt(body, NULL, body, padded, (const uint8_t *)&binding,
                                               sizeof binding, NULL, head.nonce, key->bytes);
    return 0;
}

static bool is_frame(const void *frame, size_t length)
{
    return length >= sizeof(head_t) + BLOCK + TAG && *(const uint8_t *)frame == FRAME_VERSION &&
           (length - sizeof(head_t) - TAG) % BLOCK == 0;
}

uint32_t plumb_seal_key_id(const void *frame, size_t length)
{
    return is_frame(frame, length) ? load_id(((const head_t *)frame)->key_id) : 0;
}

int plumb_seal_open(plumb_buf_t *out, const plumb_key_t *key, const plumb_seal_place_t *place,
                    const void *frame, size_t length, plumb_err_t *err)
{
    need_sodium();
    if (!is_frame(frame, length))
        return plumb_err_set(err, PLUMB_E_SEAL, "%zu bytes that are no sealed frame", length);
    const head_t *head = frame;
    if (load_id(head->key_id) != key->id)
        return plumb_err_set(err, PLUMB_E_SEAL, "frame of %s.%s has key %u, want %u",
                             place->purpose, place->column, load_id(head->key_id), key->id);
    const uint8_t *body = (const uint8_t *)frame + sizeof *head;
    size_t start = out->length, sealed = length - sizeof *head, padded = sealed - TAG;
    plumb_buf_put(out, body, padded); /* makes room */
    if (out->failed)
        return give_up(out, start, PLUMB_E_MEMORY, "open: out of memory", err);
    uint8_t *plain = (uint8_t *)out->data + start;
    binding_t binding = bind_to(key, place);
    size_t plain_length;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, body, sealed,
                                                   (const uint8_t *)&binding, sizeof binding,
                                                   head->nonce, key->bytes) < 0 ||
        sodium_unpad(&plain_length, plain, padded, BLOCK) < 0)
        return give_up(out, start, PLUMB_E_SEAL, "sealed frame was changed or moved", err);
    out->length = start + plain_length;
    out->data[out->length] = '\0';
    return 0;
}

void plumb_key_new(plumb_key_t *key, uint32_t id)
{
    need_sodium();
    key->id = id;
    randombytes_buf(key->bytes, sizeof key->bytes);
}

void plumb_key_attempt(plumb_key_t *attempt, const plumb_key_t *data_key)
{
    need_sodium();
    attempt->id = PLUMB_ATTEMPT_KEY_ID;
    crypto_kdf_derive_from_key(attempt->bytes, sizeof attempt->bytes, 1, "attempt ",
                               data_key->bytes);
}
