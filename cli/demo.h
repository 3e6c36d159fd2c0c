/* Who the demo is: made once, kept in <state>/demo.json, so that every later `up` finds its rows
 * and its token again. */
#ifndef PLUMB_CLI_DEMO_H
#define PLUMB_CLI_DEMO_H

#include "conf.h"
#include "err.h"
#include "uuid.h"

#include <stdbool.h>

#define DEMO_TOKEN_MAX 57  /* "<12>.<43>" and NUL */
#define DEMO_SECRET_MAX 51 /* "whsec_" and base64 of 32 bytes, and NUL */
#define TOKEN_ID_LENGTH 12

typedef struct demo {
    plumb_uuid_t account, user, project, quiz, credential, link;
    char token[DEMO_TOKEN_MAX];
    char secret[DEMO_SECRET_MAX]; /* signs the webhooks */
    int listen_port;              /* where the credential points; 0: nowhere yet */
} demo_t;

/* Read <state>/demo.json, or make a new demo and write it. */
int demo_open(demo_t *demo, const char *state_dir, plumb_err_t *err);

/* Make the rows that are missing in conf->database and point the credential to `listen_port`; the
 * new port is written to demo.json afterwards. */
int demo_store(demo_t *demo, const plumb_conf_t *conf, const char *state_dir, int listen_port,
               plumb_err_t *err);

/* Write the secret where `plumb listen --secret-file` finds it; `path` has PATH_MAX bytes. */
int demo_write_secret(const demo_t *demo, const char *state_dir, char *path, plumb_err_t *err);

#endif
