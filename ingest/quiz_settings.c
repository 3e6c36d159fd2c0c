/* The table of settings, and its reader. */
#include "quiz_settings.h"

#include "count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_BYTES 128
#define WANT_MAX 200
#define TEXT_MAX 2048

/* ---- what texts must look like ---- */

static bool is_duplicate_key(const char *text)
{
    static const char *const keys[] = {"phone", "email", "externalId"};
    for (size_t i = 0; i < PLUMB_COUNT(keys); i++)
        if (strcmp(text, keys[i]) == 0)
            return true;
    return strncmp(text, "data.", 5) == 0 && text[5] != '\0' && strlen(text + 5) <= 64;
}

/* Visible ASCII behind "https://" or "http://". */
static const char *behind_scheme(const char *text)
{
    for (const char *at = text; *at != '\0'; at++)
        if (*at <= ' ' || *at > '~' || strchr("\"<>\\^`{|}", *at) != NULL)
            return NULL;
    if (strncmp(text, "https://", 8) == 0)
        return text + 8;
    return strncmp(text, "http://", 7) == 0 ? text + 7 : NULL;
}

/* As browsers send it: scheme, host in lower case, port. */
static bool is_origin(const char *text)
{
    const char *host = behind_scheme(text);
    if (strcmp(text, "*") == 0)
        return true;
    if (host == NULL || strlen(host) > 255)
        return false;
    size_t name = strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-[:]");
    return name > 0 && host[name] == '\0' && host[name - 1] != ':';
}

static bool is_url(const char *text)
{
    const char *host = behind_scheme(text);
    return host != NULL && *host != '\0' && *host != '/';
}

static bool is_field(const char *text)
{
    return text[0] != '\0' &&
           text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "0123456789_-.[]")] == '\0';
}

/* ---- the table ---- */

#define AT(name) offsetof(quiz_settings_t, name)
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* clang-format off */
static const quiz_setting_t rows[] = {
    {.path = "phoneVerification", .type = QUIZ_BOOL, .member = AT(phone_verification), .standard = false,
     .help = "a lead needs a phone that was verified"},
    {.path = "duplicates.policy", .type = QUIZ_WORD, .member = AT(duplicate_policy), .words = WORDS("flag", "reject", "merge", "allow"),
     .help = "what becomes of a lead of a person who is there already"},
    {.path = "duplicates.keys", .type = QUIZ_LIST, .member = AT(duplicate_keys), .words = WORDS("phone", "email"), .min = 1, .max = 8,
     .is_item = is_duplicate_key, .want = "phone, email, externalId, data.<name>", .help = "what tells a person"},
    {.path = "duplicates.mode", .type = QUIZ_WORD, .member = AT(duplicate_mode), .words = WORDS("any", "all"),
     .help = "how many of the keys must agree"},
    {.path = "duplicates.scope", .type = QUIZ_WORD, .member = AT(duplicate_scope), .words = WORDS("project", "account", "credential"),
     .help = "among which leads"},
    {.path = "duplicates.windowMinutes", .type = QUIZ_INT, .member = AT(duplicate_window_minutes), .standard = 1440, .max = 525600,
     .help = "how old the first lead may be"},
    {.path = "identical.windowSeconds", .type = QUIZ_INT, .member = AT(identical_window_seconds), .standard = 60, .max = 3600,
     .help = "for how long the same body gives the first lead again; 0: never"},
    {.path = "limits.clientPerMinute", .type = QUIZ_INT, .member = AT(client_per_minute), .max = 100000,
     .help = "leads a minute of one client (fingerprint, else address), burst the same; 0: no limit"},
    {.path = "limits.testsPerDay", .type = QUIZ_INT, .member = AT(tests_per_day), .max = 100000,
     .help = "test leads a day of the quiz; 0: no limit"},
    {.path = "blocklist", .type = QUIZ_BOOL, .member = AT(blocklist), .standard = true,
     .help = "leads are looked for in the blocklist"},
    {.path = "geo", .type = QUIZ_BOOL, .member = AT(geo), .standard = true,
     .help = "city, country, region and time zone come from the address"},
    {.path = "normalise", .type = QUIZ_BOOL, .member = AT(normalise), .standard = true,
     .help = "phone and e-mail are brought to their usual form; what has none is refused"},
    {.path = "payment", .type = QUIZ_BOOL, .member = AT(payment), .standard = true,
     .help = "the account's plan pays for leads"},
    {.path = "origins", .type = QUIZ_LIST, .member = AT(origins), .max = QUIZ_ITEMS_MAX, .is_item = is_origin,
     .want = "https://host[:port] or *", .help = "pages whose scripts may send leads"},
    {.path = "honeypot", .type = QUIZ_TEXT, .member = AT(honeypot), .max = 64, .is_item = is_field,
     .want = "letters, digits, _-.[]", .help = "a field that people do not see; who fills it is no person"},
    {.path = "thankYouUrl", .type = QUIZ_TEXT, .member = AT(thank_you_url), .max = TEXT_MAX, .is_item = is_url,
     .want = "an http or https address", .help = "where a form leads after it was sent"},
};
/* clang-format on */

const quiz_setting_t *quiz_setting_rows(size_t *count)
{
    *count = PLUMB_COUNT(rows);
    return rows;
}

/* ---- reading ---- */

typedef struct reading {
    quiz_settings_t *settings; /* NULL: a check */
    const plumb_json_t *json;
    quiz_complain_t *complain;
    void *context;
    unsigned wrong;
    char *at; /* where the next text goes */
} reading_t;

static void complain(reading_t *r, const char *path, const char *want)
{
    r->wrong++;
    if (r->complain != NULL)
        r->complain(r->context, path, want);
}

static void write_words(char *out, size_t size, const char *const *words)
{
    size_t n = (size_t)snprintf(out, size, "want one of");
    for (; *words != NULL && n < size; words++)
        n += (size_t)snprintf(out + n, size - n, " %s%s", *words, words[1] != NULL ? "," : "");
}

/* What the row wants, said with its bounds. */
static void complain_of(reading_t *r, const quiz_setting_t *row)
{
    char want[WANT_MAX];
    switch (row->type) {
    case QUIZ_BOOL:
        snprintf(want, sizeof want, "want true or false");
        break;
    case QUIZ_INT:
        snprintf(want, sizeof want, "want a whole number from %lld to %lld", (long long)row->min,
                 (long long)row->max);
        break;
    case QUIZ_WORD:
        write_words(want, sizeof want, row->words);
        break;
    case QUIZ_TEXT:
        snprintf(want, sizeof want, "want %s, at most %lld bytes", row->want, (long long)row->max);
        break;
    case QUIZ_LIST:
        snprintf(want, sizeof want, "want a list of %lld to %lld of: %s", (long long)row->min,
                 (long long)row->max, row->want);
        break;
    }
    complain(r, row->path, want);
}

static void put(const reading_t *r, const quiz_setting_t *row, const void *value, size_t size)
{
    if (r->settings != NULL)
        memcpy((char *)r->settings + row->member, value, size);
}

/* Index of string `node` among the words; -1: none of them. */
static int64_t word_index(const plumb_json_t *json, uint32_t node, const char *const *words)
{
    for (int64_t i = 0; words[i] != NULL; i++)
        if (plumb_json_equal(json, node, words[i]))
            return i;
    return -1;
}

/* The text of a string node that the row takes, kept if anything is; NULL: it does not. */
static const char *take_item(reading_t *r, const quiz_setting_t *row, uint32_t node)
{
    char text[TEXT_MAX + 1];
    size_t max = row->type == QUIZ_TEXT ? (size_t)row->max : TEXT_MAX;
    if (r->json->nodes[node].type != PLUMB_JSON_STRING)
        return NULL;
    ptrdiff_t length = plumb_json_string(r->json, node, text, max + 1);
    if (length < 0 || !row->is_item(text))
        return NULL;
    if (r->settings == NULL)
        return row->path; /* any text: nothing is kept */
    const char *kept = memcpy(r->at, text, (size_t)length + 1);
    r->at += length + 1;
    return kept;
}

static bool take_list(reading_t *r, const quiz_setting_t *row, uint32_t node)
{
    const plumb_json_node_t *nodes = r->json->nodes;
    quiz_list_t list = {.count = 0};
    if (nodes[node].type != PLUMB_JSON_ARRAY || nodes[node].count > row->max ||
        nodes[node].count < row->min)
        return false;
    for (uint32_t at = node + 1; at < nodes[node].next; at = nodes[at].next) {
        const char *item = take_item(r, row, at);
        if (item == NULL)
            return false;
        list.item[list.count++] = item;
    }
    put(r, row, &list, sizeof list);
    return true;
}

static bool take_text(reading_t *r, const quiz_setting_t *row, uint32_t node)
{
    const char *text = take_item(r, row, node);
    if (text != NULL)
        put(r, row, &text, sizeof text);
    return text != NULL;
}

static bool take_bool(const reading_t *r, const quiz_setting_t *row, uint32_t node)
{
    bool truth = r->json->nodes[node].type == PLUMB_JSON_TRUE;
    if (!truth && r->json->nodes[node].type != PLUMB_JSON_FALSE)
        return false;
    put(r, row, &truth, sizeof truth);
    return true;
}

static bool take_number(const reading_t *r, const quiz_setting_t *row, uint32_t node)
{
    const plumb_json_node_t *n = &r->json->nodes[node];
    if (n->type != PLUMB_JSON_INTEGER || n->integer < row->min || n->integer > row->max)
        return false;
    put(r, row, &n->integer, sizeof n->integer);
    return true;
}

static bool take_word(const reading_t *r, const quiz_setting_t *row, uint32_t node)
{
    int64_t index = word_index(r->json, node, row->words);
    if (index < 0)
        return false;
    put(r, row, &index, sizeof index);
    return true;
}

/* False: not what the row wants, and nothing was changed. */
static bool take(reading_t *r, const quiz_setting_t *row, uint32_t node)
{
    switch (row->type) {
    case QUIZ_BOOL:
        return take_bool(r, row, node);
    case QUIZ_INT:
        return take_number(r, row, node);
    case QUIZ_WORD:
        return take_word(r, row, node);
    case QUIZ_TEXT:
        return take_text(r, row, node);
    case QUIZ_LIST:
        return take_list(r, row, node);
    }
    return false;
}

typedef enum place { PLACE_NONE, PLACE_SETTING, PLACE_OBJECT } place_t;

/* What stands at `path`: a setting, which goes to `row`, an object with settings, or nothing. */
static place_t place_of(const char *path, const quiz_setting_t **row)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        if (strncmp(rows[i].path, path, length) != 0)
            continue;
        if (rows[i].path[length] == '.')
            return PLACE_OBJECT;
        if (rows[i].path[length] == '\0') {
            *row = &rows[i];
            return PLACE_SETTING;
        }
    }
    return PLACE_NONE;
}

/* Two levels are all there are. */
static void read_object(reading_t *r, uint32_t object, const char *above)
{
    const plumb_json_node_t *nodes = r->json->nodes;
    for (uint32_t at = object + 1; at < nodes[object].next; at = nodes[at + 1].next) {
        char name[PLUMB_JSON_KEY_MAX + 1], path[2 * PLUMB_JSON_KEY_MAX];
        const quiz_setting_t *row = NULL;
        plumb_json_string(r->json, at, name, sizeof name);
        snprintf(path, sizeof path, "%s%s", above, name);
        place_t place = strchr(name, '.') == NULL ? place_of(path, &row) : PLACE_NONE;
        if (nodes[at + 1].type == PLUMB_JSON_NULL && place != PLACE_NONE)
            continue; /* the default */
        if (place == PLACE_SETTING) {
            if (!take(r, row, at + 1))
                complain_of(r, row);
        } else if (place == PLACE_NONE) {
            complain(r, path, "there is no such setting");
        } else if (nodes[at + 1].type != PLUMB_JSON_OBJECT) {
            complain(r, path, "want an object");
        } else {
            snprintf(path, sizeof path, "%s.", name); /* below an object that the table names */
            read_object(r, at + 1, path);
        }
    }
}

/* ---- the public ways in ---- */

static quiz_list_t standard_list(const quiz_setting_t *row)
{
    quiz_list_t list = {.count = 0};
    for (; row->words != NULL && row->words[list.count] != NULL; list.count++)
        list.item[list.count] = row->words[list.count];
    return list;
}

void quiz_settings_default(quiz_settings_t *settings)
{
    *settings = (quiz_settings_t){.memory = NULL};
    reading_t r = {.settings = settings};
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        bool truth = rows[i].standard != 0;
        quiz_list_t list = standard_list(&rows[i]);
        if (rows[i].type == QUIZ_BOOL)
            put(&r, &rows[i], &truth, sizeof truth);
        else if (rows[i].type == QUIZ_INT)
            put(&r, &rows[i], &rows[i].standard, sizeof rows[i].standard);
        else if (rows[i].type == QUIZ_LIST)
            put(&r, &rows[i], &list, sizeof list);
    }
}

unsigned quiz_settings_read(quiz_settings_t *settings, const plumb_json_t *json, uint32_t node,
                            quiz_complain_t *complain_to, void *context)
{
    reading_t r = {.settings = settings, .json = json, .complain = complain_to, .context = context};
    const plumb_json_node_t *n = &json->nodes[node];
    if (settings != NULL) {
        quiz_settings_default(settings);
        settings->memory = malloc(n->end - n->start + 1); /* texts decoded are never longer */
        r.at = settings->memory;
        if (r.at == NULL) {
            complain(&r, "", "no memory");
            return r.wrong;
        }
    }
    if (n->type == PLUMB_JSON_OBJECT)
        read_object(&r, node, "");
    else
        complain(&r, "", "want an object");
    return r.wrong;
}

unsigned quiz_settings_parse(quiz_settings_t *settings, const char *text, size_t length,
                             quiz_complain_t *complain_to, void *context)
{
    plumb_json_t json = {.nodes = NULL};
    plumb_err_t err = {0};
    unsigned wrong = 1;
    if (plumb_json_read_stored(&json, text, length, &err) == 0) {
        wrong = quiz_settings_read(settings, &json, 0, complain_to, context);
    } else {
        if (settings != NULL)
            quiz_settings_default(settings);
        if (complain_to != NULL)
            complain_to(context, "", err.text);
    }
    plumb_json_fini(&json);
    return wrong;
}

void quiz_settings_fini(quiz_settings_t *settings)
{
    free(settings->memory);
    settings->memory = NULL;
}
