/* The resource types of the API, one descriptor each: lists, single resources, changes, their
 * OpenAPI and their tests are read from these and from the attribute rows behind them. */
#ifndef INGEST_API_TYPE_H
#define INGEST_API_TYPE_H

#include "attr.h"
#include "seal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define API_ATTRS_MAX 48
#define API_DERIVED_MAX 4
#define API_RELATIONS_MAX 8

typedef enum api_kind {
    API_LEADS,
    API_USERS,
    API_PROJECTS,
    API_QUIZZES,
    API_TOKENS,
    API_BLOCKLIST,
    API_DELIVERIES, /* seen with their lead only */
    API_ATTEMPTS,   /* seen with their delivery only */
    API_TYPES
} api_kind_t;

/* What a resource has to do with others. */
typedef struct api_relation {
    const char *name; /* "project" */
    api_kind_t kind;  /* of the others */
    /* To one: the attribute of this resource that holds its id.  To many: NULL; the others name
     * this one by `theirs`, an attribute of theirs. */
    const char *attr, *theirs;
} api_relation_t;

enum {
    API_VERSIONED = 1, /* has columns version and updated_at: ETag, If-Match */
    API_SEALED = 2,    /* its SEALED attributes are in column `sealed` */
    API_TIMED_IDS = 4  /* its id carries createdAt, so that their orders are one */
};

typedef struct api_type {
    api_kind_t kind;
    const char *name;  /* JSON:API's type */
    const char *path;  /* of the collection; NULL: none */
    const char *table; /* every table begins its key with account_id */
    const char *id;    /* column of the API's id, a UUID */
    const plumb_attr_t *attrs;
    size_t attr_count;
    const api_relation_t *relations;
    size_t relation_count;
    unsigned flags;
    unsigned read_scopes, write_scopes; /* scope_t: any of them */
    /* Column that holds the project which a project-bound token is bound by; NULL: what such a
     * token may see tells `bound`, and it may change nothing. */
    const char *project;
    /* A condition on the row "t" in which "@" stands for the token's project; NULL: by `project`.
     */
    const char *bound;
    const char *deleted;      /* column that is set when it is put away; NULL: its row is removed */
    const char *default_sort; /* as a query would say it */
    /* Attributes that no column holds: only ever answered. */
    const plumb_attr_t *derived;
    size_t derived_count;
} api_type_t;

extern const api_type_t api_types[API_TYPES];

/* Sets of attributes and relations: bits. */
#define API_BIT_DERIVED 48  /* of its first derived attribute */
#define API_BIT_RELATION 52 /* of its first relation */
#define API_BIT(number) (UINT64_C(1) << (number))

/* By JSON:API's type, or NULL. */
const api_type_t *api_type_find(const char *name, size_t length);

/* Its attribute or relation by name; -1: there is none. */
int api_attr_find(const api_type_t *type, const char *name, size_t length);
int api_relation_find(const api_type_t *type, const char *name, size_t length);

/* The bit of whatever answers to the name among attributes, derived ones and relations; -1. */
int api_bit_find(const api_type_t *type, const char *name, size_t length);

/* What binds the frame in column `sealed` of such a row, whose plaintext is the value itself.
 * Leads have places of their own (lib/lead.h). */
plumb_seal_place_t api_sealed_place(const api_type_t *type, const plumb_uuid_t *account,
                                    const plumb_uuid_t *id);

#endif
