/* `plumb leads`: what is done to leads by hand. */
#include "commands.h"
#include "settings.h"
#include "store_keys.h"

#include <stdio.h>
#include <string.h>

typedef struct named {
    plumb_uuid_t id, account;
    bool erased; /* already */
} named_t;

/* All of them, before anything is changed. */
static int find_all(const args_t *args, plumb_db_t *db, named_t *leads, plumb_err_t *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < args->word_count; i++) {
        const char *word = args->word[i];
        if (!plumb_uuid_parse(&leads[i].id, word, strlen(word)))
            rc = plumb_err_set(err, PLUMB_E_USAGE, "'%s', want the UUID of a lead", word);
        else
            rc = store_find_lead(db, &leads[i].id, &leads[i].account, &leads[i].erased, err);
    }
    return rc;
}

static int erase(const named_t *lead, plumb_db_t *db, plumb_err_t *err)
{
    char text[PLUMB_UUID_TEXT];
    bool erased = false;
    int rc = store_erase_lead(db, &lead->account, &lead->id, &erased, err);
    if (rc == 0)
        printf("%s %s\n", plumb_uuid_text(&lead->id, text),
               erased ? "erased" : "was erased already");
    return rc;
}

int run_leads_erase(const args_t *args, plumb_err_t *err)
{
    plumb_conf_t conf = {0};
    plumb_db_t *db = NULL;
    named_t leads[ARGS_WORDS_MAX];
    int rc = settings_load(&conf, args, true, err);
    if (rc == 0)
        rc = plumb_db_new(&db, conf.database, "plumb-leads", err);
    if (rc == 0)
        rc = find_all(args, db, leads, err);
    if (rc == 0 && !args_has(args, OPT_YES))
        rc = plumb_err_set(err, PLUMB_E_USAGE,
                           "%zu leads could never be opened again: say --yes to erase them",
                           args->word_count);
    for (size_t i = 0; rc == 0 && i < args->word_count; i++)
        rc = erase(&leads[i], db, err);
    plumb_db_destroy(&db);
    plumb_conf_fini(&conf);
    return rc;
}
