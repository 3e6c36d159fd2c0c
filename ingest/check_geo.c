/* Check 11: city, country, region and time zone of the address, where the sender gave none. */
#include "checks.h"
#include "idempotency.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* The address that the lead names, else the client's. */
static void address_of(const request_t *request, struct sockaddr_storage *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    const plumb_slice_t *given = &request->lead.value[PLUMB_LEAD_IP_ADDRESS];
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof *address);
    if (given->data == NULL) {
        *v6 = request->source.exact;
        return;
    }
    memcpy(text, given->data, given->length < sizeof text ? given->length : 0);
    address->ss_family = AF_INET;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
        return;
    address->ss_family = AF_INET6;
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
        address->ss_family = AF_UNSPEC;
}

/* Keep a text with the request's, which must not move: what has no room is left out. */
static void fill(request_t *request, plumb_lead_attr_t attr, const char *text)
{
    plumb_buf_t *texts = &request->texts;
    plumb_slice_t *value = &request->lead.value[attr];
    size_t length = strlen(text);
    if (value->data != NULL || length == 0 || length >= texts->capacity - texts->length)
        return;
    *value = (plumb_slice_t){texts->data + texts->length, length};
    plumb_buf_put(texts, text, length);
}

static bool is_all_given(const plumb_lead_t *lead)
{
    return lead->value[PLUMB_LEAD_CITY].data != NULL &&
           lead->value[PLUMB_LEAD_COUNTRY].data != NULL &&
           lead->value[PLUMB_LEAD_REGION].data != NULL &&
           lead->value[PLUMB_LEAD_TIMEZONE].data != NULL;
}

/* What tells a repeat is the lead as it was sent, so its hash is taken before anything is filled
 * in. */
static bool keep_hash(request_t *request)
{
    plumb_err_t err = {0};
    bool is_told = request->door.idempotency_key != NULL ||
                   request->quiz->settings.identical_window_seconds > 0;
    if (!is_told || idempotency_hash(request, &err) == 0)
        return true;
    answer_failure(request, &err);
    return false;
}

check_verdict_t check_geo(request_t *request, const char **reason)
{
    geo_t *geo = request->ingest->geo;
    struct sockaddr_storage address;
    geo_place_t place;
    *reason = geo == NULL ? "no_database" : "given";
    if (geo == NULL || is_all_given(&request->lead))
        return CHECK_SKIPPED;
    if (!keep_hash(request))
        return CHECK_ENDED;
    address_of(request, &address);
    *reason = "unknown";
    if (geo_find(geo, (const struct sockaddr *)&address, &place)) {
        *reason = "found";
        fill(request, PLUMB_LEAD_CITY, place.city);
        fill(request, PLUMB_LEAD_COUNTRY, place.country);
        fill(request, PLUMB_LEAD_REGION, place.region);
        fill(request, PLUMB_LEAD_TIMEZONE, place.timezone);
    }
    return CHECK_PASSED;
}
