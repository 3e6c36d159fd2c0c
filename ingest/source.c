/* X-Forwarded-For is believed from right to left, as long as proxies of ours wrote it. */
#include "source.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOPS_MAX 16

static bool parse(const char *text, size_t length, struct sockaddr_storage *address)
{
    char copy[INET6_ADDRSTRLEN];
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, copy, &v4->sin_addr) == 1)
        address->ss_family = AF_INET;
    else if (inet_pton(AF_INET6, copy, &v6->sin6_addr) == 1)
        address->ss_family = AF_INET6;
    return address->ss_family != 0;
}

static void set(source_t *source, const struct sockaddr_storage *address)
{
    struct in6_addr *v6 = &source->exact.sin6_addr;
    *source = (source_t){.exact = {.sin6_family = AF_INET6}};
    if (address->ss_family == AF_INET) {
        v6->s6_addr[10] = v6->s6_addr[11] = 0xFF;
        memcpy(v6->s6_addr + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
    } else {
        *v6 = ((const struct sockaddr_in6 *)address)->sin6_addr;
    }
    memcpy(source->address, v6, IN6_IS_ADDR_V4MAPPED(v6) ? 16 : 8);
}

static bool is_proxy(const ingest_t *in, const struct sockaddr_storage *address)
{
    return plumb_cidr_any(in->proxies, in->proxy_count, (const struct sockaddr *)address);
}

/* The last element of the list before `end`, which moves in front of it. */
static bool last_hop(const char *list, const char **end, struct sockaddr_storage *address)
{
    const char *stop = *end;
    while (stop > list && (stop[-1] == ' ' || stop[-1] == ','))
        stop--;
    const char *begin = stop;
    while (begin > list && begin[-1] != ',' && begin[-1] != ' ')
        begin--;
    *end = begin;
    return parse(begin, (size_t)(stop - begin), address);
}

void source_find(request_t *request)
{
    const ingest_t *in = request->ingest;
    const struct mg_request_info *info = request->info;
    struct sockaddr_storage address;
    if (!parse(info->remote_addr, strlen(info->remote_addr), &address))
        return;
    set(&request->source, &address);
    if (in->proxy_count == 0)
        return;
    int hops = 0;
    for (int i = info->num_headers - 1; i >= 0 && is_proxy(in, &address); i--) {
        const char *list = info->http_headers[i].value, *end = list + strlen(list);
        if (strcasecmp(info->http_headers[i].name, "X-Forwarded-For") != 0)
            continue;
        while (end > list && is_proxy(in, &address) && hops++ < HOPS_MAX) {
            if (!last_hop(list, &end, &address))
                return; /* what stands further left is nobody's word */
            set(&request->source, &address);
        }
    }
}
