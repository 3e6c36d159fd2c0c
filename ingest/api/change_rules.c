/* What each type asks of its resources beyond their attribute rows. */
#include "change.h"

#include "../email.h"
#include "../phone.h"
#include "../quiz_settings.h"
#include "../token.h"
#include "blind.h"
#include "cidr.h"
#include "count.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define SETTINGS_AT 512

/* The attribute's row, its value, whether it was given. */
typedef struct given {
    bool is_given;
    plumb_slice_t value;
} given_t;

static given_t given_of(const api_input_t *in, const char *name)
{
    int row = api_attr_find(in->type, name, strlen(name));
    if (row < 0 || !api_input_has(in, (size_t)row))
        return (given_t){.is_given = false};
    return (given_t){true, in->value[row]};
}

/* `count` letters and digits at random. */
static void random_text(char *out, size_t count)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (size_t i = 0; i < count; i++)
        out[i] = letters[randombytes_uniform(sizeof letters - 1)];
    out[count] = '\0';
}

/* ---- settings ---- */

/* "limits.perMinute" becomes ".../attributes/settings/limits/perMinute", if that is in the
 * document; what is missing altogether is its settings' fault. */
static void complain_setting(void *context, const char *path, const char *want)
{
    const change_t *c = context;
    char pointer[SETTINGS_AT], detail[256];
    int n = snprintf(pointer, sizeof pointer, "%s/attributes/settings%s", c->at,
                     path[0] != '\0' ? "/" : "");
    for (const char *at = path; *at != '\0' && (size_t)n + 3 < sizeof pointer; at++) {
        if (*at == '~' || *at == '/') {
            pointer[n++] = '~';
            pointer[n++] = *at == '~' ? '0' : '1';
        } else {
            pointer[n++] = *at == '.' ? '/' : *at;
        }
    }
    pointer[n] = '\0';
    snprintf(detail, sizeof detail, "%s", want);
    problems_add(&c->request->problems, PLUMB_E_INVALID, SOURCE_POINTER, pointer, detail);
}

static void check_object(const change_t *c, const api_input_t *in)
{
    given_t settings = given_of(in, "settings");
    if (settings.value.data != NULL && settings.value.data[0] != '{')
        change_complain(c, PLUMB_E_INVALID, "settings", "want an object");
}

static int quiz_rules(change_t *c, const api_input_t *in, const plumb_uuid_t *id, plumb_err_t *err)
{
    given_t settings = given_of(in, "settings");
    char key[33];
    (void)id;
    (void)err;
    check_object(c, in);
    if (settings.value.data != NULL && settings.value.data[0] == '{')
        quiz_settings_read(NULL, in->json, plumb_json_at(in->json, settings.value.data),
                           complain_setting, c);
    if (in->verb == PLUMB_ATTR_CREATE) {
        random_text(key, sizeof key - 1);
        change_put_text(&c->columns, "intake_key", key);
    }
    return 0;
}

static int project_rules(change_t *c, const api_input_t *in, const plumb_uuid_t *id,
                         plumb_err_t *err)
{
    (void)id;
    (void)err;
    check_object(c, in);
    return 0;
}

/* ---- tokens ---- */

#define SECRET 43 /* 256 bits */

static int make_token(change_t *c, plumb_err_t *err)
{
    static const char small[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    char id[TOKEN_ID + 1] = "", secret[SECRET + 1];
    uint8_t hash[PLUMB_TOKEN_HASH];
    uint32_t key;
    for (size_t i = 0; i < TOKEN_ID; i++)
        id[i] = small[randombytes_uniform(sizeof small - 1)];
    random_text(secret, SECRET);
    int rc =
        plumb_keyring_token_hash(c->request->ingest->keyring, 0, secret, SECRET, hash, &key, err);
    if (rc == 0) {
        change_put_text(&c->columns, "id", id);
        change_put_number(&c->columns, "key_id", key);
        change_put_bytes(&c->columns, "hash", hash, sizeof hash);
        snprintf(c->token, sizeof c->token, "%s.%s", id, secret);
    }
    sodium_memzero(secret, sizeof secret);
    return rc;
}

/* A quiz that it is bound to is one of the project that it is bound to. */
static int check_binding(change_t *c, const api_input_t *in, plumb_err_t *err)
{
    given_t quiz = given_of(in, "quizId"), project = given_of(in, "projectId");
    plumb_uuid_t quiz_id, project_id;
    bool is_in = true;
    int rc = 0;
    if (quiz.value.data != NULL && project.value.data != NULL &&
        plumb_uuid_parse(&quiz_id, quiz.value.data, quiz.value.length) &&
        plumb_uuid_parse(&project_id, project.value.data, project.value.length))
        rc = store_change_quiz_in(c->reader, &c->request->identity.account, &quiz_id, &project_id,
                                  &is_in, err);
    if (rc == 0 && !is_in)
        change_complain(c, PLUMB_E_INVALID, "quizId", "it is not a quiz of the project");
    return rc;
}

static int token_rules(change_t *c, const api_input_t *in, const plumb_uuid_t *id, plumb_err_t *err)
{
    (void)id;
    if (in->verb != PLUMB_ATTR_CREATE)
        return 0;
    int rc = check_binding(c, in, err);
    return rc == 0 && change_problems(c) == 0 ? make_token(c, err) : rc;
}

/* ---- blocklist ---- */

/* What is blocked, in the form in which leads are compared with it. */
typedef struct blocked {
    char text[EMAIL_MAX];
    bool has_term;
    int64_t term;
} blocked_t;

static int normal_domain(char out[EMAIL_MAX], plumb_slice_t value, plumb_err_t *err)
{
    char address[EMAIL_MAX + 2] = "x@", whole[EMAIL_MAX];
    if (value.length > 0 && value.data[0] == '@')
        value = (plumb_slice_t){value.data + 1, value.length - 1};
    if (value.length >= EMAIL_MAX - 2)
        return plumb_err_set(err, PLUMB_E_INVALID, "not a domain");
    memcpy(address + 2, value.data, value.length);
    if (email_normalise(whole, address, value.length + 2, err) < 0)
        return plumb_err_set(err, PLUMB_E_INVALID, "not a domain");
    snprintf(out, EMAIL_MAX, "%s", whole + 2);
    return 0;
}

static int normal_value(blocked_t *b, const plumb_slice_t *kind, plumb_slice_t value,
                        const plumb_key_t *index_key, plumb_err_t *err)
{
    plumb_cidr_t cidr;
    bool good = true;
    int rc = 0;
    snprintf(b->text, sizeof b->text, "%.*s", (int)value.length, value.data);
    switch (kind->data[0]) { /* each begins with another letter */
    case 'p':
        rc = phone_normalise(b->text, value.data, value.length, "", err);
        good = b->has_term =
            rc == 0 && plumb_blind_phone(&b->term, index_key, b->text, strlen(b->text));
        break;
    case 'e':
        rc = email_normalise(b->text, value.data, value.length, err);
        good = b->has_term =
            rc == 0 && plumb_blind_email(&b->term, index_key, b->text, strlen(b->text));
        break;
    case 'd':
        rc = normal_domain(b->text, value, err);
        break;
    case 'i':
        good = plumb_cidr_parse(&cidr, value.data, value.length) && cidr.port == 0 &&
               value.data[0] != '[';
        break;
    default:
        good = value.length > 0 && value.length <= 128;
    }
    return rc < 0 || good ? rc : plumb_err_set(err, PLUMB_E_INVALID, "not a value of this kind");
}

/* Sealed, to be shown again; what is no personal data also as it is, to be compared with. */
static int put_value(change_t *c, const blocked_t *b, const plumb_uuid_t *id, plumb_err_t *err)
{
    const plumb_uuid_t *account = &c->request->identity.account;
    plumb_seal_place_t place = api_sealed_place(&api_types[API_BLOCKLIST], account, id);
    plumb_key_t key;
    plumb_buf_clear(&c->sealed);
    int rc = plumb_vault_key(c->request->ingest->vault, c->reader->db, account, 0, &key, err);
    if (rc == 0)
        rc = plumb_seal(&c->sealed, &key, &place, b->text, strlen(b->text), err);
    sodium_memzero(&key, sizeof key);
    if (rc == 0)
        change_put_bytes(&c->columns, "sealed", c->sealed.data, c->sealed.length);
    if (rc == 0 && b->has_term)
        change_put_number(&c->columns, "term", b->term);
    else if (rc == 0)
        change_put_text(&c->columns, "value", b->text);
    return rc;
}

static int blocklist_rules(change_t *c, const api_input_t *in, const plumb_uuid_t *id,
                           plumb_err_t *err)
{
    given_t kind = given_of(in, "kind"), value = given_of(in, "value");
    blocked_t b = {.has_term = false};
    plumb_key_t key;
    if (in->verb != PLUMB_ATTR_CREATE || kind.value.data == NULL || value.value.data == NULL)
        return 0;
    int rc = plumb_vault_index_key(c->request->ingest->vault, c->reader->db,
                                   &c->request->identity.account, &key, err);
    if (rc < 0)
        return rc;
    rc = normal_value(&b, &kind.value, value.value, &key, err);
    sodium_memzero(&key, sizeof key);
    change_put_text(&c->columns, "created_by", c->request->identity.token);
    if (rc < 0) {
        change_complain(c, PLUMB_E_INVALID, "value", err->text);
        rc = 0;
    } else {
        rc = put_value(c, &b, id, err);
    }
    sodium_memzero(&b, sizeof b);
    return rc;
}

/* ---- the table ---- */

int change_rules(change_t *c, const api_input_t *in, const plumb_uuid_t *id, plumb_err_t *err)
{
    static int (*const rules[API_TYPES])(change_t *, const api_input_t *, const plumb_uuid_t *,
                                         plumb_err_t *) = {
        [API_PROJECTS] = project_rules,
        [API_QUIZZES] = quiz_rules,
        [API_TOKENS] = token_rules,
        [API_BLOCKLIST] = blocklist_rules,
    };
    return rules[in->type->kind] == NULL ? 0 : rules[in->type->kind](c, in, id, err);
}
