/* filter[...]: conditions, and their values. */
#include "query.h"

#include "../negotiate.h"
#include "clock.h"
#include "uuid.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const plumb_attr_t id_attr = {"id", "id", PLUMB_ATTR_UUID, 36, PLUMB_ATTR_FILTER, "", NULL};
static const plumb_attr_t search_attr = {"search", "",  PLUMB_ATTR_TEXT, 255, PLUMB_ATTR_FILTER,
                                         "",       NULL};

/* ---- values ---- */

static bool read_uuid(api_query_t *q, const char *value, size_t length)
{
    plumb_uuid_t id;
    char text[PLUMB_UUID_TEXT];
    if (!plumb_uuid_parse(&id, value, length))
        return false;
    plumb_buf_put(&q->texts, plumb_uuid_text(&id, text), PLUMB_UUID_TEXT - 1);
    return true;
}

static bool read_bool(api_query_t *q, const char *value, size_t length)
{
    static const struct {
        const char *text, *value;
    } words[] = {{"true", "true"}, {"false", "false"}, {"1", "true"}, {"0", "false"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].text) == length && memcmp(words[i].text, value, length) == 0) {
            plumb_buf_text(&q->texts, words[i].value);
            return true;
        }
    return false;
}

static bool read_ip(api_query_t *q, const char *value, size_t length)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t address[16];
    snprintf(text, sizeof text, "%.*s", (int)length, value);
    if (length >= sizeof text ||
        (inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1))
        return false;
    plumb_buf_put(&q->texts, value, length);
    return true;
}

/* RFC 3339; also a day alone, and without a zone: UTC.  A query may have turned "+" into a blank.
 */
static bool read_time(api_query_t *q, const char *value, size_t length)
{
    char text[64];
    int64_t ms;
    if (length >= sizeof text - sizeof "T00:00Z")
        return false;
    int end = snprintf(text, sizeof text, "%.*s", (int)length, value);
    char *time = strpbrk(text, "Tt"), *blank = strchr(text, ' ');
    if (blank != NULL)
        *blank = '+';
    if (time == NULL || strpbrk(time, "Zz+-") == NULL)
        snprintf(text + end, sizeof text - (size_t)end, "%s", time == NULL ? "T00:00Z" : "Z");
    if (!plumb_time_parse(&ms, text, strlen(text)))
        return false;
    plumb_buf_printf(&q->texts, "%" PRId64, ms);
    return true;
}

static bool read_int(api_query_t *q, const char *value, size_t length)
{
    size_t sign = *value == '-';
    if (length <= sign || length > sign + 18 || strspn(value + sign, "0123456789") < length - sign)
        return false;
    plumb_buf_put(&q->texts, value, length);
    return true;
}

bool api_value_read(api_query_t *q, const plumb_attr_t *attr, const char *value, size_t length)
{
    switch (attr->type) {
    case PLUMB_ATTR_UUID:
        return read_uuid(q, value, length);
    case PLUMB_ATTR_BOOL:
        return read_bool(q, value, length);
    case PLUMB_ATTR_IP:
        return read_ip(q, value, length);
    case PLUMB_ATTR_TIME:
        return read_time(q, value, length);
    case PLUMB_ATTR_INT:
        return read_int(q, value, length);
    case PLUMB_ATTR_WORD:
        if (plumb_attr_word(attr, value, length) == NULL)
            return false;
        break;
    default:
        break;
    }
    plumb_buf_put(&q->texts, value, length);
    return true;
}

/* ---- conditions ---- */

static const plumb_attr_t *attr_of(const api_query_t *q, int attr)
{
    if (attr == API_ID)
        return &id_attr;
    return attr == API_SEARCH ? &search_attr : &q->type->attrs[attr];
}

const api_condition_t *api_query_condition(const api_query_t *q, int attr, api_op_t op)
{
    for (unsigned i = 0; i < q->condition_count; i++)
        if (q->conditions[i].attr == attr && q->conditions[i].op == op)
            return &q->conditions[i];
    return NULL;
}

/* The condition, made if it is new; -1: too many. */
static int condition_of(api_query_t *q, int attr, api_op_t op)
{
    const api_condition_t *there = api_query_condition(q, attr, op);
    if (there != NULL)
        return (int)(there - q->conditions);
    if (q->condition_count == API_CONDITIONS_MAX)
        return -1;
    q->conditions[q->condition_count] = (api_condition_t){.attr = attr, .op = op};
    return (int)q->condition_count++;
}

/* Is the value that begins at `start` among the condition's already? */
static bool is_repeated(const api_query_t *q, int condition, size_t start)
{
    size_t length = q->texts.length - start;
    for (unsigned i = 0; i < q->value_count; i++)
        if (q->values[i].condition == (unsigned)condition && q->values[i].length == length &&
            memcmp(q->texts.data + q->values[i].at, q->texts.data + start, length) == 0)
            return true;
    return false;
}

static bool add_value(api_query_t *q, int attr, api_op_t op, const char *value, size_t length)
{
    int at = condition_of(q, attr, op);
    if (at < 0 || q->value_count == API_VALUES_MAX ||
        ((op != API_ANY || attr == API_SEARCH) && q->conditions[at].count > 0))
        return false;
    if (op == API_ANY && attr != API_SEARCH && length == 4 && memcmp(value, "null", length) == 0) {
        q->conditions[at].or_null = true;
        return true;
    }
    size_t start = q->texts.length;
    if (!api_value_read(q, attr_of(q, attr), value, length))
        return false;
    if (is_repeated(q, at, start)) {
        q->texts.length = start;
        return true;
    }
    q->values[q->value_count++] = (api_value_t){(unsigned)at, start, q->texts.length - start};
    q->conditions[at].count++;
    plumb_buf_put(&q->texts, "", 1);
    return true;
}

bool api_query_require(api_query_t *q, int attr, const char *value)
{
    return api_query_condition(q, attr, API_ANY) == NULL &&
           add_value(q, attr, API_ANY, value, strlen(value));
}

/* What "[gte]" and the like say; "[]" is any-of too. */
static bool read_op(const char *rest, api_op_t *op)
{
    static const struct {
        const char *text;
        api_op_t op;
    } ops[] = {{"", API_ANY},    {"[]", API_ANY},    {"[gte]", API_GTE},
               {"[gt]", API_GT}, {"[lte]", API_LTE}, {"[lt]", API_LT}};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(ops[i].text, rest) == 0) {
            *op = ops[i].op;
            return true;
        }
    return false;
}

static bool has_order(const plumb_attr_t *attr)
{
    return attr->type == PLUMB_ATTR_TIME || attr->type == PLUMB_ATTR_UUID ||
           attr->type == PLUMB_ATTR_INT;
}

static bool find_filter(const api_query_t *q, const char *name, size_t length, int *attr)
{
    *attr = api_attr_find(q->type, name, length);
    if (*attr >= 0)
        return (q->type->attrs[*attr].flags & PLUMB_ATTR_FILTER) != 0;
    *attr = length == 2 ? API_ID : API_SEARCH;
    if (length == 2 && memcmp(name, "id", length) == 0)
        return true;
    return length == 6 && memcmp(name, "search", length) == 0 &&
           api_attr_find(q->type, "name", strlen("name")) >= 0;
}

void api_filter_read(api_query_t *q, const char *parameter, const char *rest, const char *value)
{
    const char *name, *item;
    size_t length;
    int attr;
    api_op_t op;
    if (!api_bracket(&rest, &name, &length) || !find_filter(q, name, length, &attr)) {
        api_query_problem(q, parameter, "it is not filtered by this");
        return;
    }
    if (!read_op(rest, &op) || (op != API_ANY && !has_order(attr_of(q, attr)))) {
        api_query_problem(q, parameter, "there is no such comparison");
        return;
    }
    bool good = true, any = false;
    if (attr == API_SEARCH) { /* a sentence: commas are part of it */
        good = add_value(q, attr, op, value, strlen(value));
        any = *value != '\0';
    } else {
        while (good && list_next(&value, &item, &length)) {
            good = add_value(q, attr, op, item, length);
            any = true;
        }
    }
    if (!good || !any)
        api_query_problem(q, parameter,
                          any ? "no value of its type, or too many" : "it names no value");
}
