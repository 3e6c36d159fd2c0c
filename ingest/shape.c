/* A lead of a document: its defaults, its normal forms, its hash. */
#include "shape.h"

#include "api/input.h"
#include "canonical.h"
#include "count.h"
#include "email.h"
#include "phone.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static void set_defaults(plumb_lead_t *lead)
{
    static const plumb_slice_t no = {"false", 5}, yes = {"true", 4}, fresh = {"New", 3};
    if (lead->value[PLUMB_LEAD_STATUS].data == NULL)
        lead->value[PLUMB_LEAD_STATUS] = fresh;
    if (lead->value[PLUMB_LEAD_IS_TEST].data == NULL)
        lead->value[PLUMB_LEAD_IS_TEST] = no;
    lead->value[PLUMB_LEAD_VIEWED] = no;
    lead->value[PLUMB_LEAD_PAID] = yes;
    lead->value[PLUMB_LEAD_BLOCKED] = no;
}

void shape_pointer(char out[POINTER_MAX], const char *name)
{
    values_pointer(out, "/data", name);
}

bool shape_read(plumb_lead_t *lead, plumb_json_t *json, plumb_buf_t *texts, const plumb_buf_t *body,
                problems_t *problems)
{
    uint32_t data;
    *lead = (plumb_lead_t){.version = 1};
    api_input_t in = {.type = &api_types[API_LEADS],
                      .verb = PLUMB_ATTR_CREATE,
                      .scopes = ~0U, /* the route asked for them */
                      .json = json,
                      .texts = texts,
                      .problems = problems,
                      .at = "/data",
                      .value = lead->value};
    if (!api_input_document(&in, body, &data) || !api_input_resource(&in, data, NULL))
        return false;
    set_defaults(lead);
    return true;
}

/* ---- normalising ---- */

/* The two letters of a country that the sender gave; else "". */
static void country_hint(const plumb_lead_t *lead, char hint[3])
{
    const plumb_slice_t *country = &lead->value[PLUMB_LEAD_COUNTRY];
    snprintf(hint, 3, "%.*s", country->length == 2 ? 2 : 0,
             country->length == 2 ? country->data : "");
}

void shape_normalise_at(plumb_lead_t *lead, plumb_buf_t *texts, const char *at,
                        problems_t *problems)
{
    plumb_slice_t *phone = &lead->value[PLUMB_LEAD_PHONE];
    plumb_slice_t *email = &lead->value[PLUMB_LEAD_EMAIL];
    plumb_err_t err = {0};
    char country[3], number[PHONE_MAX], address[EMAIL_MAX];
    country_hint(lead, country);
    if (phone->data != NULL) {
        if (phone_normalise(number, phone->data, phone->length, country, &err) < 0)
            values_complain(problems, at, PLUMB_E_INVALID, "phone", err.text);
        else
            *phone = values_keep(texts, number, strlen(number));
    }
    if (email->data != NULL) {
        if (email_normalise(address, email->data, email->length, &err) < 0)
            values_complain(problems, at, PLUMB_E_INVALID, "email", err.text);
        else
            *email = values_keep(texts, address, strlen(address));
    }
}

void shape_normalise(plumb_lead_t *lead, plumb_buf_t *texts, problems_t *problems)
{
    shape_normalise_at(lead, texts, "/data", problems);
}

void shape_bound(const plumb_lead_t *lead, problems_t *problems)
{
    static const plumb_lead_attr_t bounded[] = {PLUMB_LEAD_PHONE, PLUMB_LEAD_EMAIL};
    for (size_t i = 0; i < PLUMB_COUNT(bounded); i++)
        if (lead->value[bounded[i]].length > plumb_lead_attrs[bounded[i]].max)
            values_too_long(problems, "/data", &plumb_lead_attrs[bounded[i]]);
}

/* ---- the canonical body ---- */

/* Append one value.  The name counts, not the row: the table may grow while answers are kept. */
static void put_value(plumb_buf_t *out, const plumb_attr_t *attr, const void *data, size_t length)
{
    uint64_t size = length;
    plumb_buf_put(out, attr->name, strlen(attr->name) + 1);
    plumb_buf_put(out, &size, sizeof size);
    plumb_buf_put(out, data, length);
}

int shape_hash(uint8_t hash[SHAPE_HASH], const plumb_lead_t *lead, const plumb_json_t *json,
               plumb_buf_t *all, plumb_buf_t *scratch, plumb_err_t *err)
{
    static const uint8_t key[crypto_shorthash_siphashx24_KEYBYTES] = {0};
    uint8_t digest[CANONICAL_DIGEST];
    plumb_buf_clear(all);
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        const plumb_attr_t *attr = &plumb_lead_attrs[i];
        const plumb_slice_t *value = &lead->value[i];
        if (value->data == NULL || (attr->flags & PLUMB_ATTR_CREATE) == 0)
            continue;
        if (attr->type != PLUMB_ATTR_JSON) {
            put_value(all, attr, value->data, value->length);
            continue;
        }
        canonical_digest(digest, json, plumb_json_at(json, value->data), scratch);
        put_value(all, attr, digest, sizeof digest);
    }
    if (all->failed || scratch->failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "hash a lead");
    crypto_shorthash_siphashx24(hash, (const uint8_t *)all->data, all->length, key);
    return 0;
}
