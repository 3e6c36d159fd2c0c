/* Phone verifications: a code goes out by the account's credential, who knows it owns the phone.
 *
 * Nothing that is answered tells whether a phone is known: it is never looked for.  A code is
 * compared in constant time, and a wrong one, a spent one and one that is too old are refused in
 * the same words. */
#include "api/input.h"
#include "blind.h"
#include "checks.h"
#include "count.h"
#include "handlers.h"
#include "phone.h"
#include "store_verifications.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define PATH "/api/v1/phone-verifications/"
#define CODE_DIGITS 6
#define CODES 1000000

/* ---- the resource ---- */

enum { ATTR_PHONE, ATTR_ADDRESS, ATTR_FINGERPRINT, ATTRS };

/* clang-format off */
static const plumb_attr_t attrs[] = {
    [ATTR_PHONE] = {"phone", NULL, PLUMB_ATTR_PHONE, 32, PLUMB_ATTR_CREATE | PLUMB_ATTR_NEEDED | PLUMB_ATTR_SEALED,
                    "where the code goes", NULL},
    [ATTR_ADDRESS] = {"ipAddress", NULL, PLUMB_ATTR_IP, 45, PLUMB_ATTR_CREATE,
                      "the person's address, from a sender that is trusted", NULL},
    [ATTR_FINGERPRINT] = {"fingerprint", NULL, PLUMB_ATTR_TEXT, 128, PLUMB_ATTR_CREATE,
                          "the sender's mark of the browser, likewise", NULL},
};
static const plumb_attr_t confirm_attrs[] = {
    {"code", NULL, PLUMB_ATTR_TEXT, 16, PLUMB_ATTR_CREATE | PLUMB_ATTR_NEEDED, "the code that arrived", NULL},
};
/* clang-format on */

static const api_type_t type = {.kind = API_TYPES,
                                .name = "phoneVerifications",
                                .attrs = attrs,
                                .attr_count = PLUMB_COUNT(attrs)};
static const api_type_t confirm_type = {.kind = API_TYPES,
                                        .name = "phoneVerifications",
                                        .attrs = confirm_attrs,
                                        .attr_count = PLUMB_COUNT(confirm_attrs)};

static void put_time(plumb_buf_t *out, const char *name, int64_t ms)
{
    char text[PLUMB_TIME_TEXT];
    if (ms == 0)
        plumb_buf_printf(out, "\"%s\":null", name);
    else
        plumb_buf_printf(out, "\"%s\":\"%s\"", name, plumb_time_text(ms, text));
}

static void answer(request_t *request, int status, const plumb_uuid_t *id,
                   const verification_times_t *times)
{
    char text[PLUMB_UUID_TEXT];
    plumb_buf_t *out = &request->answer.body;
    plumb_uuid_text(id, text);
    plumb_buf_clear(out);
    plumb_buf_printf(
        out, DOCUMENT_HEAD "{\"type\":\"phoneVerifications\",\"id\":\"%s\",\"attributes\":{", text);
    put_time(out, "createdAt", times->created_ms);
    plumb_buf_put(out, ",", 1);
    put_time(out, "expiresAt", times->expires_ms);
    plumb_buf_put(out, ",", 1);
    put_time(out, "confirmedAt", times->confirmed_ms);
    plumb_buf_printf(out, "},\"links\":{\"self\":\"" PATH "%s\"}}}", text);
    request->answer.status = status;
    request->answer.type = NULL;
    if (status == 201)
        plumb_buf_printf(&request->answer.headers, "Location: " PATH "%s\r\n", text);
}

/* Read the document by `of`.  False: the answer is made. */
static bool read_document(request_t *request, const api_type_t *of, plumb_slice_t *value)
{
    uint32_t data;
    api_input_t in = {.type = of,
                      .verb = PLUMB_ATTR_CREATE,
                      .scopes = request->identity.scopes,
                      .json = &request->work->json,
                      .texts = &request->texts,
                      .problems = &request->problems,
                      .at = "/data",
                      .value = value};
    if (api_input_document(&in, &request->body, &data))
        api_input_resource(&in, data, NULL);
    if (request->problems.count > 0)
        answer_problems(request);
    return request->problems.count == 0;
}

/* ---- a new code ---- */

typedef struct keys {
    plumb_key_t account, index;
} keys_t;

static int find_keys(request_t *request, reader_t *reader, keys_t *keys, plumb_err_t *err)
{
    plumb_vault_t *vault = request->ingest->vault;
    const plumb_uuid_t *account = &request->identity.account;
    int rc = plumb_vault_key(vault, reader->db, account, 0, &keys->account, err);
    return rc == 0 ? plumb_vault_index_key(vault, reader->db, account, &keys->index, err) : rc;
}

static void keyed_hash(uint8_t *out, size_t size, const plumb_key_t *key, const char *purpose,
                       const plumb_uuid_t *id, const void *data, size_t length)
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, key->bytes, sizeof key->bytes, size);
    crypto_generichash_update(&state, (const uint8_t *)purpose, strlen(purpose) + 1);
    if (id != NULL)
        crypto_generichash_update(&state, id->b, sizeof id->b);
    crypto_generichash_update(&state, data, length);
    crypto_generichash_final(&state, out, size);
}

static void hash_code(uint8_t out[VERIFICATION_HASH], const keys_t *keys, const plumb_uuid_t *id,
                      const char *code, size_t length)
{
    keyed_hash(out, VERIFICATION_HASH, &keys->index, "verification code", id, code, length);
}

/* A token that may sit in a public page is used by anyone: what it says of the client is nobody's
 * word. */
static void hash_client(const request_t *request, const keys_t *keys, const plumb_slice_t *value,
                        uint8_t out[VERIFICATION_CLIENT])
{
    plumb_slice_t client = {(const char *)request->source.address, sizeof request->source.address};
    if ((request->identity.scopes & ~(unsigned)SCOPE_INTAKE) != 0) {
        if (value[ATTR_FINGERPRINT].length > 0)
            client = value[ATTR_FINGERPRINT];
        else if (value[ATTR_ADDRESS].data != NULL)
            client = value[ATTR_ADDRESS];
    }
    keyed_hash(out, VERIFICATION_CLIENT, &keys->index, "verification client", NULL, client.data,
               client.length);
}

/* Frames of the phone, and of phone with code. */
static int seal(request_t *request, const keys_t *keys, const plumb_uuid_t *id, const char *phone,
                const char *code, plumb_err_t *err)
{
    char both[96];
    workspace_t *w = request->work;
    plumb_seal_place_t place = {"phone-verification", request->identity.account, *id, "phone"};
    int length = snprintf(both, sizeof both, "{\"phone\":\"%s\",\"code\":\"%s\"}", phone, code);
    plumb_buf_clear(&w->sealed_key);
    plumb_buf_clear(&w->sealed);
    int rc = plumb_seal(&w->sealed_key, &keys->account, &place, phone, strlen(phone), err);
    place.column = "code";
    if (rc == 0)
        rc = plumb_seal(&w->sealed, &keys->account, &place, both, (size_t)length, err);
    sodium_memzero(both, sizeof both);
    return rc;
}

static int make(request_t *request, reader_t *reader, const plumb_slice_t *value, const char *phone,
                plumb_err_t *err)
{
    keys_t keys;
    char code[CODE_DIGITS + 1];
    int64_t retry_ms = 0, now_ms = committers_now_ms(request->ingest->committers);
    verification_times_t times = {0};
    verification_new_t v = {.account = request->identity.account,
                            .id = plumb_uuid_at(now_ms),
                            .event = plumb_uuid_at(now_ms),
                            .phone = &request->work->sealed_key,
                            .code = &request->work->sealed};
    snprintf(code, sizeof code, "%06u", (unsigned)randombytes_uniform(CODES));
    int rc = find_keys(request, reader, &keys, err);
    if (rc == 0) {
        plumb_blind_phone(&v.phone_term, &keys.index, phone, strlen(phone));
        hash_client(request, &keys, value, v.client);
        hash_code(v.code_hash, &keys, &v.id, code, CODE_DIGITS);
        rc = seal(request, &keys, &v.id, phone, code, err);
    }
    if (rc == 0)
        rc = store_verification(reader, &v, &times, &retry_ms, err);
    sodium_memzero(code, sizeof code);
    sodium_memzero(&keys, sizeof keys);
    if (rc == 0 && retry_ms > 0)
        answer_kept_out(request, retry_ms);
    else if (rc == 0)
        answer(request, 201, &v.id, &times);
    return rc;
}

void verification_post(request_t *request)
{
    plumb_slice_t value[ATTRS] = {{NULL, 0}};
    char phone[PHONE_MAX];
    reader_t *reader = NULL;
    plumb_err_t err = {0};
    if (!read_document(request, &type, value))
        return;
    if (phone_normalise(phone, value[ATTR_PHONE].data, value[ATTR_PHONE].length, "", &err) < 0) {
        answer_problem(request, PLUMB_E_INVALID, SOURCE_POINTER, "/data/attributes/phone",
                       err.text);
        return;
    }
    if (!checks_charge(request))
        return;
    int rc = readers_take(request->ingest->readers, &reader, &err);
    if (rc == 0)
        rc = make(request, reader, value, phone, &err);
    readers_give(request->ingest->readers, reader);
    if (rc == -PLUMB_E_CONFLICT)
        answer_error(request, PLUMB_E_CONFLICT, err.text);
    else if (rc < 0)
        answer_failure(request, &err);
}

/* ---- its code ---- */

static int try_code(request_t *request, reader_t *reader, plumb_slice_t code, plumb_err_t *err)
{
    keys_t keys;
    uint8_t given[VERIFICATION_HASH], kept[VERIFICATION_HASH];
    verification_times_t times = {0};
    const plumb_uuid_t *account = &request->identity.account, *id = &request->id;
    int rc = find_keys(request, reader, &keys, err);
    if (rc == 0)
        rc = store_verification_try(reader, account, id, kept, err);
    if (rc == 0) {
        hash_code(given, &keys, id, code.data, code.length);
        if (sodium_memcmp(given, kept, sizeof kept) != 0)
            rc = plumb_err_set(err, PLUMB_E_INVALID, "another code");
    }
    sodium_memzero(&keys, sizeof keys);
    if (rc == 0)
        rc = store_verification_confirm(reader, account, id, &times, err);
    if (rc == 0)
        answer(request, 200, id, &times);
    return rc;
}

static void answer_refusal(request_t *request, const plumb_err_t *err)
{
    if (err->code == PLUMB_E_INVALID)
        answer_problem(request, PLUMB_E_INVALID, SOURCE_POINTER, "/data/attributes/code",
                       "the code is wrong, or no longer valid");
    else if (err->code == PLUMB_E_NOT_FOUND)
        answer_error(request, PLUMB_E_NOT_FOUND, err->text);
    else
        answer_failure(request, err);
}

void verification_confirm(request_t *request)
{
    plumb_slice_t code = {NULL, 0};
    reader_t *reader = NULL;
    plumb_err_t err = {0};
    if (!read_document(request, &confirm_type, &code) || !checks_charge(request))
        return;
    int rc = readers_take(request->ingest->readers, &reader, &err);
    if (rc == 0)
        rc = try_code(request, reader, code, &err);
    readers_give(request->ingest->readers, reader);
    if (rc < 0)
        answer_refusal(request, &err);
}

void verification_get(request_t *request)
{
    verification_times_t times = {0};
    reader_t *reader = NULL;
    plumb_err_t err = {0};
    if (!checks_charge(request))
        return;
    int rc = readers_take(request->ingest->readers, &reader, &err);
    if (rc == 0)
        rc = store_verification_times(reader, &request->identity.account, &request->id, &times,
                                      &err);
    readers_give(request->ingest->readers, reader);
    if (rc < 0)
        answer_refusal(request, &err);
    else
        answer(request, 200, &request->id, &times);
}
