/* A query is taken over as it came, parameter by parameter. */
#include "links.h"

#include "../negotiate.h"

static bool names_page(const char *query)
{
    query_parameter_t p;
    return query_next(&query, &p) > 0 &&
           (strcmp(p.name, "page[after]") == 0 || strcmp(p.name, "page[before]") == 0 ||
            strcmp(p.name, "page[number]") == 0);
}

void links_put_page(plumb_buf_t *out, const request_t *request, const char *page)
{
    plumb_buf_t link = {0};
    char sign = '?';
    plumb_buf_text(&link, request->door.path);
    for (const char *at = request->door.query; at != NULL && *at != '\0';) {
        size_t length = strcspn(at, "&");
        if (length > 0 && !names_page(at)) {
            plumb_buf_put(&link, &sign, 1);
            plumb_buf_put(&link, at, length);
            sign = '&';
        }
        at += length + (at[length] == '&');
    }
    if (*page != '\0') {
        plumb_buf_put(&link, &sign, 1);
        plumb_buf_text(&link, page);
    }
    plumb_buf_json(out, link.data, link.length);
    plumb_buf_fini(&link);
}
