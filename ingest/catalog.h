/* What ingest must know of a quiz to take a lead for it: its owners, the account's key, the
 * connected services.  Cached for a short while; an entry never changes, it is replaced. */
#ifndef INGEST_CATALOG_H
#define INGEST_CATALOG_H

#include "credential.h"
#include "quiz_settings.h"
#include "readers.h"
#include "vault.h"

#include <stdatomic.h>
#include <stdbool.h>

/* A service that leads of the quiz go to. */
typedef struct target {
    plumb_credential_t credential;
    int64_t delay_ms;
    bool of_quiz;    /* linked to the quiz itself, not to its project */
    bool is_closed;  /* its credential cannot be opened: only the row is made */
    bool overridden; /* the project's, while the quiz has one of the same channel */
} target_t;

/* How the account pays for leads (accounts.plan). */
typedef enum account_plan { PLAN_UNLIMITED, PLAN_BALANCE, PLAN_NONE } account_plan_t;

typedef struct quiz {
    atomic_uint users;
    plumb_uuid_t account, id;
    bool is_known; /* of this account, and active */
    plumb_uuid_t project, user;
    bool project_active, user_active;
    account_plan_t plan;
    quiz_settings_t settings;
    plumb_buf_t intake_secret; /* of signed bodies; empty: none, or it does not open */
    plumb_key_t key;           /* the account's newest */
    plumb_key_t index_key;     /* of the account's blind indexes */
    target_t *targets;         /* owned */
    size_t target_count;
    int64_t loaded_ms;
} quiz_t;

typedef struct store store_t;
typedef struct catalog catalog_t;

int catalog_new(catalog_t **ret, const store_t *store, readers_t *readers, plumb_vault_t *vault,
                int64_t life_ms, plumb_err_t *err);
void catalog_destroy(catalog_t **catalog);

/* Forget the quizzes of `account` (NULL: of all).  What is being read meanwhile is not kept. */
void catalog_drop(catalog_t *catalog, const plumb_uuid_t *account);

/* Get a quiz of `account`; release it with catalog_release.  One that is not there comes with
 * is_known false. DB_AWAY, UNAVAILABLE, KEY: cannot be told now. */
int catalog_quiz(catalog_t *catalog, const plumb_uuid_t *account, const plumb_uuid_t *id,
                 quiz_t **quiz, plumb_err_t *err);
void catalog_release(quiz_t *quiz);

#endif
