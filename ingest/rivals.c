/* Leads of one group that share a key are found here, those that share one with a stored lead by
 * the database.
 *
 * Locks: whoever decides on a key holds its lock until the end of the transaction, so that two
 * committers never decide on one key at a time, wherever they run.  A key's lock is 64 bits of hash
 * and taken by nobody else; there are at most LOCKS_MAX of them in one transaction, since the
 * server has room for a few thousand.  Who needs more locks the account as a whole. */
#include "rivals.h"

#include "count.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define LOCKS_MAX 256
#define SLOTS_FIRST 256
#define AHEAD_MS 3600000 /* how far another host's clock may be before ours */

enum { LOOK_TERMS = 1, LOOK_BODIES = 2, LOOK_EXTERNAL = 4, LOOK_PLANS = 8 };
enum { KEY_PHONE = 1, KEY_EMAIL = 2, KEY_EXTERNAL = 4 };

/* A key, and the first lead of the group that has it. */
struct rival_slot {
    uint64_t key; /* 0: free */
    uint32_t lead;
};

struct rival_lead {
    uint32_t rule;
    bool is_suspect, is_peer;
};

/* The settings of a quiz, for its leads or its test leads. */
struct rival_rule {
    const quiz_t *quiz; /* NULL: of leads of which nothing is decided */
    uint32_t number;    /* before they were ordered */
    bool is_test;
    bool wants_same, wants_person;
    unsigned keys;   /* KEY_… */
    unsigned fields; /* of `data` */
    const char *plan;
};

typedef struct filling {
    rivals_t *r;
    plumb_params_t *params;
    prepared_t *const *group;
    size_t count;
    int64_t now_ms;
    unsigned looks;
    bool any_external, any_key, any_credentials;
    int64_t since_ms; /* the longest window's beginning */
} filling_t;

void rivals_fini(rivals_t *rivals)
{
    free(rivals->slots);
    free(rivals->leads);
    free(rivals->rules);
    free(rivals->locks);
    *rivals = (rivals_t){.slots = NULL};
}

/* ---- rules ---- */

static bool wants_same(const quiz_t *quiz)
{
    return quiz->settings.identical_window_seconds > 0;
}

static bool wants_person(const quiz_t *quiz, bool is_test)
{
    const quiz_settings_t *s = &quiz->settings;
    return !is_test && s->duplicate_policy != DUPLICATE_ALLOW && s->duplicate_window_minutes > 0;
}

static const char *plan_of(const quiz_t *quiz, bool is_test)
{
    static const char *const names[] = {
        [PLAN_UNLIMITED] = NULL, [PLAN_BALANCE] = "balance", [PLAN_NONE] = "none"};
    return is_test || !quiz->settings.payment ? NULL : names[quiz->plan];
}

bool rivals_are_asked_for(prepared_t *const *group, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const lead_keys_t *k = &group[i]->keys;
        if (k->quiz != NULL && (wants_same(k->quiz) || wants_person(k->quiz, k->is_test) ||
                                plan_of(k->quiz, k->is_test) != NULL))
            return true;
    }
    return false;
}

static void read_keys(struct rival_rule *rule)
{
    const quiz_list_t *list = &rule->quiz->settings.duplicate_keys;
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->item[i], "phone") == 0)
            rule->keys |= KEY_PHONE;
        else if (strcmp(list->item[i], "email") == 0)
            rule->keys |= KEY_EMAIL;
        else if (strcmp(list->item[i], "externalId") == 0)
            rule->keys |= KEY_EXTERNAL;
        else
            rule->fields++;
    }
}

static void reach_back(filling_t *f, int64_t window_ms)
{
    int64_t since_ms = f->now_ms > window_ms ? f->now_ms - window_ms : 0;
    if (since_ms < f->since_ms)
        f->since_ms = since_ms;
}

static void make_rule(filling_t *f, struct rival_rule *rule, const lead_keys_t *keys)
{
    *rule = (struct rival_rule){.quiz = keys->quiz, .is_test = keys->is_test};
    if (rule->quiz == NULL)
        return;
    const quiz_settings_t *s = &rule->quiz->settings;
    rule->wants_same = wants_same(rule->quiz);
    rule->wants_person = wants_person(rule->quiz, rule->is_test);
    rule->plan = plan_of(rule->quiz, rule->is_test);
    if (rule->wants_same)
        reach_back(f, s->identical_window_seconds * 1000);
    if (rule->wants_person) {
        read_keys(rule);
        reach_back(f, s->duplicate_window_minutes * 60000);
        f->any_external |= (rule->keys & KEY_EXTERNAL) != 0;
        f->any_credentials |= s->duplicate_scope == DUPLICATE_IN_CREDENTIAL;
    }
    if (rule->wants_same || rule->wants_person)
        f->looks |= LOOK_TERMS;
    if (rule->plan != NULL)
        f->looks |= LOOK_PLANS;
}

static uint32_t rule_of(filling_t *f, const lead_keys_t *keys)
{
    rivals_t *r = f->r;
    for (size_t i = r->rule_count; i-- > 0;)
        if (r->rules[i].quiz == keys->quiz && r->rules[i].is_test == keys->is_test)
            return (uint32_t)i;
    make_rule(f, &r->rules[r->rule_count], keys);
    return (uint32_t)r->rule_count++;
}

static int compare_rules(const void *a, const void *b)
{
    static const plumb_uuid_t none = {{0}};
    const quiz_t *x = ((const struct rival_rule *)a)->quiz,
                 *y = ((const struct rival_rule *)b)->quiz;
    return plumb_uuid_compare(x == NULL ? &none : &x->account, y == NULL ? &none : &y->account);
}

/* In the order of their accounts, since balances are locked in the order of rules. */
static void order_rules(filling_t *f)
{
    rivals_t *r = f->r;
    int64_t *places = r->locks; /* there are none yet, and there is room for more */
    if (r->rule_count == 1)
        return;
    for (size_t i = 0; i < r->rule_count; i++)
        r->rules[i].number = (uint32_t)i;
    qsort(r->rules, r->rule_count, sizeof *r->rules, compare_rules);
    for (size_t i = 0; i < r->rule_count; i++)
        places[r->rules[i].number] = (int64_t)i;
    for (size_t i = 0; i < f->count; i++)
        r->leads[i].rule = (uint32_t)places[r->leads[i].rule];
}

/* ---- keys within the group ---- */

static uint64_t hash_of(const plumb_uuid_t *account, const void *data, size_t length)
{
    uint64_t hash;
    crypto_shorthash_siphash24((uint8_t *)&hash, data, length, account->b);
    return hash;
}

/* Note that lead `lead` has `key`; who was there before is a peer, and this one suspect. */
static void meet(filling_t *f, uint32_t lead, uint64_t key)
{
    rivals_t *r = f->r;
    size_t at = key & (r->slot_count - 1);
    while (r->slots[at].key != 0 && r->slots[at].key != key)
        at = (at + 1) & (r->slot_count - 1);
    if (r->slots[at].key == 0) {
        r->slots[at] = (struct rival_slot){key, lead};
    } else if (r->slots[at].lead != lead) {
        r->leads[r->slots[at].lead].is_peer = true;
        r->leads[lead].is_peer = r->leads[lead].is_suspect = true;
    }
}

static void lock(rivals_t *r, uint64_t key)
{
    if (r->lock_count < r->lock_capacity)
        r->locks[r->lock_count++] = (int64_t)key;
}

/* Each key of a lead once: its hash, and whether its rule tells persons by it. */
typedef void key_visitor_t(filling_t *f, uint32_t lead, uint64_t key, bool tells_person);

static void visit_keys(filling_t *f, uint32_t i, key_visitor_t *visit)
{
    const lead_keys_t *k = &f->group[i]->keys;
    const struct rival_rule *rule = &f->r->rules[f->r->leads[i].rule];
    if (k->quiz == NULL)
        return;
    if (k->phone != 0)
        visit(f, i, (uint64_t)k->phone, (rule->keys & KEY_PHONE) != 0);
    if (k->email != 0)
        visit(f, i, (uint64_t)k->email, (rule->keys & KEY_EMAIL) != 0);
    if (f->any_external && k->external_id.length > 0)
        visit(f, i, hash_of(&k->quiz->account, k->external_id.data, k->external_id.length),
              (rule->keys & KEY_EXTERNAL) != 0);
    for (unsigned n = 0; n < k->field_count; n++)
        visit(f, i, (uint64_t)k->fields[n].term, rule->fields > 0);
    if (k->phone == 0 && k->email == 0 && k->body != 0)
        visit(f, i, (uint64_t)k->body, false);
}

static void meet_key(filling_t *f, uint32_t lead, uint64_t key, bool tells_person)
{
    (void)tells_person;
    meet(f, lead, key);
}

static void lock_key(filling_t *f, uint32_t lead, uint64_t key, bool tells_person)
{
    (void)lead;
    if (tells_person)
        lock(f->r, key);
}

/* A lead that looks for identical ones only, or has no key of a person, locks its body: an
 * identical lead has the same keys, so one lock that both take is enough. */
static void lock_lead(filling_t *f, uint32_t i)
{
    const lead_keys_t *k = &f->group[i]->keys;
    const struct rival_rule *rule = &f->r->rules[f->r->leads[i].rule];
    size_t before = f->r->lock_count;
    if (rule->wants_person)
        visit_keys(f, i, lock_key);
    if (rule->wants_same && f->r->lock_count == before)
        lock(f->r, (uint64_t)k->body);
}

static void look_at(filling_t *f, uint32_t i)
{
    const lead_keys_t *k = &f->group[i]->keys;
    struct rival_lead *lead = &f->r->leads[i];
    *lead = (struct rival_lead){.rule = rule_of(f, k)};
    const struct rival_rule *rule = &f->r->rules[lead->rule];
    lead->is_suspect = rule->wants_person && k->field_count > 0;
    if (rule->wants_same && k->phone == 0 && k->email == 0)
        f->looks |= LOOK_BODIES;
    if (f->any_external)
        f->looks |= LOOK_EXTERNAL;
    f->any_key |= k->key.data != NULL;
}

/* ---- memory ---- */

static bool grow(void **array, size_t *capacity, size_t want, size_t size)
{
    if (want <= *capacity)
        return true;
    void *more = realloc(*array, want * size);
    if (more == NULL)
        return false;
    *array = more;
    *capacity = want;
    return true;
}

static bool make_room(rivals_t *r, prepared_t *const *group, size_t count)
{
    size_t keys = 0, slots = SLOTS_FIRST;
    for (size_t i = 0; i < count; i++)
        keys += 4 + group[i]->keys.field_count;
    while (slots < keys * 2)
        slots *= 2;
    bool good = grow((void **)&r->slots, &r->slot_count, slots, sizeof *r->slots) &&
                grow((void **)&r->leads, &r->lead_capacity, count, sizeof *r->leads) &&
                grow((void **)&r->rules, &r->rule_capacity, count, sizeof *r->rules) &&
                grow((void **)&r->locks, &r->lock_capacity, keys, sizeof *r->locks);
    if (!good)
        return false;
    memset(r->slots, 0, r->slot_count * sizeof *r->slots);
    r->rule_count = r->lock_count = 0;
    return true;
}

/* ---- parameters ---- */

static int compare_locks(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sort_locks(rivals_t *r)
{
    size_t kept = 0;
    qsort(r->locks, r->lock_count, sizeof *r->locks, compare_locks);
    for (size_t i = 0; i < r->lock_count; i++)
        if (kept == 0 || r->locks[kept - 1] != r->locks[i])
            r->locks[kept++] = r->locks[i];
    r->lock_count = kept;
}

static void bind_locks(filling_t *f)
{
    rivals_t *r = f->r;
    sort_locks(r);
    plumb_array_begin(f->params, PLUMB_ARRAY_INT8);
    for (size_t i = 0; i < r->lock_count; i++)
        plumb_item_int8(f->params, r->locks[i]);
    plumb_array_end(f->params);
}

/* The accounts' locks, then the keys', unless there are too many. */
static void bind_all_locks(filling_t *f)
{
    rivals_t *r = f->r;
    for (size_t i = 0; i < r->rule_count; i++)
        if (r->rules[i].wants_same || r->rules[i].wants_person)
            lock(r, hash_of(&r->rules[i].quiz->account, "account", 7));
    bind_locks(f);
    r->lock_count = 0;
    for (uint32_t i = 0; i < f->count; i++)
        lock_lead(f, i);
    sort_locks(r);
    if (r->lock_count > LOCKS_MAX)
        r->lock_count = 0;
    bind_locks(f);
}

/* The lowest version 7 id of a moment. */
static plumb_uuid_t id_floor(int64_t unix_ms)
{
    plumb_uuid_t id = {.b = {[6] = 0x70, [8] = 0x80}};
    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
    return id;
}

static void rule_id(plumb_params_t *p, const plumb_uuid_t *id)
{
    plumb_record_column(p, PLUMB_ARRAY_UUID);
    if (id == NULL)
        plumb_item_null(p);
    else
        plumb_item_uuid(p, id);
}

static void rule_text(plumb_params_t *p, const char *text)
{
    plumb_record_column(p, PLUMB_ARRAY_TEXT);
    if (text == NULL)
        plumb_item_null(p);
    else
        plumb_item_textn(p, text, strlen(text));
}

/* The lowest id of a window that is `wanted`. */
static void rule_since(const filling_t *f, bool wanted, int64_t window_ms)
{
    plumb_uuid_t since = id_floor(f->now_ms > window_ms ? f->now_ms - window_ms : 0);
    rule_id(f->params, wanted ? &since : NULL);
}

static void bind_rule(const filling_t *f, const struct rival_rule *rule)
{
    /* Nobody merges yet: such a lead is kept as a duplicate, which loses nothing. */
    static const char *const policies[] = {
        [DUPLICATE_FLAG] = "flag", [DUPLICATE_REJECT] = "reject", [DUPLICATE_MERGE] = "flag"};
    static const char *const scopes[] = {[DUPLICATE_IN_PROJECT] = "project",
                                         [DUPLICATE_IN_ACCOUNT] = "account",
                                         [DUPLICATE_IN_CREDENTIAL] = "credential"};
    const quiz_t *quiz = rule->quiz;
    static const quiz_settings_t nothing = {.phone_verification = false};
    const quiz_settings_t *s = quiz == NULL ? &nothing : &quiz->settings;
    plumb_params_t *p = f->params;
    plumb_record_begin(p);
    rule_id(p, quiz == NULL ? NULL : &quiz->account);
    rule_id(p, quiz == NULL ? NULL : &quiz->project);
    rule_id(p, quiz == NULL ? NULL : &quiz->id);
    rule_since(f, rule->wants_same, s->identical_window_seconds * 1000);
    rule_since(f, rule->wants_person, s->duplicate_window_minutes * 60000);
    rule_text(p, rule->wants_person ? policies[s->duplicate_policy] : NULL);
    plumb_record_column(p, PLUMB_ARRAY_INT4);
    plumb_item_int4(p, (int32_t)rule->keys);
    plumb_record_column(p, PLUMB_ARRAY_INT4);
    plumb_item_int4(p, (int32_t)rule->fields);
    plumb_record_column(p, PLUMB_ARRAY_BOOL);
    plumb_item_bool(p, s->duplicate_mode == DUPLICATE_ALL);
    rule_text(p, rule->wants_person ? scopes[s->duplicate_scope] : NULL);
    rule_text(p, rule->plan);
    plumb_record_end(p);
}

static void bind_rules(filling_t *f, uint32_t rule_array, uint32_t rule_type)
{
    const rivals_t *r = f->r;
    plumb_array_begin_of(f->params, rule_array, rule_type);
    for (size_t i = 0; i < r->rule_count; i++)
        bind_rule(f, &r->rules[i]);
    plumb_array_end(f->params);
    plumb_array_begin(f->params, PLUMB_ARRAY_INT4);
    for (size_t i = 0; i < f->count; i++)
        plumb_item_int4(f->params, (int32_t)r->leads[i].rule + 1);
    plumb_array_end(f->params);
}

static void bind_terms(filling_t *f)
{
    plumb_params_t *p = f->params;
    plumb_array_begin(p, PLUMB_ARRAY_UUID);
    for (size_t i = 0; i < f->count; i++)
        plumb_item_uuid(p, &f->group[i]->lead);
    plumb_array_end(p);
    plumb_array_begin(p, PLUMB_ARRAY_INT8);
    for (size_t i = 0; i < f->count; i++)
        plumb_item_int8(p, f->group[i]->keys.phone);
    plumb_array_end(p);
    plumb_array_begin(p, PLUMB_ARRAY_INT8);
    for (size_t i = 0; i < f->count; i++)
        plumb_item_int8(p, f->group[i]->keys.email);
    plumb_array_end(p);
    plumb_array_begin(p, PLUMB_ARRAY_INT8);
    for (size_t i = 0; i < f->count; i++)
        plumb_item_int8(p, f->group[i]->keys.body);
    plumb_array_end(p);
}

/* One text of each lead, or an empty array if no lead has any. */
static void bind_texts(filling_t *f, bool any, size_t member)
{
    plumb_array_begin(f->params, PLUMB_ARRAY_TEXT);
    for (size_t i = 0; any && i < f->count; i++) {
        const plumb_slice_t *text = (const void *)((const char *)&f->group[i]->keys + member);
        plumb_item_textn(f->params, text->data == NULL ? "" : text->data, text->length);
    }
    plumb_array_end(f->params);
}

typedef enum field_part { FIELD_LEAD, FIELD_NAME, FIELD_TERM } field_part_t;

static void bind_fields(filling_t *f, plumb_array_type_t type, field_part_t part)
{
    plumb_params_t *p = f->params;
    plumb_array_begin(p, type);
    for (size_t i = 0; i < f->count; i++) {
        const lead_keys_t *k = &f->group[i]->keys;
        for (unsigned n = 0; n < k->field_count; n++) {
            if (part == FIELD_LEAD)
                plumb_item_int4(p, (int32_t)i + 1);
            else if (part == FIELD_NAME)
                plumb_item_textn(p, k->fields[n].name, strlen(k->fields[n].name));
            else
                plumb_item_int8(p, k->fields[n].term);
        }
    }
    plumb_array_end(p);
}

/* Numbers of those leads of which something holds. */
static void bind_numbers(filling_t *f, bool (*holds)(const filling_t *f, size_t i))
{
    plumb_array_begin(f->params, PLUMB_ARRAY_INT4);
    for (size_t i = 0; i < f->count; i++)
        if (holds(f, i))
            plumb_item_int4(f->params, (int32_t)i + 1);
    plumb_array_end(f->params);
}

static bool is_silent(const filling_t *f, size_t i)
{
    return f->group[i]->keys.is_test || f->group[i]->keys.is_blocked;
}

static bool is_suspect(const filling_t *f, size_t i)
{
    return f->r->leads[i].is_suspect;
}

static bool is_peer(const filling_t *f, size_t i)
{
    return f->r->leads[i].is_peer;
}

static size_t targets_of(const filling_t *f, size_t rule)
{
    const quiz_t *quiz = f->r->rules[rule].quiz;
    return f->any_credentials && quiz != NULL ? quiz->target_count : 0;
}

static void bind_credentials(filling_t *f)
{
    plumb_params_t *p = f->params;
    plumb_array_begin(p, PLUMB_ARRAY_INT4);
    for (size_t i = 0; i < f->r->rule_count; i++)
        for (size_t n = 0; n < targets_of(f, i); n++)
            plumb_item_int4(p, (int32_t)i + 1);
    plumb_array_end(p);
    plumb_array_begin(p, PLUMB_ARRAY_UUID);
    for (size_t i = 0; i < f->r->rule_count; i++)
        for (size_t n = 0; n < targets_of(f, i); n++)
            plumb_item_uuid(p, &f->r->rules[i].quiz->targets[n].credential.id);
    plumb_array_end(p);
}

int rivals_bind(rivals_t *rivals, plumb_params_t *params, uint32_t rule_array, uint32_t rule_type,
                prepared_t *const *group, size_t count, int64_t now_ms, plumb_err_t *err)
{
    filling_t f = {rivals, params, group, count, now_ms, 0, false, false, false, now_ms};
    if (!make_room(rivals, group, count))
        return plumb_err_set(err, PLUMB_E_MEMORY, "decide on leads");
    for (uint32_t i = 0; i < count; i++)
        look_at(&f, i);
    order_rules(&f);
    for (uint32_t i = 0; i < count; i++)
        visit_keys(&f, i, meet_key);
    plumb_uuid_t low = id_floor(f.since_ms), high = id_floor(now_ms + AHEAD_MS);
    bind_all_locks(&f);
    bind_rules(&f, rule_array, rule_type);
    bind_terms(&f);
    bind_texts(&f, f.any_external, offsetof(lead_keys_t, external_id));
    bind_texts(&f, f.any_key, offsetof(lead_keys_t, route));
    bind_texts(&f, f.any_key, offsetof(lead_keys_t, key));
    bind_fields(&f, PLUMB_ARRAY_INT4, FIELD_LEAD);
    bind_fields(&f, PLUMB_ARRAY_TEXT, FIELD_NAME);
    bind_fields(&f, PLUMB_ARRAY_INT8, FIELD_TERM);
    bind_numbers(&f, is_silent);
    bind_credentials(&f);
    plumb_param_int4(params, (int32_t)f.looks);
    plumb_param_uuid(params, &low);
    plumb_param_uuid(params, &high);
    bind_numbers(&f, is_suspect);
    bind_numbers(&f, is_peer);
    return 0;
}
