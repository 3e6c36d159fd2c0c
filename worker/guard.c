/* The egress guard. */
#include "guard.h"

#include "count.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* Of IPv4 everything but these is admitted; of IPv6 only 2000::/3 without these.  What maps, embeds
 * or tunnels IPv4 is refused whole, but for ::ffff:0:0/96, which counts as the IPv4 inside. */
static const char *const denied[] = {
    "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",
    "2001::/23", /* Teredo, ORCHID, benchmarking and other special purposes */
    "2001:db8::/32", "2002::/16",       "3fff::/20",
};
static const char global_unicast[] = "2000::/3";

static int add(plumb_cidr_t *list, size_t *count, size_t max, const char *text, size_t length,
               plumb_err_t *err)
{
    if (*count == max || !plumb_cidr_parse(&list[*count], text, length))
        return plumb_err_set(err, PLUMB_E_CONFIG, "'%.*s' is no address", (int)length, text);
    (*count)++;
    return 0;
}

int guard_connect_to(const char *text, struct curl_slist **list, plumb_err_t *err)
{
    *list = NULL;
    while (*text != '\0') {
        char entry[512];
        size_t length = strcspn(text, ",");
        const char *arrow = memchr(text, '>', length);
        if (arrow == NULL || length >= sizeof entry)
            return plumb_err_set(err, PLUMB_E_CONFIG,
                                 "worker.connect_to: '%.*s', want host:port>address:port",
                                 (int)length, text);
        memcpy(entry, text, length);
        entry[arrow - text] = ':';
        entry[length] = '\0';
        struct curl_slist *grown = curl_slist_append(*list, entry);
        if (grown == NULL)
            return plumb_err_set(err, PLUMB_E_MEMORY, "worker.connect_to");
        *list = grown;
        text += length + (text[length] == ',');
    }
    return 0;
}

static int add_stand_ins(guard_t *guard, const char *text, plumb_err_t *err)
{
    int rc = 0;
    while (rc == 0 && *text != '\0') {
        size_t length = strcspn(text, ",");
        const char *arrow = memchr(text, '>', length);
        if (arrow != NULL) {
            const char *target = arrow + 1;
            rc = add(guard->stand_ins, &guard->stand_in_count, PLUMB_CIDRS_MAX, target,
                     length - (size_t)(target - text), err);
        }
        text += length + (text[length] == ',');
    }
    return rc < 0 ? plumb_err_add(err, "worker.connect_to") : 0;
}

int guard_init(guard_t *guard, const plumb_conf_t *conf, plumb_err_t *err)
{
    *guard = (guard_t){.development = conf->development};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < PLUMB_COUNT(denied); i++)
        rc = add(guard->denied, &guard->denied_count, GUARD_DENIED_MAX, denied[i],
                 strlen(denied[i]), err);
    if (rc == 0)
        rc = plumb_cidr_list(conf->egress_allow, guard->allowed, PLUMB_CIDRS_MAX,
                             &guard->allowed_count, err);
    if (rc == 0 && conf->development)
        rc = add_stand_ins(guard, conf->connect_to, err);
    return rc;
}

/* Outside 2000::/3, and no IPv4 in disguise. */
static bool is_special_ipv6(const struct sockaddr *address)
{
    plumb_cidr_t unicast;
    const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;
    return address->sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&in->sin6_addr) &&
           !(plumb_cidr_parse(&unicast, global_unicast, sizeof global_unicast - 1) &&
             plumb_cidr_match(&unicast, address));
}

bool guard_admits(const guard_t *guard, const struct sockaddr *address)
{
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
        return false;
    if (plumb_cidr_any(guard->allowed, guard->allowed_count, address) ||
        plumb_cidr_any(guard->stand_ins, guard->stand_in_count, address))
        return true;
    return !is_special_ipv6(address) &&
           !plumb_cidr_any(guard->denied, guard->denied_count, address);
}

/* False: no address literal. */
static bool read_literal(struct sockaddr_storage *out, const char *ip, int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    *out = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, ip, &in.sin_addr) == 1)
        memcpy(out, &in, sizeof in);
    else if (inet_pton(AF_INET6, ip, &in6.sin6_addr) == 1)
        memcpy(out, &in6, sizeof in6);
    else
        return false;
    return true;
}

bool guard_admits_text(const guard_t *guard, const char *ip, int port)
{
    struct sockaddr_storage address;
    return read_literal(&address, ip, port) &&
           guard_admits(guard, (const struct sockaddr *)&address);
}

/* ---- URLs ---- */

static bool is_one_of(const char *text, const char *const *list)
{
    while (*list != NULL && strcmp(text, *list) != 0)
        list++;
    return *list != NULL;
}

static const char *check_scheme(const guard_t *guard, const char *scheme, bool mail)
{
    static const char *const mails[] = {"smtp", "smtps", NULL};
    if (mail)
        return is_one_of(scheme, mails) ? NULL : "the mail server's address is not smtp or smtps";
    if (strcmp(scheme, "https") == 0 || (guard->development && strcmp(scheme, "http") == 0))
        return NULL;
    return "the address does not begin with https://";
}

static bool is_usual_port(const char *port, bool mail)
{
    static const char *const web[] = {"443", "80", "8443", "8080", NULL};
    static const char *const post[] = {"25", "465", "587", "2525", NULL};
    return is_one_of(port, mail ? post : web);
}

/* Does the host's last label read as a number, as in any spelling of an IPv4 address? */
static bool is_numeric(const char *host)
{
    size_t length = strlen(host);
    while (length > 0 && host[length - 1] == '.')
        length--;
    const char *label = memrchr(host, '.', length);
    label = label == NULL ? host : label + 1;
    size_t size = length - (size_t)(label - host);
    size_t digits = strspn(label, "0123456789");
    bool hex = size > 1 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X') &&
               strspn(label + 2, "0123456789abcdefABCDEF") >= size - 2;
    return size > 0 && (digits >= size || hex);
}

static const char *check_host(const guard_t *guard, char *host, const char *port, bool mail)
{
    static const char refusal[] = "the address names a host by number";
    struct sockaddr_storage literal;
    size_t length = strlen(host);
    if (host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        host++;
    }
    if (read_literal(&literal, host, atoi(port)))
        return plumb_cidr_any(guard->allowed, guard->allowed_count,
                              (const struct sockaddr *)&literal)
                   ? NULL
                   : refusal;
    if (is_numeric(host) || strchr(host, ':') != NULL || strchr(host, '%') != NULL)
        return refusal;
    if (!guard->development && !is_usual_port(port, mail))
        return "the address names an unusual port";
    return NULL;
}

/* Empty text when the part is not there. */
static char *part_of(CURLU *url, CURLUPart part, unsigned flags)
{
    char *text = NULL;
    return curl_url_get(url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

static const char *check_parts(const guard_t *guard, CURLU *url, bool mail)
{
    char *scheme = part_of(url, CURLUPART_SCHEME, 0), *host = part_of(url, CURLUPART_HOST, 0);
    char *port = part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    char *user = part_of(url, CURLUPART_USER, 0), *password = part_of(url, CURLUPART_PASSWORD, 0);
    const char *why = NULL;
    if (scheme == NULL || host == NULL || port == NULL || host[0] == '\0')
        why = "the address is malformed";
    else if (user != NULL || password != NULL)
        why = "the address carries a user or a password";
    else
        why = check_scheme(guard, scheme, mail);
    if (why == NULL)
        why = check_host(guard, host, port, mail);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(user);
    curl_free(password);
    return why;
}

const char *guard_url(const guard_t *guard, const char *url, bool mail)
{
    for (const char *c = url; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return "the address holds blanks or control characters";
    CURLU *parsed = curl_url();
    if (parsed == NULL)
        return "out of memory";
    const char *why = curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK
                          ? check_parts(guard, parsed, mail)
                          : "the address is malformed";
    curl_url_cleanup(parsed);
    return why;
}
