/* Reading Redis's address. */
#include "redis_url.h"

#include "conf_units.h"

#include <stdbool.h>
#include <string.h>

#define PORT 6379
#define DATABASE_MAX 65535

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    char lower = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
    const char *found = lower == '\0' ? NULL : strchr(digits, lower);
    return found == NULL ? -1 : (int)(found - digits);
}

/* Copy `length` bytes, %XX decoded.  False: too long, or a bad %XX. */
static bool take(char *out, size_t size, const char *text, size_t length)
{
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_digit(text[i + 2]);
            if (low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0' || n + 1 >= size)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

static bool take_number(int *out, const char *text, size_t length, int min, int max)
{
    int64_t number;
    if (!plumb_int_parse(&number, text, length) || number < min || number > max)
        return false;
    *out = (int)number;
    return true;
}

static bool take_socket(plumb_redis_url_t *url, const char *path)
{
    static const char query[] = "?db=";
    size_t length = strcspn(path, "?");
    if (path[0] != '/' || !take(url->path, sizeof url->path, path, length))
        return false;
    path += length;
    if (path[0] == '\0')
        return true;
    return strncmp(path, query, sizeof query - 1) == 0 &&
           take_number(&url->database, path + sizeof query - 1, strlen(path + sizeof query - 1), 0,
                       DATABASE_MAX);
}

/* "[user]:password" */
static bool take_who(plumb_redis_url_t *url, const char *text, size_t length)
{
    const char *colon = memchr(text, ':', length);
    if (colon == NULL)
        return false;
    size_t user = (size_t)(colon - text);
    return take(url->user, sizeof url->user, text, user) &&
           take(url->password, sizeof url->password, colon + 1, length - user - 1) &&
           url->password[0] != '\0';
}

/* "host[:port]" or "[address][:port]" */
static bool take_place(plumb_redis_url_t *url, const char *text, size_t length)
{
    bool bracketed = length > 0 && text[0] == '[';
    const char *close = bracketed ? memchr(text, ']', length) : NULL;
    if (bracketed && close == NULL)
        return false;
    const char *host = text + bracketed, *end = text + length;
    const char *stop = bracketed ? close : memchr(text, ':', length);
    if (stop == NULL)
        stop = end;
    const char *rest = bracketed ? close + 1 : stop;
    if (stop == host || !take(url->host, sizeof url->host, host, (size_t)(stop - host)))
        return false;
    return rest == end || (rest[0] == ':' &&
                           take_number(&url->port, rest + 1, (size_t)(end - rest - 1), 1, 65535));
}

static bool take_server(plumb_redis_url_t *url, const char *text)
{
    const char *at = strrchr(text, '@');
    if (at != NULL && !take_who(url, text, (size_t)(at - text)))
        return false;
    text = at != NULL ? at + 1 : text;
    size_t place = strcspn(text, "/");
    if (!take_place(url, text, place))
        return false;
    text += place;
    return text[0] == '\0' || text[1] == '\0' ||
           take_number(&url->database, text + 1, strlen(text + 1), 0, DATABASE_MAX);
}

int plumb_redis_url_parse(plumb_redis_url_t *url, const char *text, plumb_err_t *err)
{
    static const char tcp[] = "redis://", local[] = "unix://";
    bool good = false;
    *url = (plumb_redis_url_t){.port = PORT};
    if (strncmp(text, tcp, sizeof tcp - 1) == 0)
        good = take_server(url, text + sizeof tcp - 1);
    else if (strncmp(text, local, sizeof local - 1) == 0)
        good = take_socket(url, text + sizeof local - 1);
    if (good)
        return 0;
    return plumb_err_set(err, PLUMB_E_CONFIG,
                         "want redis://[[user]:password@]host[:port][/database] or "
                         "unix:///path[?db=database]");
}
