/* The families of query parameters. */
#include "query.h"

#include "../negotiate.h"
#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROFILE "https://jsonapi.org/profiles/ethanresnick/cursor-pagination/"

void api_query_problem(api_query_t *q, const char *parameter, const char *detail)
{
    problems_add(q->problems, PLUMB_E_BAD_PARAMETER, SOURCE_PARAMETER, parameter, detail);
}

bool api_bracket(const char **rest, const char **name, size_t *length)
{
    if (**rest != '[')
        return false;
    *name = *rest + 1;
    *length = strcspn(*name, "[]");
    if ((*name)[*length] != ']')
        return false;
    *rest = *name + *length + 1;
    return true;
}

/* ---- sort ---- */

/* Does the order by this key end where that by id does? */
static bool is_id(const api_type_t *type, const char *name, size_t length, int attr)
{
    if (length == 2 && memcmp(name, "id", length) == 0)
        return true;
    return attr >= 0 && (type->flags & API_TIMED_IDS) != 0 &&
           strcmp(type->attrs[attr].name, "createdAt") == 0;
}

static bool take_key(api_query_t *q, const char *name, size_t length)
{
    bool descending = *name == '-';
    name += descending;
    length -= descending;
    int attr = api_attr_find(q->type, name, length);
    bool id = is_id(q->type, name, length, attr);
    if (!id && (attr < 0 || (q->type->attrs[attr].flags & PLUMB_ATTR_SORT) == 0))
        return false;
    if (q->id_named) /* the order is total already */
        return true;
    q->id_descending = descending;
    q->id_named = id;
    if (id)
        return true;
    if (q->key_count == API_KEYS_MAX)
        return false;
    q->keys[q->key_count++] = (api_key_t){attr, descending};
    return true;
}

static void read_sort(api_query_t *q, const char *value)
{
    const char *item;
    size_t length;
    q->key_count = 0;
    q->id_named = false;
    bool any = false;
    while (list_next(&value, &item, &length)) {
        any = true;
        if (!take_key(q, item, length)) {
            api_query_problem(q, "sort", "it is not sorted by this, or by so much");
            return;
        }
    }
    if (!any)
        api_query_problem(q, "sort", "by what?");
}

/* ---- include, fields ---- */

/* Relations that can come along: those to one, and what became of a lead. */
static bool take_include(api_query_t *q, const char *path, size_t length)
{
    static const char attempts[] = "deliveries.attempts";
    bool is_attempts = q->type->kind == API_LEADS && length == sizeof attempts - 1 &&
                       memcmp(path, attempts, length) == 0;
    int at = api_relation_find(q->type, path, is_attempts ? strlen("deliveries") : length);
    if (at < 0 || (q->type->relations[at].attr == NULL &&
                   (q->type->kind != API_LEADS || q->type->relations[at].theirs != NULL)))
        return false;
    q->attempts = q->attempts || is_attempts;
    q->include |= API_BIT(API_BIT_RELATION + at);
    return true;
}

static void read_include(api_query_t *q, const char *value)
{
    const char *item;
    size_t length;
    while (list_next(&value, &item, &length))
        if (!take_include(q, item, length)) {
            api_query_problem(q, "include", "there is no such relationship, or it is too large");
            return;
        }
}

static void read_fields(api_query_t *q, const char *parameter, const char *rest, const char *value)
{
    const char *item;
    size_t length;
    const api_type_t *type =
        api_bracket(&rest, &item, &length) && *rest == '\0' ? api_type_find(item, length) : NULL;
    if (type == NULL) {
        api_query_problem(q, parameter, "there is no such type");
        return;
    }
    q->fields[type->kind] = 0;
    while (list_next(&value, &item, &length)) {
        int bit = api_bit_find(type, item, length);
        if (bit < 0) {
            api_query_problem(q, parameter, "the type has no such field");
            return;
        }
        q->fields[type->kind] |= API_BIT(bit);
    }
}

/* ---- page ---- */

/* A number from 1; 0: it is none. */
static int64_t read_count(const char *value)
{
    size_t digits = strspn(value, "0123456789");
    return digits == 0 || digits > 9 || value[digits] != '\0' ? 0 : strtoll(value, NULL, 10);
}

static void refuse_size(api_query_t *q, const char *parameter, bool too_large)
{
    char more[256];
    snprintf(more, sizeof more,
             ",\"meta\":{\"page\":{\"maxSize\":%d}},\"links\":{\"type\":\"" PROFILE "%s\"}",
             API_PAGE_MAX, too_large ? "max-size-exceeded" : "invalid-parameter-value");
    problems_add_more(q->problems, too_large ? PLUMB_E_PAGE_SIZE : PLUMB_E_BAD_PARAMETER,
                      SOURCE_PARAMETER, parameter,
                      too_large ? "more than a page may have" : "want a number from 1", more);
}

static size_t keep_text(api_query_t *q, const char *value)
{
    plumb_buf_put(&q->texts, "", 1); /* so that no offset is 0 */
    size_t at = q->texts.length;
    plumb_buf_put(&q->texts, value, strlen(value) + 1);
    return at;
}

static void read_page(api_query_t *q, const char *parameter, const char *value)
{
    if (strcmp(parameter, "page[size]") == 0 || strcmp(parameter, "page[limit]") == 0) {
        size_t digits = strspn(value, "0123456789");
        q->page.size = read_count(value);
        bool too_large = q->page.size > API_PAGE_MAX || (digits > 9 && value[digits] == '\0');
        if (q->page.size == 0 || too_large)
            refuse_size(q, parameter, too_large);
    } else if (strcmp(parameter, "page[number]") == 0) {
        q->page.paging = API_NUMBERS;
        q->page.number = read_count(value);
        if (q->page.number == 0)
            api_query_problem(q, parameter, "want a number from 1");
    } else if (strcmp(parameter, "page[after]") == 0) {
        q->page.after = keep_text(q, value);
    } else if (strcmp(parameter, "page[before]") == 0) {
        q->page.before = keep_text(q, value);
    } else {
        api_query_problem(q, parameter, "want size, limit, number, after or before");
    }
}

static void check_page(api_query_t *q)
{
    const char *cursor = q->page.after > 0 ? "page[after]" : "page[before]";
    if (q->page.after > 0 && q->page.before > 0)
        problems_add_more(q->problems, PLUMB_E_BAD_PARAMETER, SOURCE_PARAMETER, "page[before]",
                          "after or before, not both",
                          ",\"links\":{\"type\":\"" PROFILE "range-pagination-not-supported\"}");
    else if (q->page.paging == API_NUMBERS && q->page.after + q->page.before > 0)
        api_query_problem(q, cursor, "pages have either numbers or cursors");
}

/* ---- all of them ---- */

static bool is_said_here(unsigned may, const char *name)
{
    if ((may & (API_MAY_FILTER | API_MAY_LANES)) == 0 || strncmp(name, "filter[", 7) == 0)
        return true;
    return (may & API_MAY_LANES) != 0 &&
           (strncmp(name, "fields[", 7) == 0 || strcmp(name, "page[size]") == 0 ||
            strcmp(name, "page[limit]") == 0);
}

/* False: there is no such parameter. */
static bool take_parameter(api_query_t *q, unsigned may, const query_parameter_t *p)
{
    size_t family = strcspn(p->name, "[");
    const char *rest = p->name + family;
    bool lists = (may & API_MAY_LIST) != 0;
    if (strcmp(p->name, "include") == 0)
        read_include(q, p->value);
    else if (family == 6 && strncmp(p->name, "fields", family) == 0)
        read_fields(q, p->name, rest, p->value);
    else if (lists && strcmp(p->name, "sort") == 0)
        read_sort(q, p->value);
    else if (lists && family == 6 && strncmp(p->name, "filter", family) == 0)
        api_filter_read(q, p->name, rest, p->value);
    else if (lists && family == 4 && strncmp(p->name, "page", family) == 0)
        read_page(q, p->name, p->value);
    else
        return false;
    return true;
}

static void read_parameter(api_query_t *q, unsigned may, const query_parameter_t *p)
{
    if (!is_said_here(may, p->name) || !take_parameter(q, may, p))
        api_query_problem(q, p->name, "there is no such parameter here");
}

bool api_query_read(api_query_t *q, const api_type_t *type, unsigned may, const char *query,
                    problems_t *problems)
{
    query_parameter_t parameter;
    int rc;
    *q = (api_query_t){.type = type, .problems = problems, .page = {.size = API_PAGE_DEFAULT}};
    memset(q->fields, 0xff, sizeof q->fields);
    if ((may & (API_MAY_FILTER | API_MAY_LANES)) != 0)
        may |= API_MAY_LIST;
    if (type->default_sort != NULL)
        read_sort(q, type->default_sort);
    while ((rc = query_next(&query, &parameter)) > 0) {
        if (!plumb_utf8_valid(parameter.name, strlen(parameter.name)))
            api_query_problem(q, "", "a parameter's name is no UTF-8");
        else if (!plumb_utf8_valid(parameter.value, strlen(parameter.value)))
            api_query_problem(q, parameter.name, "it is no UTF-8");
        else
            read_parameter(q, may, &parameter);
    }
    if (rc < 0)
        api_query_problem(
            q, plumb_utf8_valid(parameter.name, strlen(parameter.name)) ? parameter.name : "",
            "a malformed escape, or too long");
    check_page(q);
    return problems->count == 0;
}

void api_query_fini(api_query_t *q)
{
    plumb_buf_wipe(&q->texts); /* phones may have been asked for */
}
