/* Address ranges. */
#include "cidr.h"

#include "conf_units.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define ADDRESS_TEXT 46 /* the longest address, with NUL */

typedef struct part { /* a piece of the text; at NULL: absent */
    const char *at;
    size_t length;
} part_t;

/* Take what stands behind the last `mark` off `whole`. */
static part_t split(part_t *whole, char mark)
{
    const char *found = whole->at != NULL ? memrchr(whole->at, mark, whole->length) : NULL;
    if (found == NULL)
        return (part_t){NULL, 0};
    part_t behind = {found + 1, whole->length - (size_t)(found + 1 - whole->at)};
    whole->length = (size_t)(found - whole->at);
    return behind;
}

/* Read a decimal number; one that is absent counts as `absent`. */
static bool take_number(int64_t *value, part_t part, int64_t absent, int64_t min, int64_t max)
{
    *value = absent;
    if (part.at == NULL)
        return true;
    return plumb_int_parse(value, part.at, part.length) && *value >= min && *value <= max;
}

static bool is_mapped(const uint8_t *address)
{
    static const uint8_t prefix[12] = {[10] = 0xFF, [11] = 0xFF};
    return memcmp(address, prefix, sizeof prefix) == 0;
}

static bool take_address(plumb_cidr_t *cidr, part_t part)
{
    char text[ADDRESS_TEXT];
    if (part.length >= sizeof text || memchr(part.at, '\0', part.length) != NULL)
        return false;
    memcpy(text, part.at, part.length);
    text[part.length] = '\0';
    cidr->family = memchr(text, ':', part.length) != NULL ? AF_INET6 : AF_INET;
    return inet_pton(cidr->family, text, cidr->address) == 1;
}

/* An IPv6 range within ::ffff:0:0/96 is an IPv4 range. */
static void fold(plumb_cidr_t *cidr)
{
    if (cidr->family != AF_INET6 || cidr->bits < 96 || !is_mapped(cidr->address))
        return;
    cidr->family = AF_INET;
    cidr->bits -= 96;
    memmove(cidr->address, cidr->address + 12, 4);
    memset(cidr->address + 4, 0, 12);
}

/* Take the port and the brackets off; false when they do not pair. */
static bool take_port(part_t *range, part_t *bits, part_t *port)
{
    bool bracketed = range->length > 0 && range->at[0] == '[';
    *port = (part_t){NULL, 0};
    *bits = (part_t){NULL, 0};
    if (!bracketed) {
        if (memchr(range->at, ':', range->length) == memrchr(range->at, ':', range->length))
            *port = split(range, ':'); /* one colon: IPv4 with a port */
        return true;
    }
    part_t tail = split(range, ']'); /* "", ":443", "/64", "/64:443" */
    *range = (part_t){range->at + 1, range->length - 1};
    if (tail.at == NULL)
        return false;
    *port = split(&tail, ':');
    *bits = split(&tail, '/');
    return tail.length == 0;
}

bool plumb_cidr_parse(plumb_cidr_t *cidr, const char *text, size_t length)
{
    plumb_cidr_t got = {0};
    part_t range = {text, length}, bits, port;
    int64_t number, bit_count;
    if (length == 0 || !take_port(&range, &bits, &port))
        return false;
    if (bits.at == NULL)
        bits = split(&range, '/');
    if (!take_address(&got, range) || !take_number(&number, port, 0, 1, 65535))
        return false;
    int widest = got.family == AF_INET ? 32 : 128;
    if (!take_number(&bit_count, bits, widest, 0, widest))
        return false;
    got.bits = (unsigned)bit_count;
    got.port = (uint16_t)number;
    fold(&got);
    *cidr = got;
    return true;
}

static bool equal_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    uint8_t mask = (uint8_t)(0xFF00 >> rest);
    return memcmp(a, b, whole) == 0 && (rest == 0 || ((a[whole] ^ b[whole]) & mask) == 0);
}

bool plumb_cidr_match(const plumb_cidr_t *cidr, const struct sockaddr *address)
{
    plumb_cidr_t one = {.family = address->sa_family};
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        one.port = ntohs(in->sin_port);
        one.bits = 32;
        memcpy(one.address, &in->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;
        one.port = ntohs(in->sin6_port);
        one.bits = 128;
        memcpy(one.address, &in->sin6_addr, 16);
        fold(&one);
    }
    return one.family == cidr->family && (cidr->port == 0 || cidr->port == one.port) &&
           equal_bits(cidr->address, one.address, cidr->bits);
}

static part_t trim(part_t part)
{
    for (; part.length > 0 && part.at[0] == ' '; part.length--)
        part.at++;
    while (part.length > 0 && part.at[part.length - 1] == ' ')
        part.length--;
    return part;
}

int plumb_cidr_list(const char *text, plumb_cidr_t *out, size_t max, size_t *count,
                    plumb_err_t *err)
{
    *count = 0;
    if (trim((part_t){text, strlen(text)}).length == 0)
        return 0;
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        part_t entry = trim((part_t){at, length});
        if (*count == max)
            return plumb_err_set(err, PLUMB_E_CONFIG, "more than %zu ranges", max);
        if (!plumb_cidr_parse(&out[*count], entry.at, entry.length))
            return plumb_err_set(err, PLUMB_E_CONFIG, "'%.*s', want ADDRESS[/BITS][:PORT]",
                                 (int)entry.length, entry.at);
        (*count)++;
        at += length;
        if (*at == '\0')
            return 0;
    }
}

bool plumb_cidr_any(const plumb_cidr_t *list, size_t count, const struct sockaddr *address)
{
    for (size_t i = 0; i < count; i++)
        if (plumb_cidr_match(&list[i], address))
            return true;
    return false;
}
