/* Routes. */
#include "route.h"

#include "count.h"
#include "handlers.h"

#include <stdio.h>
#include <string.h>

#define ROUTE(method, path, scopes, flags, handle)                                                 \
    {                                                                                              \
        method, path, scopes, flags, method " " path, method "," path, handle                      \
    }

#define READ(path, handle) ROUTE("GET", path, SCOPE_READ | SCOPE_ADMIN, ROUTE_JSONAPI, handle)

#define CREATE(path, scopes) ROUTE("POST", path, scopes, ROUTE_JSONAPI | ROUTE_BODY, api_create)
#define UPDATE(path, scopes) ROUTE("PATCH", path, scopes, ROUTE_JSONAPI | ROUTE_BODY, api_update)
#define REMOVE(path, scopes) ROUTE("DELETE", path, scopes, ROUTE_JSONAPI, api_remove)
/* Who may change something of any kind; which kind, the handler asks. */
#define ANY_WRITE (SCOPE_WRITE | SCOPE_OPERATE | SCOPE_ADMIN)

static const route_t routes[] = {
    ROUTE("POST", "/api/v1/leads", SCOPE_WRITE | SCOPE_INTAKE | SCOPE_ADMIN,
          ROUTE_JSONAPI | ROUTE_BODY, intake_post),
    ROUTE("GET", "/api/v1/events", SCOPE_READ | SCOPE_ADMIN, 0, events_get),
    READ("/api/v1/leads", api_list),
    READ("/api/v1/leads/filter-counts", api_counts),
    READ("/api/v1/leads/kanban", api_board),
    READ("/api/v1/leads/{id}", api_get),
    UPDATE("/api/v1/leads/{id}", ANY_WRITE),
    REMOVE("/api/v1/leads/{id}", SCOPE_WRITE | SCOPE_ADMIN),
    ROUTE("POST", "/api/v1/leads/{id}/restore", SCOPE_WRITE | SCOPE_ADMIN, ROUTE_JSONAPI,
          api_restore),
    ROUTE("POST", "/api/v1/leads/{id}/release", SCOPE_OPERATE | SCOPE_ADMIN, ROUTE_JSONAPI,
          api_release),
    READ("/api/v1/leads/{id}/explain", api_explain),
    READ("/api/v1/leads/{id}/user", api_related_one),
    READ("/api/v1/leads/{id}/project", api_related_one),
    READ("/api/v1/leads/{id}/quiz", api_related_one),
    READ("/api/v1/leads/{id}/original", api_related_one),
    READ("/api/v1/leads/{id}/deliveries", api_lead_deliveries),
    ROUTE("POST", "/api/v1/operations", ANY_WRITE, ROUTE_JSONAPI | ROUTE_BODY | ROUTE_ATOMIC,
          api_operations),
    READ("/api/v1/account", account_get),
    ROUTE("PATCH", "/api/v1/account", SCOPE_ADMIN, ROUTE_JSONAPI | ROUTE_BODY, account_update),
    ROUTE("POST", "/api/v1/account/top-ups", SCOPE_ADMIN, ROUTE_JSONAPI | ROUTE_BODY,
          account_top_up),
    READ("/api/v1/account/top-ups/{id}", account_get_top_up),
    READ("/api/v1/users", api_list),
    READ("/api/v1/users/{id}", api_get),
    CREATE("/api/v1/users", SCOPE_ADMIN),
    UPDATE("/api/v1/users/{id}", SCOPE_ADMIN),
    REMOVE("/api/v1/users/{id}", SCOPE_ADMIN),
    READ("/api/v1/users/{id}/projects", api_related_many),
    READ("/api/v1/users/{id}/leads", api_related_many),
    READ("/api/v1/projects", api_list),
    READ("/api/v1/projects/{id}", api_get),
    CREATE("/api/v1/projects", SCOPE_ADMIN),
    UPDATE("/api/v1/projects/{id}", SCOPE_ADMIN),
    REMOVE("/api/v1/projects/{id}", SCOPE_ADMIN),
    READ("/api/v1/projects/{id}/user", api_related_one),
    READ("/api/v1/projects/{id}/quizzes", api_related_many),
    READ("/api/v1/projects/{id}/leads", api_related_many),
    READ("/api/v1/quizzes", api_list),
    READ("/api/v1/quizzes/{id}", api_get),
    CREATE("/api/v1/quizzes", SCOPE_ADMIN),
    UPDATE("/api/v1/quizzes/{id}", SCOPE_ADMIN),
    REMOVE("/api/v1/quizzes/{id}", SCOPE_ADMIN),
    READ("/api/v1/quizzes/{id}/project", api_related_one),
    READ("/api/v1/quizzes/{id}/leads", api_related_many),
    ROUTE("GET", "/api/v1/tokens", SCOPE_ADMIN, ROUTE_JSONAPI, api_list),
    ROUTE("GET", "/api/v1/tokens/{id}", SCOPE_ADMIN, ROUTE_JSONAPI, api_get),
    CREATE("/api/v1/tokens", SCOPE_ADMIN),
    UPDATE("/api/v1/tokens/{id}", SCOPE_ADMIN),
    REMOVE("/api/v1/tokens/{id}", SCOPE_ADMIN),
    ROUTE("GET", "/api/v1/tokens/{id}/project", SCOPE_ADMIN, ROUTE_JSONAPI, api_related_one),
    ROUTE("GET", "/api/v1/tokens/{id}/quiz", SCOPE_ADMIN, ROUTE_JSONAPI, api_related_one),
    READ("/api/v1/blocklist", api_list),
    READ("/api/v1/blocklist/{id}", api_get),
    CREATE("/api/v1/blocklist", ANY_WRITE),
    UPDATE("/api/v1/blocklist/{id}", ANY_WRITE),
    REMOVE("/api/v1/blocklist/{id}", ANY_WRITE),
    READ("/api/v1/blocklist/{id}/project", api_related_one),
    ROUTE("POST", "/api/v1/leads/bulk", SCOPE_WRITE | SCOPE_INTAKE | SCOPE_ADMIN, 0, bulk_post),
    ROUTE("POST", "/api/v1/intake/{key}", 0, ROUTE_BODY, public_post),
    ROUTE("OPTIONS", "/api/v1/intake/{key}", 0, 0, public_options),
    ROUTE("POST", "/api/v1/phone-verifications", SCOPE_WRITE | SCOPE_INTAKE | SCOPE_ADMIN,
          ROUTE_JSONAPI | ROUTE_BODY, verification_post),
    ROUTE("GET", "/api/v1/phone-verifications/{id}",
          SCOPE_READ | SCOPE_WRITE | SCOPE_INTAKE | SCOPE_ADMIN, ROUTE_JSONAPI, verification_get),
    ROUTE("POST", "/api/v1/phone-verifications/{id}/confirm",
          SCOPE_WRITE | SCOPE_INTAKE | SCOPE_ADMIN, ROUTE_JSONAPI | ROUTE_BODY,
          verification_confirm),
    ROUTE("GET", "/healthz", 0, 0, health_alive),
    ROUTE("GET", "/readyz", 0, 0, health_ready),
    ROUTE("GET", "/metrics", 0, 0, health_metrics),
};

/* Does the route's pattern fit the path?  An {id} that is no UUID is simply not there. */
static bool fits(request_t *request, const char *pattern)
{
    const char *path = request->door.path, *hole = strchr(pattern, '{');
    if (hole == NULL)
        return strcmp(pattern, path) == 0;
    size_t before = (size_t)(hole - pattern);
    if (strncmp(pattern, path, before) != 0)
        return false;
    request->key = (plumb_slice_t){path + before, strcspn(path + before, "/")};
    return strcmp(strchr(hole, '}') + 1, path + before + request->key.length) == 0 &&
           (hole[1] == 'k' ||
            plumb_uuid_parse(&request->id, request->key.data, request->key.length));
}

static void allow_method(char allow[ROUTE_ALLOW], const char *method)
{
    size_t length = strlen(allow);
    snprintf(allow + length, ROUTE_ALLOW - length, "%s%s%s", length > 0 ? ", " : "", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

int route_find(request_t *request, const char *method, char allow[ROUTE_ALLOW], plumb_err_t *err)
{
    allow[0] = '\0';
    request->is_head = strcmp(method, "HEAD") == 0;
    if (request->is_head)
        method = "GET";
    for (size_t i = 0; i < PLUMB_COUNT(routes); i++) {
        if (!fits(request, routes[i].path))
            continue;
        if (strcmp(routes[i].method, method) == 0) {
            request->route = &routes[i];
            return 0;
        }
        allow_method(allow, routes[i].method);
    }
    if (allow[0] != '\0')
        return plumb_err_set(err, PLUMB_E_METHOD, "the method is not served here: %s", allow);
    return plumb_err_set(err, PLUMB_E_NOT_FOUND, "there is nothing here");
}
