/* What a cursor holds: master key's id (4 bytes), tag (16), id (16), then for each key its length
 * (2) and value; all of it as base64url.  The tag covers also what the cursor is bound to. */
#include "cursor.h"

#include <sodium.h>
#include <string.h>

#define PURPOSE "cursor  "
#define HEAD (4 + PLUMB_TAG)
#define VARIANT sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define PLAIN_MAX 4096

/* What the tag covers: the account, the type, the sort, then the position. */
static void put_bound(plumb_buf_t *out, const plumb_uuid_t *account, const api_query_t *q,
                      const void *position, size_t length)
{
    plumb_buf_put(out, account->b, sizeof account->b);
    plumb_buf_printf(out, "%s", q->type->name);
    for (unsigned i = 0; i < q->key_count; i++)
        plumb_buf_printf(out, ",%d%c", q->keys[i].attr, q->keys[i].descending ? '-' : '+');
    plumb_buf_text(out, q->id_descending ? "-;" : "+;");
    plumb_buf_put(out, position, length);
}

static int make_tag(uint8_t tag[PLUMB_TAG], uint32_t *key, const plumb_keyring_t *keyring,
                    const plumb_uuid_t *account, const api_query_t *q, const void *position,
                    size_t length, plumb_err_t *err)
{
    plumb_buf_t bound = {0};
    put_bound(&bound, account, q, position, length);
    int rc = bound.failed ? plumb_err_set(err, PLUMB_E_MEMORY, "a cursor")
                          : plumb_keyring_tag(keyring, *key, PURPOSE, bound.data, bound.length, tag,
                                              key, err);
    plumb_buf_fini(&bound);
    return rc;
}

static void put_position(plumb_buf_t *out, const api_query_t *q, const api_position_t *p)
{
    plumb_buf_put(out, p->id.b, sizeof p->id.b);
    for (unsigned i = 0; i < q->key_count; i++) {
        uint8_t length[2] = {(uint8_t)(p->key[i].length >> 8), (uint8_t)p->key[i].length};
        plumb_buf_put(out, length, sizeof length);
        plumb_buf_put(out, p->key[i].data, p->key[i].length);
    }
}

static void put_base64(plumb_buf_t *out, const plumb_buf_t *plain)
{
    size_t size = sodium_base64_encoded_len(plain->length, VARIANT);
    plumb_buf_reserve(out, size);
    if (out->failed)
        return;
    sodium_bin2base64(out->data + out->length, size, (const uint8_t *)plain->data, plain->length,
                      VARIANT);
    out->length += size - 1;
}

int api_cursor_write(plumb_buf_t *out, const plumb_keyring_t *keyring, const plumb_uuid_t *account,
                     const api_query_t *q, const api_position_t *position, plumb_err_t *err)
{
    static const uint8_t room[HEAD] = {0};
    plumb_buf_t plain = {0};
    uint32_t key = 0;
    plumb_buf_put(&plain, room, sizeof room);
    put_position(&plain, q, position);
    int rc = plain.failed ? plumb_err_set(err, PLUMB_E_MEMORY, "a cursor")
                          : make_tag((uint8_t *)plain.data + 4, &key, keyring, account, q,
                                     plain.data + HEAD, plain.length - HEAD, err);
    if (rc == 0) {
        for (int i = 0; i < 4; i++)
            plain.data[i] = (char)(key >> (24 - 8 * i));
        put_base64(out, &plain);
    }
    plumb_buf_fini(&plain);
    return rc;
}

/* ---- and back ---- */

static bool decode(plumb_buf_t *plain, const char *text)
{
    size_t length = strlen(text), got = 0;
    plumb_buf_clear(plain);
    if (length == 0 || length > PLAIN_MAX)
        return false;
    plumb_buf_reserve(plain, length + 1);
    if (plain->failed || sodium_base642bin((uint8_t *)plain->data, length, text, length, NULL, &got,
                                           NULL, VARIANT) != 0)
        return false;
    plain->length = got;
    return got >= HEAD + sizeof(plumb_uuid_t);
}

/* What the tag has vouched for is well-formed. */
static void take_position(api_position_t *p, const plumb_buf_t *plain, const api_query_t *q)
{
    const char *at = plain->data + HEAD;
    memcpy(p->id.b, at, sizeof p->id.b);
    at += sizeof p->id.b;
    for (unsigned i = 0; i < q->key_count; i++) {
        p->key[i].length = (size_t)(uint8_t)at[0] << 8 | (uint8_t)at[1];
        p->key[i].data = at + 2;
        at += 2 + p->key[i].length;
    }
}

int api_cursor_read(api_position_t *position, plumb_buf_t *plain, const plumb_keyring_t *keyring,
                    const plumb_uuid_t *account, const api_query_t *q, const char *text,
                    plumb_err_t *err)
{
    uint8_t tag[PLUMB_TAG];
    uint32_t key = 0;
    if (!decode(plain, text))
        return plumb_err_set(err, PLUMB_E_BAD_CURSOR, "it is none of our cursors");
    for (int i = 0; i < 4; i++)
        key = key << 8 | (uint8_t)plain->data[i];
    int rc = key == 0 ? -PLUMB_E_KEY
                      : make_tag(tag, &key, keyring, account, q, plain->data + HEAD,
                                 plain->length - HEAD, err);
    if (rc == -PLUMB_E_MEMORY)
        return rc;
    if (rc < 0 || sodium_memcmp(tag, plain->data + 4, sizeof tag) != 0)
        return plumb_err_set(err, PLUMB_E_BAD_CURSOR, "it was made for another list or sort");
    take_position(position, plain, q);
    return 0;
}
