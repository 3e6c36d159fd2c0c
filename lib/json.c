/* The strict reader: one pass, no recursion, nodes that point into the text. */
#include "json.h"

#include "json_keys.h"
#include "json_scan.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_NODES 128

typedef struct reader {
    plumb_scan_t scan;
    plumb_json_t *json;
    uint32_t values; /* keys are no values */
    unsigned depth;
    uint32_t open[PLUMB_JSON_DEPTH_MAX]; /* containers around `scan.at` */
} reader_t;

static bool refuse(reader_t *r, const char *wrong)
{
    return plumb_scan_refuse(&r->scan, wrong);
}

static void skip_space(reader_t *r)
{
    const char *at = r->scan.at, *end = r->scan.end;
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    r->scan.at = at;
}

/* The next byte; 0, which may stand nowhere, at the end. */
static char peek(const reader_t *r)
{
    return r->scan.at < r->scan.end ? *r->scan.at : '\0';
}

static uint32_t offset(const reader_t *r)
{
    return (uint32_t)(r->scan.at - r->json->text);
}

/* Refuse for want of memory, which has no place in the text. */
static bool no_memory(reader_t *r)
{
    return refuse(r, NULL);
}

/* Append a node that begins here; its pointer holds until the next one. */
static plumb_json_node_t *add_node(reader_t *r, plumb_json_type_t type)
{
    plumb_json_t *json = r->json;
    if (json->count == json->capacity) {
        uint32_t capacity = json->capacity > 0 ? json->capacity * 2 : FIRST_NODES;
        plumb_json_node_t *nodes = realloc(json->nodes, capacity * sizeof *nodes);
        if (nodes == NULL) {
            no_memory(r);
            return NULL;
        }
        json->nodes = nodes;
        json->capacity = capacity;
    }
    plumb_json_node_t *node = &json->nodes[json->count++];
    *node = (plumb_json_node_t){.type = type, .start = offset(r), .next = json->count};
    return node;
}

static bool read_string(reader_t *r, size_t max)
{
    plumb_json_node_t *node = add_node(r, PLUMB_JSON_STRING);
    if (node == NULL || !plumb_scan_string(&r->scan, max, &node->escaped))
        return false;
    node->end = offset(r);
    return true;
}

static bool read_number(reader_t *r)
{
    plumb_json_node_t *node = add_node(r, PLUMB_JSON_INTEGER);
    if (node == NULL || !plumb_scan_number(&r->scan, &node->type, &node->integer))
        return false;
    node->end = offset(r);
    return true;
}

static bool read_word(reader_t *r, plumb_json_type_t type, const char *word, size_t length)
{
    if ((size_t)(r->scan.end - r->scan.at) < length || memcmp(r->scan.at, word, length) != 0)
        return refuse(r, "want a value");
    plumb_json_node_t *node = add_node(r, type);
    if (node == NULL)
        return false;
    r->scan.at += length;
    node->end = offset(r);
    return true;
}

static bool open_container(reader_t *r, plumb_json_type_t type)
{
    if (r->depth == PLUMB_JSON_DEPTH_MAX)
        return refuse(r, "nested too deeply");
    if (add_node(r, type) == NULL)
        return false;
    r->open[r->depth++] = r->json->count - 1;
    r->scan.at++;
    return true;
}

/* Read a scalar, or enter a container. */
static bool read_value(reader_t *r)
{
    if (++r->values > PLUMB_JSON_VALUES_MAX)
        return refuse(r, "too many values");
    switch (peek(r)) {
    case '"':
        return read_string(r, PLUMB_JSON_STRING_MAX);
    case '{':
        return open_container(r, PLUMB_JSON_OBJECT);
    case '[':
        return open_container(r, PLUMB_JSON_ARRAY);
    case 't':
        return read_word(r, PLUMB_JSON_TRUE, "true", 4);
    case 'f':
        return read_word(r, PLUMB_JSON_FALSE, "false", 5);
    case 'n':
        return read_word(r, PLUMB_JSON_NULL, "null", 4);
    default:
        if (peek(r) == '-' || (peek(r) >= '0' && peek(r) <= '9'))
            return read_number(r);
        return refuse(r, "want a value");
    }
}

static bool close_container(reader_t *r)
{
    plumb_json_t *json = r->json;
    uint32_t index = r->open[--r->depth];
    plumb_json_node_t *node = &json->nodes[index];
    r->scan.at++;
    node->end = offset(r);
    node->next = json->count;
    if (node->type == PLUMB_JSON_ARRAY || node->count < 2)
        return true;
    uint32_t doubled = plumb_json_doubled(json, index);
    if (doubled == 0)
        return true;
    r->scan.at = json->text + json->nodes[doubled].start;
    return refuse(r, "doubled key");
}

/* Read `"key" :` up to the value. */
static bool read_key(reader_t *r)
{
    if (peek(r) != '"')
        return refuse(r, "want a key in double quotes");
    if (!read_string(r, PLUMB_JSON_KEY_MAX))
        return false;
    skip_space(r);
    if (peek(r) != ':')
        return refuse(r, "want ':'");
    r->scan.at++;
    skip_space(r);
    return true;
}

/* Inside the innermost container: read its next member or element, or its end. */
static bool read_next(reader_t *r)
{
    plumb_json_node_t *around = &r->json->nodes[r->open[r->depth - 1]];
    bool is_object = around->type == PLUMB_JSON_OBJECT;
    skip_space(r);
    if (peek(r) == (is_object ? '}' : ']'))
        return close_container(r);
    if (around->count > 0) {
        if (peek(r) != ',')
            return refuse(r, is_object ? "want ',' or '}'" : "want ',' or ']'");
        r->scan.at++;
        skip_space(r);
    }
    around->count++;
    return (!is_object || read_key(r)) && read_value(r);
}

static bool read_document(reader_t *r)
{
    static const char mark[] = "\xEF\xBB\xBF";
    if (r->scan.end - r->scan.at >= 3 && memcmp(r->scan.at, mark, 3) == 0)
        return refuse(r, "byte order mark");
    skip_space(r);
    bool good = read_value(r);
    while (good && r->depth > 0)
        good = read_next(r);
    if (!good)
        return false;
    skip_space(r);
    return r->scan.at == r->scan.end || refuse(r, "more text behind the end");
}

/* Lines and columns count from 1; a column is a character. */
static int say_where(const reader_t *r, plumb_err_t *err)
{
    size_t line = 1, column = 1;
    for (const char *at = r->json->text; at < r->scan.at; at++) {
        if (*at == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*at & 0xC0) != 0x80) {
            column++;
        }
    }
    return plumb_err_set(err, PLUMB_E_BAD_JSON, "line %zu, column %zu: %s", line, column,
                         r->scan.at == r->scan.end ? "unexpected end" : r->scan.wrong);
}

static int read_text(plumb_json_t *json, const char *text, size_t length, bool stored,
                     plumb_err_t *err)
{
    if (length > UINT32_MAX - 1)
        return plumb_err_set(err, PLUMB_E_BAD_JSON, "%zu bytes, want less than 4 GiB", length);
    reader_t r = {.scan = {.at = text,
                           .end = text + length,
                           .utf8_end = text + plumb_utf8_prefix(text, length),
                           .any_number = stored},
                  .json = json};
    json->text = text;
    json->length = length;
    json->count = 0;
    if (read_document(&r))
        return 0;
    json->count = 0;
    if (r.scan.wrong == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "no memory to read JSON of %zu bytes", length);
    return say_where(&r, err);
}

int plumb_json_read(plumb_json_t *json, const char *text, size_t length, plumb_err_t *err)
{
    return read_text(json, text, length, false, err);
}

int plumb_json_read_stored(plumb_json_t *json, const char *text, size_t length, plumb_err_t *err)
{
    return read_text(json, text, length, true, err);
}

void plumb_json_fini(plumb_json_t *json)
{
    if (json == NULL)
        return;
    free(json->nodes);
    *json = (plumb_json_t){0};
}

json_t *plumb_json_tree(const char *text, size_t length, plumb_err_t *err)
{
    plumb_json_t json = {0};
    json_error_t why;
    int rc = plumb_json_read(&json, text, length, err);
    plumb_json_fini(&json);
    if (rc < 0)
        return NULL;
    json_t *tree = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (tree == NULL) /* all it could refuse was checked */
        plumb_err_set(err, PLUMB_E_MEMORY, "no memory for JSON of %zu bytes", length);
    return tree;
}
