/* The attributes of each resource type, and what else the API must know of it. */
#include "type.h"

#include "count.h"
#include "lead.h"
#include "token.h"

#include <string.h>

/* The words of attributes' flags. */
enum {
    CREATE = PLUMB_ATTR_CREATE,
    UPDATE = PLUMB_ATTR_UPDATE,
    NEEDED = PLUMB_ATTR_NEEDED,
    SEALED = PLUMB_ATTR_SEALED,
    FILTER = PLUMB_ATTR_FILTER,
    SORT = PLUMB_ATTR_SORT
};

#define NAME                                                                                       \
    {                                                                                              \
        "name", "name", PLUMB_ATTR_TEXT, 255, CREATE | UPDATE | NEEDED | FILTER | SORT,            \
            "for people", NULL                                                                     \
    }
#define ACTIVE                                                                                     \
    {                                                                                              \
        "active", "active", PLUMB_ATTR_BOOL, 5, CREATE | UPDATE | FILTER, "takes leads", NULL      \
    }
#define CREATED                                                                                    \
    {                                                                                              \
        "createdAt", "created_at", PLUMB_ATTR_TIME, 24, FILTER | SORT, "when it was made", NULL    \
    }
#define UPDATED                                                                                    \
    {                                                                                              \
        "updatedAt", "updated_at", PLUMB_ATTR_TIME, 24, FILTER | SORT, "when it was last changed", \
            NULL                                                                                   \
    }

/* ---- owners ---- */

static const plumb_attr_t user_attrs[] = {NAME, ACTIVE, CREATED, UPDATED};

static const plumb_attr_t project_attrs[] = {
    {"userId", "user_id", PLUMB_ATTR_UUID, 36, CREATE | NEEDED | FILTER, "whose it is", NULL},
    NAME,
    ACTIVE,
    {"settings", "settings", PLUMB_ATTR_JSON, 65536, CREATE | UPDATE, "what differs from the usual",
     NULL},
    CREATED,
    UPDATED,
};

static const plumb_attr_t quiz_attrs[] = {
    {"projectId", "project_id", PLUMB_ATTR_UUID, 36, CREATE | NEEDED | FILTER, "where it belongs",
     NULL},
    NAME,
    ACTIVE,
    {"settings", "settings", PLUMB_ATTR_JSON, 65536, CREATE | UPDATE, "what differs from the usual",
     NULL},
    {"intakeKey", "intake_key", PLUMB_ATTR_TEXT, 64, FILTER,
     "in the address that public forms post to", NULL},
    CREATED,
    UPDATED,
};

/* ---- tokens: of the secret there is a hash only, and its id is half of the token ---- */

static const char *const scopes[] = {"read", "write", "operate", "admin", "intake", NULL};

static const plumb_attr_t token_attrs[] = {
    {"name", "name", PLUMB_ATTR_TEXT, 255, CREATE | UPDATE | NEEDED | FILTER | SORT, "for people",
     NULL},
    {"scopes", "scopes", PLUMB_ATTR_WORDS, 5, CREATE | NEEDED, "what it is good for", scopes},
    {"projectId", "project_id", PLUMB_ATTR_UUID, 36, CREATE | FILTER,
     "the only project it is good for", NULL},
    {"quizId", "quiz_id", PLUMB_ATTR_UUID, 36, CREATE | FILTER, "the only quiz it is good for",
     NULL},
    {"allowedIps", "allowed_ips", PLUMB_ATTR_CIDRS, 64, CREATE | UPDATE,
     "the only addresses it is good from", NULL},
    {"deniedIps", "denied_ips", PLUMB_ATTR_CIDRS, 64, CREATE | UPDATE,
     "addresses it is not good from", NULL},
    {"expiresAt", "expires_at", PLUMB_ATTR_TIME, 24, CREATE | UPDATE | FILTER | SORT,
     "until when it is good", NULL},
    {"usedAt", "used_at", PLUMB_ATTR_TIME, 24, FILTER, "its last use, to within a minute", NULL},
    {"revokedAt", "revoked_at", PLUMB_ATTR_TIME, 24, FILTER, "since when it is good no more", NULL},
    CREATED,
};

/* ---- blocklist ---- */

static const char *const blocked_kinds[] = {"phone", "email", "domain", "ip", "fingerprint", NULL};

static const plumb_attr_t blocked_attrs[] = {
    {"kind", "kind", PLUMB_ATTR_WORD, 16, CREATE | NEEDED | FILTER | SORT, "what is blocked",
     blocked_kinds},
    {"value", "value", PLUMB_ATTR_TEXT, 254, CREATE | NEEDED | SEALED,
     "phone, e-mail, domain, address or CIDR, fingerprint", NULL},
    {"projectId", "project_id", PLUMB_ATTR_UUID, 36, CREATE | FILTER,
     "the only project whose leads it stops", NULL},
    {"reason", "reason", PLUMB_ATTR_TEXT, 255, CREATE | UPDATE, "for people", NULL},
    {"expiresAt", "expires_at", PLUMB_ATTR_TIME, 24, CREATE | UPDATE | FILTER | SORT,
     "until when it is blocked", NULL},
    CREATED,
    UPDATED,
};

/* ---- what became of a lead ---- */

static const char *const integrations[] = {"none",      "pending", "partial",
                                           "delivered", "failed",  NULL};
static const plumb_attr_t lead_derived[] = {
    {"integrationStatus", "", PLUMB_ATTR_WORD, 16, 0, "how its deliveries stand together",
     integrations},
    {"integrationData", "", PLUMB_ATTR_JSON, 65536, 0, "remote ids by channel", NULL},
};

static const char *const states[] = {"pending", "queued",  "held",     "ambiguous", "delivered",
                                     "failed",  "skipped", "canceled", NULL};
static const char *const verbs[] = {"send", "update", NULL};
static const char *const outcomes[] = {"ok",          "duplicate", "retry", "throttled",
                                       "credentials", "permanent", "gone",  "ambiguous",
                                       "bug",         NULL};

static const plumb_attr_t delivery_attrs[] = {
    {"credentialId", "credential_id", PLUMB_ATTR_UUID, 36, 0, "where it goes", NULL},
    {"channel", "channel", PLUMB_ATTR_TEXT, 64, 0, "by which plugin", NULL},
    {"verb", "verb", PLUMB_ATTR_WORD, 16, 0, "send or update", verbs},
    {"state", "state", PLUMB_ATTR_WORD, 16, 0, "how it stands", states},
    {"attempt", "attempt", PLUMB_ATTR_INT, INT32_MAX, 0, "times it was handed over", NULL},
    {"tries", "tries", PLUMB_ATTR_INT, INT32_MAX, 0, "attempts that count", NULL},
    {"outcome", "outcome", PLUMB_ATTR_WORD, 16, 0, "what the newest attempt came to", outcomes},
    {"reason", "reason", PLUMB_ATTR_TEXT, 255, 0, "why it stands so", NULL},
    {"externalId", "external_id", PLUMB_ATTR_TEXT, 255, 0, "what the service calls it", NULL},
    {"lateSuccess", "late_success", PLUMB_ATTR_BOOL, 5, 0, "it succeeded after it was given up",
     NULL},
    {"dueAt", "due_at", PLUMB_ATTR_TIME, 24, 0, "when it is tried next", NULL},
    {"deadlineAt", "deadline_at", PLUMB_ATTR_TIME, 24, 0, "when it is given up", NULL},
    {"queuedAt", "queued_at", PLUMB_ATTR_TIME, 24, 0, "when it was handed over", NULL},
    {"createdAt", "created_at", PLUMB_ATTR_TIME, 24, 0, "when it was made", NULL},
    {"settledAt", "settled_at", PLUMB_ATTR_TIME, 24, 0, "when it became final", NULL},
};

static const plumb_attr_t attempt_attrs[] = {
    {"attempt", "attempt", PLUMB_ATTR_INT, INT32_MAX, 0, "which one", NULL},
    {"outcome", "outcome", PLUMB_ATTR_WORD, 16, 0, "what it came to", outcomes},
    {"counted", "counted", PLUMB_ATTR_BOOL, 5, 0, "it changed the delivery", NULL},
    {"repeats", "repeats", PLUMB_ATTR_INT, INT32_MAX, 0, "times the same came again", NULL},
    {"status", "status", PLUMB_ATTR_INT, 999, 0, "of the last answer", NULL},
    {"worker", "worker", PLUMB_ATTR_TEXT, 64, 0, "who made it", NULL},
    {"requests", "requests", PLUMB_ATTR_INT, INT16_MAX, 0, "requests it took", NULL},
    {"retryAfterMs", "retry_after_ms", PLUMB_ATTR_INT, INT32_MAX, 0, "what the service asked for",
     NULL},
    {"detail", "detail", PLUMB_ATTR_TEXT, 1024, 0, "in words", NULL},
    {"externalId", "external_id", PLUMB_ATTR_TEXT, 255, 0, "what the service calls it", NULL},
    {"startedAt", "started_at", PLUMB_ATTR_TIME, 24, 0, "by the worker's clock", NULL},
    {"recordedAt", "recorded_at", PLUMB_ATTR_TIME, 24, 0, "by the database's clock", NULL},
};
static const plumb_attr_t attempt_derived[] = {
    {"timings", "", PLUMB_ATTR_JSON, 1024, 0, "of the last request, in microseconds", NULL},
    {"exchange", "exchange", PLUMB_ATTR_JSON, 65536, SEALED, "excerpts of request and answer",
     NULL},
};

/* ---- what belongs together ---- */

static const api_relation_t lead_relations[] = {
    {"user", API_USERS, "userId", NULL},        {"project", API_PROJECTS, "projectId", NULL},
    {"quiz", API_QUIZZES, "quizId", NULL},      {"original", API_LEADS, "duplicateOf", NULL},
    {"deliveries", API_DELIVERIES, NULL, NULL},
};
static const api_relation_t user_relations[] = {
    {"projects", API_PROJECTS, NULL, "userId"},
    {"leads", API_LEADS, NULL, "userId"},
};
static const api_relation_t project_relations[] = {
    {"user", API_USERS, "userId", NULL},
    {"quizzes", API_QUIZZES, NULL, "projectId"},
    {"leads", API_LEADS, NULL, "projectId"},
};
static const api_relation_t quiz_relations[] = {
    {"project", API_PROJECTS, "projectId", NULL},
    {"leads", API_LEADS, NULL, "quizId"},
};
static const api_relation_t token_relations[] = {
    {"project", API_PROJECTS, "projectId", NULL},
    {"quiz", API_QUIZZES, "quizId", NULL},
};
static const api_relation_t blocked_relations[] = {
    {"project", API_PROJECTS, "projectId", NULL},
};
static const api_relation_t delivery_relations[] = {
    {"attempts", API_ATTEMPTS, NULL, NULL},
};

#define ROWS(table) table, PLUMB_COUNT(table)

const api_type_t api_types[API_TYPES] = {
    [API_LEADS] = {API_LEADS, "leads", "/api/v1/leads", "leads", "id", plumb_lead_attrs,
                   PLUMB_LEAD_ATTRS, ROWS(lead_relations), API_VERSIONED | API_TIMED_IDS,
                   SCOPE_READ | SCOPE_ADMIN, SCOPE_WRITE | SCOPE_ADMIN, "project_id", NULL,
                   "deleted_at", "-createdAt", ROWS(lead_derived)},
    [API_USERS] = {API_USERS, "users", "/api/v1/users", "users", "id", ROWS(user_attrs),
                   ROWS(user_relations), API_VERSIONED, SCOPE_READ | SCOPE_ADMIN, SCOPE_ADMIN, NULL,
                   "t.id IN (SELECT p.user_id FROM projects p WHERE p.account_id = t.account_id "
                   "AND p.id = @)",
                   "deleted_at", "-createdAt", NULL, 0},
    [API_PROJECTS] = {API_PROJECTS, "projects", "/api/v1/projects", "projects", "id",
                      ROWS(project_attrs), ROWS(project_relations), API_VERSIONED,
                      SCOPE_READ | SCOPE_ADMIN, SCOPE_ADMIN, "id", NULL, "deleted_at", "-createdAt",
                      NULL, 0},
    [API_QUIZZES] = {API_QUIZZES, "quizzes", "/api/v1/quizzes", "quizzes", "id", ROWS(quiz_attrs),
                     ROWS(quiz_relations), API_VERSIONED, SCOPE_READ | SCOPE_ADMIN, SCOPE_ADMIN,
                     "project_id", NULL, "deleted_at", "-createdAt", NULL, 0},
    [API_TOKENS] = {API_TOKENS, "tokens", "/api/v1/tokens", "tokens", "uuid", ROWS(token_attrs),
                    ROWS(token_relations), 0, SCOPE_ADMIN, SCOPE_ADMIN, "project_id", NULL,
                    "revoked_at", "-createdAt", NULL, 0},
    [API_BLOCKLIST] = {API_BLOCKLIST, "blocklist", "/api/v1/blocklist", "blocklist", "id",
                       ROWS(blocked_attrs), ROWS(blocked_relations), API_VERSIONED | API_SEALED,
                       SCOPE_READ | SCOPE_ADMIN, SCOPE_WRITE | SCOPE_OPERATE | SCOPE_ADMIN,
                       "project_id", NULL, NULL, "-createdAt", NULL, 0},
    [API_DELIVERIES] = {API_DELIVERIES, "deliveries", NULL, "deliveries", "id",
                        ROWS(delivery_attrs), ROWS(delivery_relations), 0, SCOPE_READ | SCOPE_ADMIN,
                        0, NULL, NULL, NULL, NULL, NULL, 0},
    [API_ATTEMPTS] = {API_ATTEMPTS, "attempts", NULL, "attempts", "delivery_id",
                      ROWS(attempt_attrs), NULL, 0, 0, SCOPE_READ | SCOPE_ADMIN, 0, NULL, NULL,
                      NULL, NULL, ROWS(attempt_derived)},
};

const api_type_t *api_type_find(const char *name, size_t length)
{
    for (size_t i = 0; i < API_TYPES; i++)
        if (strlen(api_types[i].name) == length && memcmp(api_types[i].name, name, length) == 0)
            return &api_types[i];
    return NULL;
}

int api_attr_find(const api_type_t *type, const char *name, size_t length)
{
    for (size_t i = 0; i < type->attr_count; i++)
        if (strlen(type->attrs[i].name) == length && memcmp(type->attrs[i].name, name, length) == 0)
            return (int)i;
    return -1;
}

int api_relation_find(const api_type_t *type, const char *name, size_t length)
{
    for (size_t i = 0; i < type->relation_count; i++)
        if (strlen(type->relations[i].name) == length &&
            memcmp(type->relations[i].name, name, length) == 0)
            return (int)i;
    return -1;
}

static int derived_find(const api_type_t *type, const char *name, size_t length)
{
    for (size_t i = 0; i < type->derived_count; i++)
        if (strlen(type->derived[i].name) == length &&
            memcmp(type->derived[i].name, name, length) == 0)
            return (int)i;
    return -1;
}

int api_bit_find(const api_type_t *type, const char *name, size_t length)
{
    int at = api_attr_find(type, name, length);
    if (at >= 0)
        return at;
    at = derived_find(type, name, length);
    if (at >= 0)
        return API_BIT_DERIVED + at;
    at = api_relation_find(type, name, length);
    return at < 0 ? -1 : API_BIT_RELATION + at;
}

plumb_seal_place_t api_sealed_place(const api_type_t *type, const plumb_uuid_t *account,
                                    const plumb_uuid_t *id)
{
    return (plumb_seal_place_t){type->name, *account, *id, "sealed"};
}
