/* A lead in its forms: sealed plaintext, channels' body, API's attributes, row of the table. */
#include "count.h"
#include "lead.h"
#include "migrate.h"
#include "msg_check.h"
#include "msg_fields.h"
#include "pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <msgpack.h>

#include <cmocka.h>

#define LONG_MS 60000

static plumb_err_t err;

static plumb_slice_t text(const char *value)
{
    return (plumb_slice_t){value, strlen(value)};
}

static void want(const char *what, int rc, int code)
{
    if (rc != code)
        fail_msg("%s: got %d, want %d (%s)", what, rc, code, err.text);
}

/* ---- the table ---- */

static void every_attribute_is_found_by_its_name(void **state)
{
    (void)state;
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        const plumb_attr_t *attr = &plumb_lead_attrs[i];
        char name[64]; /* without a NUL where it ends, as in a document */
        snprintf(name, sizeof name, "%sX", attr->name);
        assert_int_equal(plumb_lead_attr_find(name, strlen(attr->name)), i);
        assert_int_equal(plumb_lead_attr_find(name, strlen(name)), -1);
        assert_int_not_equal(plumb_lead_attr_find(name, strlen(attr->name) - 1), i);
        for (int other = 0; other < i; other++)
            assert_string_not_equal(attr->column, plumb_lead_attrs[other].column);
    }
    assert_int_equal(plumb_lead_attr_find("", 0), -1);
    assert_int_equal(plumb_lead_attr_find("Name", 4), -1);
    assert_int_equal(plumb_lead_attr_find("name\0", 5), -1);
    assert_int_equal(plumb_lead_attr_find("utmSource", 9), PLUMB_LEAD_UTM_SOURCE);
}

/* ---- personal data ---- */

static plumb_buf_t packed_personal(const plumb_lead_t *lead)
{
    plumb_buf_t out = {0};
    want("pack personal", plumb_lead_personal_pack(&out, lead, &err), 0);
    return out;
}

static void personal_data_comes_back(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 31, 32, 255, 256, 16384, 65535, 65536, 70000};
    char *long_text = calloc(1, 70000);
    memset(long_text, 'x', 70000);
    for (size_t i = 0; i < PLUMB_COUNT(lengths); i++) {
        plumb_lead_t lead = {.value[PLUMB_LEAD_PHONE] = text("+79001234567"),
                             .value[PLUMB_LEAD_CONTACTS] = {long_text, lengths[i]},
                             .value[PLUMB_LEAD_CITY] = text("not sealed")};
        plumb_buf_t plain = packed_personal(&lead);
        plumb_lead_t got = {.value[PLUMB_LEAD_NAME] = text("of another lead"),
                            .value[PLUMB_LEAD_CITY] = text("stays")};
        want("unpack", plumb_lead_personal_unpack(&got, plain.data, plain.length, &err), 0);
        assert_null(got.value[PLUMB_LEAD_NAME].data);
        assert_null(got.value[PLUMB_LEAD_EMAIL].data);
        assert_int_equal(got.value[PLUMB_LEAD_PHONE].length, 12);
        assert_memory_equal(got.value[PLUMB_LEAD_PHONE].data, "+79001234567", 12);
        assert_non_null(got.value[PLUMB_LEAD_CONTACTS].data);
        assert_int_equal(got.value[PLUMB_LEAD_CONTACTS].length, lengths[i]);
        assert_memory_equal(got.value[PLUMB_LEAD_CONTACTS].data, long_text, lengths[i]);
        assert_string_equal(got.value[PLUMB_LEAD_CITY].data, "stays");
        assert_true(got.value[PLUMB_LEAD_PHONE].data > plain.data); /* no copy */
        plumb_buf_fini(&plain);
    }
    free(long_text);
}

static void personal_data_is_a_map_of_columns(void **state)
{
    (void)state;
    plumb_lead_t lead = {.value[PLUMB_LEAD_EMAIL] = text("a@b")};
    plumb_buf_t plain = packed_personal(&lead);
    assert_int_equal(plain.length, 11);
    assert_memory_equal(plain.data,
                        "\x81\xa5"
                        "email"
                        "\xa3"
                        "a@b",
                        11);
    plumb_buf_fini(&plain);
}

static void what_a_later_version_keeps_is_passed_over(void **state)
{
    (void)state;
    static const char plain[] = "\xde\x00\x02\xd9\x03"
                                "fax"
                                "\xa1"
                                "1"
                                "\xa4"
                                "name"
                                "\xa2"
                                "Al";
    plumb_lead_t lead = {0};
    want("unpack", plumb_lead_personal_unpack(&lead, plain, sizeof plain - 1, &err), 0);
    assert_memory_equal(lead.value[PLUMB_LEAD_NAME].data, "Al", 2);
}

static void damaged_personal_data_is_refused(void **state)
{
    (void)state;
    plumb_lead_t lead = {.value[PLUMB_LEAD_NAME] = text("Anna"),
                         .value[PLUMB_LEAD_PHONE] = text("+1")};
    plumb_buf_t plain = packed_personal(&lead);
    plumb_buf_put(&plain, "\xc0", 1);
    for (size_t length = 0; length <= plain.length; length++) {
        char *cut = malloc(length > 0 ? length : 1); /* so that a sanitizer sees the end */
        assert_non_null(cut);
        memcpy(cut, plain.data, length);
        plumb_lead_t got = {0};
        int rc = plumb_lead_personal_unpack(&got, cut, length, &err);
        want("cut", rc, length == plain.length - 1 ? 0 : -PLUMB_E_SEAL);
        assert_true(rc == 0 || got.value[PLUMB_LEAD_NAME].data == NULL);
        free(cut);
    }
    plumb_buf_fini(&plain);
}

/* ---- body for channels ---- */

static const char lead_id[] = "01890a5d-ac96-774b-bcce-b302099a8057";

static plumb_lead_t lead_with_data(const char *data)
{
    plumb_lead_t lead = {.value[PLUMB_LEAD_DATA] = text(data)};
    assert_true(plumb_uuid_parse(&lead.id, lead_id, 36));
    return lead;
}

/* Compare the body with `expected`, as msgpack-c prints it behind the id. */
static void check_body(const char *name, const plumb_lead_t *lead, const char *expected)
{
    plumb_buf_t out = {0};
    msgpack_unpacked whole;
    size_t offset = 0;
    char got[2048], wanted[2048];
    if (plumb_lead_body_pack(&out, lead, NULL, &err) < 0)
        fail_msg("%s: %s", name, err.text);
    msgpack_unpacked_init(&whole);
    if (msgpack_unpack_next(&whole, out.data, out.length, &offset) != MSGPACK_UNPACK_SUCCESS ||
        offset != out.length)
        fail_msg("%s: %zu bytes that are not one msgpack value", name, out.length);
    msgpack_object_print_buffer(got, sizeof got, whole.data);
    snprintf(wanted, sizeof wanted, "{\"id\"=>\"%s\"%s}", lead_id, expected);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s: got %s, want %s", name, got, wanted);
    msgpack_unpacked_destroy(&whole);
    plumb_buf_fini(&out);
}

static void json_becomes_msgpack(void **state)
{
    (void)state;
    static const struct {
        const char *name, *json, *expected;
    } cases[] = {
        {"empty", "{}", "{}"},
        {"nested", "{\"a\": [1, {\"b\": []}, [null]], \"c\": {}}",
         "{\"a\"=>[1, {\"b\"=>[]}, [nil]], \"c\"=>{}}"},
        {"words", "[true,false,null]", "[true, false, nil]"},
        {"integers", "[0,-1,9223372036854775807,-9223372036854775808]",
         "[0, -1, 9223372036854775807, -9223372036854775808]"},
        {"reals", "[1.5,-2e3,0.25]", "[1.500000, -2000.000000, 0.250000]"},
        {"escapes", "{\"\\u0041\\n\":\"\\\"\\u00e9\\ud83d\\ude00\"}",
         "{\"A\n\"=>\"\"\xc3\xa9\xf0\x9f\x98\x80\"}"},
    };
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        char expected[256];
        plumb_lead_t lead = lead_with_data(cases[i].json);
        snprintf(expected, sizeof expected, ", \"data\"=>%s", cases[i].expected);
        check_body(cases[i].name, &lead, expected);
    }
}

/* A body is the same whether its JSON is read for it or was read with the whole document; what it
 * is made of was checked, so that it passes the check of messages. */
static void a_document_that_was_read_serves(void **state)
{
    (void)state;
    plumb_json_t json = {0};
    plumb_buf_t text = {0}, read = {0}, known = {0};
    plumb_buf_text(&text,
                   "{\"a\":[{\"data\":{\"x\":[1,-2.5,\"\\u00e9\\n\",{\"y\":null}],\"deep\":");
    for (int i = 0; i < 28; i++)
        plumb_buf_text(&text, "[");
    for (int i = 0; i < 28; i++)
        plumb_buf_text(&text, "]");
    plumb_buf_text(&text, "},\"contacts\":[\"@anna\",true]}]}");
    assert_int_equal(plumb_json_read(&json, text.data, text.length, &err), 0);
    uint32_t attributes = plumb_json_member(&json, 0, "a") + 1;
    plumb_lead_t lead = lead_with_data("");
    static const struct {
        const char *name;
        int attr;
    } parts[] = {{"data", PLUMB_LEAD_DATA}, {"contacts", PLUMB_LEAD_CONTACTS}};
    for (size_t i = 0; i < PLUMB_COUNT(parts); i++) {
        const plumb_json_node_t *node =
            &json.nodes[plumb_json_member(&json, attributes, parts[i].name)];
        lead.value[parts[i].attr] =
            (plumb_slice_t){json.text + node->start, node->end - node->start};
    }
    want("read", plumb_lead_body_pack(&read, &lead, NULL, &err), 0);
    want("known", plumb_lead_body_pack(&known, &lead, &json, &err), 0);
    assert_int_equal(known.length, read.length);
    assert_memory_equal(known.data, read.data, read.length);
    want("walk", plumb_msg_walk_map(known.data, known.length, PLUMB_MSG_PACKED_DEPTH_MAX, &err), 0);
    plumb_buf_fini(&text);
    plumb_buf_fini(&read);
    plumb_buf_fini(&known);
    plumb_json_fini(&json);
}

static void channels_see_what_is_set_and_theirs(void **state)
{
    (void)state;
    plumb_lead_t lead = lead_with_data("{\"x\":1}");
    lead.value[PLUMB_LEAD_USER_ID] = text(lead_id); /* not a channel's */
    lead.value[PLUMB_LEAD_PAID] = text("true");     /* nor this */
    lead.value[PLUMB_LEAD_NAME] = text("");
    lead.value[PLUMB_LEAD_IS_TEST] = text("false");
    lead.value[PLUMB_LEAD_CONTACTS] = text("[\"c\"]");
    check_body("lead", &lead,
               ", \"name\"=>\"\", \"contacts\"=>[\"c\"], \"data\"=>{\"x\"=>1}, \"isTest\"=>false");
    lead.value[PLUMB_LEAD_IS_TEST] = text("true");
    lead.value[PLUMB_LEAD_DATA] = lead.value[PLUMB_LEAD_CONTACTS] = (plumb_slice_t){NULL, 0};
    check_body("test lead", &lead, ", \"name\"=>\"\", \"isTest\"=>true");
}

static void broken_json_is_named(void **state)
{
    (void)state;
    plumb_buf_t out = {0};
    plumb_lead_t lead = lead_with_data("{\"x\":");
    want("broken", plumb_lead_body_pack(&out, &lead, NULL, &err), -PLUMB_E_BAD_JSON);
    assert_non_null(strstr(err.text, "attribute 'data'"));
    plumb_buf_fini(&out);
}

/* ---- attributes for the API ---- */

static void attributes_stand_in_table_order(void **state)
{
    (void)state;
    plumb_lead_t lead = lead_with_data("{\"a\": [1]}");
    lead.value[PLUMB_LEAD_NAME] = text("An\"na\n");
    lead.value[PLUMB_LEAD_VIEWED] = text("false");
    lead.value[PLUMB_LEAD_CREATED_AT] = text("2026-01-02T03:04:05.678Z");
    plumb_buf_t out = {0};
    plumb_lead_attributes_json(&out, &lead);
    json_error_t why;
    json_t *tree = json_loadb(out.data, out.length, JSON_REJECT_DUPLICATES, &why);
    if (tree == NULL)
        fail_msg("%s in %s", why.text, out.data);
    assert_int_equal(json_object_size(tree), PLUMB_LEAD_ATTRS);
    int i = 0;
    for (void *at = json_object_iter(tree); at != NULL; at = json_object_iter_next(tree, at), i++)
        assert_string_equal(json_object_iter_key(at), plumb_lead_attrs[i].name);
    assert_string_equal(json_string_value(json_object_get(tree, "name")), "An\"na\n");
    assert_true(json_is_null(json_object_get(tree, "phone")));
    assert_true(json_is_false(json_object_get(tree, "viewed")));
    assert_int_equal(json_array_size(json_object_get(json_object_get(tree, "data"), "a")), 1);
    assert_string_equal(json_string_value(json_object_get(tree, "createdAt")),
                        "2026-01-02T03:04:05.678Z");
    json_decref(tree);
    plumb_buf_fini(&out);
}

/* ---- rows ---- */

#define ACCOUNT "0190c9d2-0000-7000-8000-00000000000a"
#define OWNER "0190c9d2-0000-7000-8000-00000000000b"
#define LEAD "0190c9d2-0000-7000-8000-0000000000ff"

static const char insert_lead[] =
    "INSERT INTO leads (account_id, id, user_id, project_id, quiz_id, version, status, sealed_key, "
    "sealed, external_id, data, utm_source, ip_address, viewed, is_test, created_at) VALUES "
    "('" ACCOUNT "', '" LEAD "', '" OWNER "', '" OWNER "', '" OWNER "', 7, 'AtWork', '\\x0001', "
    "'\\x02', '', '{\"b\":1e300,\"a\":[1.50,-0.5e-399]}'::jsonb, 'naïve', '2001:db8::1', true, "
    "true, "
    "'2026-01-02 08:49:05.678999+05:45')";

/* The row of the lead, read as daemons read it. */
static PGresult *select_lead(plumb_db_t *db)
{
    static char sql[4096];
    plumb_buf_t list = {0};
    plumb_lead_select_list(&list, "l");
    snprintf(sql, sizeof sql, "SELECT 1, %s FROM leads l WHERE id = '" LEAD "'", list.data);
    plumb_buf_fini(&list);
    static const plumb_stmt_t stmt = {"select_lead", sql, 0};
    PGresult *r = NULL;
    want(sql, plumb_db_exec(db, &stmt, NULL, LONG_MS, &r, &err), 0);
    assert_int_equal(PQnfields(r), 1 + PLUMB_LEAD_COLUMNS);
    assert_int_equal(PQntuples(r), 1);
    return r;
}

static void check_value(const plumb_lead_t *lead, int attr, const char *expected)
{
    const plumb_slice_t *value = &lead->value[attr];
    const char *name = plumb_lead_attrs[attr].name;
    if (value->data == NULL || expected == NULL) {
        if (value->data != expected)
            fail_msg("%s: got %s, want %s", name, value->data, expected);
    } else if (value->length != strlen(expected) ||
               memcmp(value->data, expected, value->length) != 0) {
        fail_msg("%s: got '%.*s', want '%s'", name, (int)value->length, value->data, expected);
    }
}

static void check_values(const plumb_lead_t *lead)
{
    static const struct {
        int attr;
        const char *value;
    } wanted[] = {{PLUMB_LEAD_USER_ID, OWNER},
                  {PLUMB_LEAD_QUIZ_ID, OWNER},
                  {PLUMB_LEAD_EXTERNAL_ID, ""},
                  {PLUMB_LEAD_EXTERNAL_SYSTEM, NULL},
                  {PLUMB_LEAD_NAME, NULL}, /* sealed */
                  {PLUMB_LEAD_PHONE, NULL},
                  {PLUMB_LEAD_STATUS, "AtWork"},
                  {PLUMB_LEAD_UTM_SOURCE, "naïve"},
                  {PLUMB_LEAD_UTM_TERM, NULL},
                  {PLUMB_LEAD_IP_ADDRESS, "2001:db8::1"},
                  {PLUMB_LEAD_VIEWED, "true"},
                  {PLUMB_LEAD_BLOCKED, "false"},
                  {PLUMB_LEAD_DUPLICATE_OF, NULL},
                  {PLUMB_LEAD_CREATED_AT, "2026-01-02T03:04:05.678Z"},
                  {PLUMB_LEAD_DELETED_AT, NULL}};
    for (size_t i = 0; i < PLUMB_COUNT(wanted); i++)
        check_value(lead, wanted[i].attr, wanted[i].value);
}

/* Rows of the time when the column was jsonb: what it made of numbers, 301 and 401 digits. */
static void check_stored_numbers(const plumb_lead_t *lead)
{
    plumb_buf_t out = {0};
    msgpack_unpacked whole;
    size_t offset = 0;
    want("body", plumb_lead_body_pack(&out, lead, NULL, &err), 0);
    msgpack_unpacked_init(&whole);
    assert_int_equal(msgpack_unpack_next(&whole, out.data, out.length, &offset),
                     MSGPACK_UNPACK_SUCCESS);
    for (uint32_t i = 0; i < whole.data.via.map.size; i++) {
        const msgpack_object_kv *pair = &whole.data.via.map.ptr[i];
        if (strncmp(pair->key.via.str.ptr, "data", pair->key.via.str.size) != 0)
            continue;
        const msgpack_object *a = &pair->val.via.map.ptr[0].val, *b = &pair->val.via.map.ptr[1].val;
        assert_true(a->via.array.ptr[0].via.f64 == 1.5 && a->via.array.ptr[1].via.f64 == 0);
        assert_true(b->via.f64 == 1e300);
        offset = 0;
    }
    assert_int_equal(offset, 0); /* data was there */
    msgpack_unpacked_destroy(&whole);
    plumb_buf_fini(&out);
}

static void row_becomes_lead(void **state)
{
    plumb_db_t *db = *state;
    plumb_lead_t lead = {.value[PLUMB_LEAD_NAME] = text("of another lead")};
    plumb_slice_t sealed_key, sealed;
    char id[PLUMB_UUID_TEXT];
    PGresult *r = select_lead(db);
    plumb_lead_from_row(&lead, r, 0, 1, &sealed_key, &sealed);
    assert_string_equal(plumb_uuid_text(&lead.account, id), ACCOUNT);
    assert_string_equal(plumb_uuid_text(&lead.id, id), LEAD);
    assert_int_equal(lead.version, 7);
    assert_int_equal(sealed_key.length, 2);
    assert_memory_equal(sealed_key.data, "\0\1", 2);
    assert_int_equal(sealed.length, 1);
    check_values(&lead);
    check_stored_numbers(&lead);
    PQclear(r);
}

static void erased_lead_has_no_frames(void **state)
{
    plumb_db_t *db = *state;
    plumb_lead_t lead = {0};
    plumb_slice_t sealed_key = text("x"), sealed = text("x");
    want("erase",
         plumb_db_script(db, "UPDATE leads SET sealed_key = NULL, sealed = NULL", LONG_MS, &err),
         0);
    PGresult *r = select_lead(db);
    plumb_lead_from_row(&lead, r, 0, 1, &sealed_key, &sealed);
    assert_null(sealed_key.data);
    assert_null(sealed.data);
    PQclear(r);
}

static int open_database(void **state)
{
    char conninfo[PG_CONNINFO_MAX];
    plumb_db_t *db = NULL;
    plumb_migrated_t done;
    if (plumb_db_new(&db, pg_new_database(conninfo), "test_lead", &err) < 0 ||
        plumb_migrate(db, PLUMB_SQL_DIR, &done, &err) < 0 ||
        plumb_db_script(db, insert_lead, LONG_MS, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    *state = db;
    return 0;
}

static int close_database(void **state)
{
    plumb_db_destroy((plumb_db_t **)state);
    return 0;
}

/* ---- places ---- */

static void places_differ(void **state)
{
    (void)state;
    plumb_uuid_t account = plumb_uuid_new(), id = plumb_uuid_new();
    const plumb_seal_place_t places[] = {
        plumb_lead_place_key(&account, &id), plumb_lead_place_personal(&account, &id),
        plumb_lead_place_exchange(&account, &id), plumb_credential_place(&account, &id)};
    for (size_t i = 0; i < PLUMB_COUNT(places); i++) {
        assert_int_equal(plumb_uuid_compare(&places[i].account, &account), 0);
        assert_int_equal(plumb_uuid_compare(&places[i].subject, &id), 0);
        for (size_t other = 0; other < i; other++)
            assert_true(strcmp(places[i].purpose, places[other].purpose) != 0 ||
                        strcmp(places[i].column, places[other].column) != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_attribute_is_found_by_its_name),
        cmocka_unit_test(personal_data_comes_back),
        cmocka_unit_test(personal_data_is_a_map_of_columns),
        cmocka_unit_test(what_a_later_version_keeps_is_passed_over),
        cmocka_unit_test(damaged_personal_data_is_refused),
        cmocka_unit_test(json_becomes_msgpack),
        cmocka_unit_test(a_document_that_was_read_serves),
        cmocka_unit_test(channels_see_what_is_set_and_theirs),
        cmocka_unit_test(broken_json_is_named),
        cmocka_unit_test(attributes_stand_in_table_order),
        cmocka_unit_test(places_differ),
        cmocka_unit_test(row_becomes_lead),
        cmocka_unit_test(erased_lead_has_no_frames),
    };
    return cmocka_run_group_tests(tests, open_database, close_database);
}
