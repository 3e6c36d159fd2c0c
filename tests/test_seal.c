/* Sealed frames and master keys: what opens, what must not, what is refused at start. */
#include "count.h"
#include "seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define OVERHEAD (1 + 4 + 24 + 16)

static plumb_err_t err;

static const plumb_key_t key = {.id = 7, .bytes = "0123456789abcdef0123456789abcde"};
static const plumb_uuid_t account = {{1, 2, 3}}, subject = {{4, 5, 6}};
static const plumb_seal_place_t place = {"lead", {{1, 2, 3}}, {{4, 5, 6}}, "personal"};

static plumb_buf_t sealed(const void *plain, size_t length)
{
    plumb_buf_t frame = {0};
    assert_int_equal(plumb_seal(&frame, &key, &place, plain, length, &err), 0);
    return frame;
}

/* ---- frames ---- */

static void round_trips(void **state)
{
    (void)state;
    static const struct {
        size_t length, padded;
    } cases[] = {{0, 64}, {1, 64}, {63, 64}, {64, 128}, {65, 128}, {300, 320}, {4096, 4160}};
    char plain[4096];
    memset(plain, 0x80, sizeof plain); /* looks like padding */
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        plumb_buf_t frame = sealed(plain, cases[i].length), out = {0};
        plumb_buf_text(&out, "before");
        assert_int_equal(frame.length, cases[i].padded + OVERHEAD);
        assert_int_equal(plumb_seal_key_id(frame.data, frame.length), key.id);
        if (plumb_seal_open(&out, &key, &place, frame.data, frame.length, &err) < 0)
            fail_msg("%zu bytes: %s", cases[i].length, err.text);
        assert_int_equal(out.length, 6 + cases[i].length);
        assert_memory_equal(out.data, "before", 6);
        assert_memory_equal(out.data + 6, plain, cases[i].length);
        assert_int_equal(out.data[out.length], '\0');
        plumb_buf_fini(&frame);
        plumb_buf_fini(&out);
    }
}

static void frame_is_as_documented(void **state)
{
    (void)state;
    plumb_buf_t one = sealed("x", 1), two = sealed("x", 1);
    assert_memory_equal(one.data, "\1\0\0\0\7", 5);
    assert_memory_not_equal(one.data + 5, two.data + 5, 24); /* a nonce never comes twice */
    plumb_buf_fini(&one);
    plumb_buf_fini(&two);
}

static void must_not_open(const char *what, const plumb_key_t *with, const plumb_seal_place_t *at,
                          const void *frame, size_t length)
{
    plumb_buf_t out = {0};
    plumb_buf_text(&out, "before");
    int rc = plumb_seal_open(&out, with, at, frame, length, &err);
    if (rc != -PLUMB_E_SEAL || strcmp(out.data, "before") != 0)
        fail_msg("%s: got %d, %zu bytes", what, rc, out.length);
    plumb_buf_fini(&out);
}

static void every_flipped_bit_is_seen(void **state)
{
    (void)state;
    plumb_buf_t frame = sealed("secret", 6);
    for (size_t i = 0; i < frame.length * 8; i++) {
        frame.data[i / 8] ^= (char)(1 << i % 8);
        must_not_open("flipped", &key, &place, frame.data, frame.length);
        frame.data[i / 8] ^= (char)(1 << i % 8);
    }
    plumb_buf_fini(&frame);
}

static void every_cut_is_seen(void **state)
{
    (void)state;
    plumb_buf_t frame = sealed("secret", 6);
    for (size_t length = 0; length < frame.length; length++) {
        char *exact = malloc(length > 0 ? length : 1); /* the sanitizer sees who reads on */
        assert_non_null(exact);
        memcpy(exact, frame.data, length);
        must_not_open("cut", &key, &place, exact, length);
        free(exact);
    }
    must_not_open("nothing", &key, &place, NULL, 0);
    assert_int_equal(plumb_seal_key_id(NULL, 0), 0);
    plumb_buf_put(&frame, "", 1);
    must_not_open("longer", &key, &place, frame.data, frame.length);
    plumb_buf_fini(&frame);
}

static void bound_to_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        plumb_seal_place_t place;
    } cases[] = {{"purpose", {"load", {{1, 2, 3}}, {{4, 5, 6}}, "personal"}},
                 {"account", {"lead", {{1, 2, 4}}, {{4, 5, 6}}, "personal"}},
                 {"subject", {"lead", {{1, 2, 3}}, {{4, 5, 7}}, "personal"}},
                 {"exchanged", {"lead", {{4, 5, 6}}, {{1, 2, 3}}, "personal"}},
                 {"column", {"lead", {{1, 2, 3}}, {{4, 5, 6}}, "persona"}},
                 {"border", {"leadp", {{1, 2, 3}}, {{4, 5, 6}}, "ersonal"}}};
    plumb_buf_t frame = sealed("secret", 6);
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++)
        must_not_open(cases[i].name, &key, &cases[i].place, frame.data, frame.length);
    plumb_key_t other = key;
    other.id++;
    must_not_open("key id", &other, &place, frame.data, frame.length);
    other = key;
    other.bytes[31] ^= 1;
    must_not_open("key", &other, &place, frame.data, frame.length);
    plumb_buf_fini(&frame);
}

static void attempt_key(void **state)
{
    (void)state;
    plumb_key_t one, again, other, fresh;
    plumb_key_new(&fresh, 3);
    plumb_key_attempt(&one, &key);
    plumb_key_attempt(&again, &key);
    plumb_key_attempt(&other, &fresh);
    assert_int_equal(one.id, PLUMB_ATTEMPT_KEY_ID);
    assert_memory_equal(one.bytes, again.bytes, PLUMB_KEY_BYTES);
    assert_memory_not_equal(one.bytes, other.bytes, PLUMB_KEY_BYTES);
    assert_memory_not_equal(one.bytes, key.bytes, PLUMB_KEY_BYTES);
    assert_int_equal(fresh.id, 3);
}

/* ---- master keys ---- */

static int make_dir(void **state)
{
    static char dir[32];
    snprintf(dir, sizeof dir, "/tmp/plumb-keys-XXXXXX");
    *state = mkdtemp(dir);
    return *state == NULL ? -1 : 0;
}

static char *path_of(const char *dir, const char *name)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static int remove_dir(void **state)
{
    static const char *const names[] = {"master-1.key", "master-2.key",  "master-10.key",
                                        "notes.txt",    "master-01.key", "master-3.key.bak"};
    for (size_t i = 0; i < PLUMB_COUNT(names); i++)
        unlink(path_of(*state, names[i]));
    return rmdir(*state); /* fails when something was left behind */
}

static void write_file(const char *dir, const char *name, const char *text, mode_t mode)
{
    const char *path = path_of(dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF"

static void refused_at_start(void **state)
{
    static const struct {
        const char *name, *file, *text;
        mode_t mode;
        const char *wants; /* in the sentence */
    } cases[] = {{"none", "notes.txt", DIGITS, 0600, "no master-<id>.key"},
                 {"other name", "master-01.key", DIGITS, 0600, "no master-<id>.key"},
                 {"backup", "master-3.key.bak", DIGITS, 0600, "no master-<id>.key"},
                 {"others read", "master-1.key", DIGITS, 0604, "mode 0604, want 0600"},
                 {"group writes", "master-1.key", DIGITS, 0620, "mode 0620"},
                 {"empty", "master-1.key", "", 0600, "64 hex digits"},
                 {"short", "master-1.key", &DIGITS[1], 0600, "64 hex digits"},
                 {"long", "master-1.key", DIGITS "0", 0600, "64 hex digits"},
                 {"two lines", "master-1.key", DIGITS "\n\n", 0600, "64 hex digits"},
                 {"no hex", "master-1.key", "x" DIGITS, 0600, "64 hex digits"}};
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        plumb_keyring_t *ring = NULL;
        write_file(*state, cases[i].file, cases[i].text, cases[i].mode);
        int rc = plumb_keyring_open(&ring, *state, &err);
        if (rc != -PLUMB_E_KEY || ring != NULL || strstr(err.text, cases[i].wants) == NULL)
            fail_msg("%s: got %d '%s'", cases[i].name, rc, err.text);
        if (strstr(err.text, "abcdef") != NULL)
            fail_msg("%s: '%s' tells the key", cases[i].name, err.text);
        unlink(path_of(*state, cases[i].file));
    }
}

static void memory_that_cannot_be_locked(void **state)
{
    struct rlimit before, none = {0};
    uint32_t id;
    plumb_keyring_t *ring = NULL;
    uid_t user = geteuid();
    if (user == 0) { /* who is above the limit */
        assert_int_equal(chown(*state, 65534, 65534), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    getrlimit(RLIMIT_MEMLOCK, &before);
    none.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_MEMLOCK, &none);
    int locked = mlock(&id, sizeof id);
    int made = plumb_keyring_generate(*state, &id, &err);
    int rc = plumb_keyring_open(&ring, *state, &err);
    setrlimit(RLIMIT_MEMLOCK, &before);
    assert_int_equal(seteuid(user), 0);
    assert_int_equal(made, 0);
    if (locked == 0) { /* the address sanitizer makes mlock do nothing */
        plumb_keyring_destroy(&ring);
        skip();
    }
    assert_int_equal(rc, -PLUMB_E_KEY);
    assert_non_null(strstr(err.text, "lock keys in memory"));
}

static plumb_keyring_t *opened(const char *dir)
{
    plumb_keyring_t *ring = NULL;
    if (plumb_keyring_open(&ring, dir, &err) < 0)
        fail_msg("open keyring: %s", err.text);
    return ring;
}

static void generated_keys(void **state)
{
    uint32_t id = 0;
    struct stat st;
    assert_int_equal(plumb_keyring_generate(*state, &id, &err), 0);
    assert_int_equal(id, 1);
    assert_int_equal(stat(path_of(*state, "master-1.key"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(plumb_keyring_generate(*state, &id, &err), 0);
    assert_int_equal(id, 2);
    write_file(*state, "master-10.key", DIGITS "\n", 0440); /* as systemd shows a credential */
    plumb_keyring_t *ring = opened(*state);
    uint8_t hash[PLUMB_TOKEN_HASH];
    assert_int_equal(plumb_keyring_token_hash(ring, 0, "s", 1, hash, &id, &err), 0);
    assert_int_equal(id, 10); /* the highest number, not the last name */
    plumb_keyring_destroy(&ring);
    assert_null(ring);
    plumb_keyring_destroy(&ring);
}

static void wrapped_account_keys(void **state)
{
    uint32_t id;
    assert_int_equal(plumb_keyring_generate(*state, &id, &err), 0);
    plumb_keyring_t *ring = opened(*state);
    plumb_buf_t old = {0}, new = {0};
    assert_int_equal(plumb_keyring_wrap(ring, &old, &account, &key, &err), 0);
    plumb_keyring_destroy(&ring);
    assert_int_equal(plumb_keyring_generate(*state, &id, &err), 0);
    ring = opened(*state);
    assert_int_equal(plumb_keyring_wrap(ring, &new, &account, &key, &err), 0);
    assert_int_equal(plumb_seal_key_id(old.data, old.length), 1);
    assert_int_equal(plumb_seal_key_id(new.data, new.length), 2);
    const plumb_buf_t *const frames[] = {&old, &new}; /* after a rotation both open */
    for (size_t i = 0; i < PLUMB_COUNT(frames); i++) {
        const char *data = frames[i]->data;
        size_t length = frames[i]->length;
        plumb_key_t got = {0};
        int rc = plumb_keyring_unwrap(ring, &got, 7, &account, data, length, &err);
        assert_int_equal(rc, 0);
        assert_int_equal(got.id, 7);
        assert_memory_equal(got.bytes, key.bytes, PLUMB_KEY_BYTES);
        rc = plumb_keyring_unwrap(ring, &got, 8, &account, data, length, &err);
        assert_int_equal(rc, -PLUMB_E_SEAL); /* the frame of another row */
        rc = plumb_keyring_unwrap(ring, &got, 7, &subject, data, length, &err);
        assert_int_equal(rc, -PLUMB_E_SEAL); /* of another account */
    }
    plumb_key_t got = {0};
    assert_int_equal(plumb_keyring_unwrap(ring, &got, 7, &account, "x", 1, &err), -PLUMB_E_SEAL);
    plumb_keyring_destroy(&ring);
    unlink(path_of(*state, "master-1.key"));
    ring = opened(*state);
    int rc = plumb_keyring_unwrap(ring, &got, 7, &account, old.data, old.length, &err);
    assert_int_equal(rc, -PLUMB_E_KEY);
    assert_string_equal(err.text, "unwrap account key 7: no master key 1");
    plumb_keyring_destroy(&ring);
    plumb_buf_fini(&old);
    plumb_buf_fini(&new);
}

static void token_hashes(void **state)
{
    uint8_t one[PLUMB_TOKEN_HASH], again[PLUMB_TOKEN_HASH], other[PLUMB_TOKEN_HASH];
    uint32_t used = 0;
    write_file(*state, "master-1.key", DIGITS, 0600);
    assert_int_equal(plumb_keyring_generate(*state, &used, &err), 0);
    plumb_keyring_t *ring = opened(*state);
    assert_int_equal(plumb_keyring_token_hash(ring, 0, "secret", 6, one, &used, &err), 0);
    assert_int_equal(used, 2);
    assert_int_equal(plumb_keyring_token_hash(ring, 2, "secret", 6, again, NULL, &err), 0);
    assert_memory_equal(one, again, sizeof one);
    assert_int_equal(plumb_keyring_token_hash(ring, 1, "secret", 6, other, &used, &err), 0);
    assert_int_equal(used, 1);
    assert_memory_not_equal(one, other, sizeof one);
    assert_int_equal(plumb_keyring_token_hash(ring, 2, "secreT", 6, other, NULL, &err), 0);
    assert_memory_not_equal(one, other, sizeof one);
    assert_int_equal(plumb_keyring_token_hash(ring, 3, "s", 1, other, NULL, &err), -PLUMB_E_KEY);
    plumb_keyring_destroy(&ring);
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(frame_is_as_documented),
        cmocka_unit_test(every_flipped_bit_is_seen),
        cmocka_unit_test(every_cut_is_seen),
        cmocka_unit_test(bound_to_its_place),
        cmocka_unit_test(attempt_key),
        WITH_DIR(refused_at_start),
        WITH_DIR(memory_that_cannot_be_locked),
        WITH_DIR(generated_keys),
        WITH_DIR(wrapped_account_keys),
        WITH_DIR(token_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
