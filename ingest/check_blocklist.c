/* Check 10: is the person, or where the lead comes from, blocked?  The sender never learns. */
#include "checks.h"
#include "source.h"

#include <arpa/inet.h>
#include <string.h>

#define DOMAIN_MAX 255

/* The lead's address, else the client's, as IPv6 or mapped IPv4. */
static void address_of(const request_t *request, uint8_t address[16])
{
    const plumb_slice_t *value = &request->lead.value[PLUMB_LEAD_IP_ADDRESS];
    char text[INET6_ADDRSTRLEN] = "";
    memcpy(address, &request->source.exact.sin6_addr, 16);
    if (value->data == NULL || value->length >= sizeof text)
        return;
    memcpy(text, value->data, value->length);
    memset(address, 0, 16);
    if (inet_pton(AF_INET, text, address + 12) == 1)
        address[10] = address[11] = 0xFF;
    else if (inet_pton(AF_INET6, text, address) != 1)
        memcpy(address, &request->source.exact.sin6_addr, 16);
}

/* Of the mail address, in lower case; empty if there is none. */
static plumb_slice_t domain_of(const plumb_slice_t *email, char out[DOMAIN_MAX])
{
    const char *at = email->data == NULL ? NULL : memrchr(email->data, '@', email->length);
    size_t length = at == NULL ? 0 : (size_t)(email->data + email->length - (at + 1));
    if (length > DOMAIN_MAX)
        length = 0;
    for (size_t i = 0; i < length; i++)
        out[i] = at[1 + i] >= 'A' && at[1 + i] <= 'Z' ? (char)(at[1 + i] | 0x20) : at[1 + i];
    return (plumb_slice_t){out, length};
}

check_verdict_t check_blocklist(request_t *request, const char **reason)
{
    const plumb_blind_t *blind = request_blind(request);
    const plumb_slice_t *value = request->lead.value;
    uint8_t address[16];
    char domain[DOMAIN_MAX];
    blocked_kind_t kind = BLOCKED_KINDS;
    plumb_err_t err = {0};
    address_of(request, address);
    const blocked_query_t query = {.project = &request->quiz->project,
                                   .phone = blind->has_phone ? &blind->phone : NULL,
                                   .email = blind->has_email ? &blind->email : NULL,
                                   .domain = domain_of(&value[PLUMB_LEAD_EMAIL], domain),
                                   .address = address,
                                   .fingerprint = value[PLUMB_LEAD_FINGERPRINT]};
    *reason = NULL;
    if (blocklists_match(request->ingest->blocklists, &request->identity.account, &query, &kind,
                         &err) < 0) {
        answer_failure(request, &err);
        return CHECK_ENDED;
    }
    request->blocked = kind != BLOCKED_KINDS;
    if (!request->blocked)
        return CHECK_PASSED;
    *reason = blocked_kind_name(kind);
    return CHECK_MARKED;
}
