/* Checking who signed a webhook, in time that does not depend on how wrong it is. */
#include "signature.h"

#include "conf_units.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#define ID_MAX 128

const char *signature_word(signature_verdict_t verdict)
{
    static const char *const words[] = {"good", "missing", "stale", "wrong"};
    return words[verdict];
}

int signature_secret_read(signature_secret_t *secret, const char *text, plumb_err_t *err)
{
    static const char prefix[] = "whsec_";
    size_t skip = sizeof prefix - 1;
    *secret = (signature_secret_t){0};
    if (strncmp(text, prefix, skip) == 0) {
        const char *start = text + skip, *end = NULL;
        size_t digits = strcspn(start, "=");
        bool good = sodium_base642bin(secret->bytes, sizeof secret->bytes, start, digits, NULL,
                                      &secret->length, &end,
                                      sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0;
        if (good && end == start + digits && strspn(end, "=") == strlen(end) &&
            secret->length >= SIGNATURE_SECRET_MIN)
            return 0;
    }
    *secret = (signature_secret_t){0};
    return plumb_err_set(err, PLUMB_E_USAGE,
                         "the secret is not 'whsec_' and base64 of %d to %d bytes",
                         SIGNATURE_SECRET_MIN, SIGNATURE_SECRET_MAX);
}

static void sign(const signature_secret_t *secret, const signature_call_t *call,
                 uint8_t out[crypto_auth_hmacsha256_BYTES])
{
    crypto_auth_hmacsha256_state mac;
    crypto_auth_hmacsha256_init(&mac, secret->bytes, secret->length);
    crypto_auth_hmacsha256_update(&mac, (const uint8_t *)call->id, strlen(call->id));
    crypto_auth_hmacsha256_update(&mac, (const uint8_t *)".", 1);
    crypto_auth_hmacsha256_update(&mac, (const uint8_t *)call->timestamp, strlen(call->timestamp));
    crypto_auth_hmacsha256_update(&mac, (const uint8_t *)".", 1);
    crypto_auth_hmacsha256_update(&mac, call->body, call->length);
    crypto_auth_hmacsha256_final(&mac, out);
}

/* Is one entry "v1,<base64>" of the list ours?  Other versions are passed over. */
static bool matches(const char *entry, size_t length, const uint8_t want[])
{
    uint8_t got[crypto_auth_hmacsha256_BYTES];
    size_t bytes = 0;
    if (length < 3 || memcmp(entry, "v1,", 3) != 0)
        return false;
    if (sodium_base642bin(got, sizeof got, entry + 3, length - 3, NULL, &bytes, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        bytes != sizeof got)
        return false;
    return sodium_memcmp(got, want, sizeof got) == 0;
}

static bool any_matches(const char *list, const uint8_t want[])
{
    bool found = false;
    while (*list != '\0') {
        size_t length = strcspn(list, " ");
        found = matches(list, length, want) || found;
        list += length;
        list += strspn(list, " ");
    }
    return found;
}

signature_verdict_t signature_check(const signature_secret_t *secret, const signature_call_t *call,
                                    int64_t now_s)
{
    int64_t signed_s;
    uint8_t want[crypto_auth_hmacsha256_BYTES];
    if (call->id == NULL || call->timestamp == NULL || call->signatures == NULL ||
        call->id[0] == '\0' || strlen(call->id) > ID_MAX || strchr(call->id, '.') != NULL ||
        !plumb_int_parse(&signed_s, call->timestamp, strlen(call->timestamp)) || signed_s < 0)
        return SIGNATURE_MISSING;
    sign(secret, call, want);
    if (!any_matches(call->signatures, want))
        return SIGNATURE_WRONG;
    if (signed_s < now_s - SIGNATURE_TOLERANCE_S || signed_s > now_s + SIGNATURE_TOLERANCE_S)
        return SIGNATURE_STALE;
    return SIGNATURE_GOOD;
}
