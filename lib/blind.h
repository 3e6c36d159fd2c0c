/* Blind indexes: what leads are found by although their personal data is sealed.
 *
 * A term is a keyed hash (BLAKE2b, cut to 64 bits) of one value under the account's index key
 * (plumb_vault_index_key), behind a byte that says which kind of value it is.  Equal values of one
 * account have equal terms, whatever key seals the leads; without the key a term tells nothing.
 *
 *   phone        its digits, so "+7 900 …" and "+7900…" are the same     leads.phone_term
 *   e-mail       without white space around it, ASCII in lower case      leads.email_term
 *   mail domain  likewise                                                leads.terms
 *   last digits  the last 4 of a phone                                   leads.terms
 *   name word    each word of the name as lib/fold.h has it              leads.terms
 *   data field   name and value of a field of `data`                     leads.terms
 *
 * An empty value has no term, so it never equals another. */
#ifndef PLUMB_BLIND_H
#define PLUMB_BLIND_H

#include "msg.h"
#include "seal.h"

#include <stdbool.h>
#include <stdint.h>

#define PLUMB_BLIND_WORDS 12 /* of a name; further ones are not indexed */
#define PLUMB_BLIND_TERMS 24 /* of a lead besides phone and e-mail */

/* The terms of one lead. */
typedef struct plumb_blind {
    bool has_phone, has_email;
    int64_t phone, email;
    size_t count;
    int64_t terms[PLUMB_BLIND_TERMS]; /* each once */
} plumb_blind_t;

/* The term of one value; false: it has none (no digit, no "local@domain"). */
bool plumb_blind_phone(int64_t *term, const plumb_key_t *key, const char *phone, size_t length);
bool plumb_blind_email(int64_t *term, const plumb_key_t *key, const char *email, size_t length);
bool plumb_blind_domain(int64_t *term, const plumb_key_t *key, const char *domain, size_t length);
bool plumb_blind_last_digits(int64_t *term, const plumb_key_t *key, const char *phone,
                             size_t length);

/* A field of `data`, by its name and its value as text; white space around the value does not
 * count. */
bool plumb_blind_field(int64_t *term, const plumb_key_t *key, const plumb_slice_t *name,
                       const plumb_slice_t *value);

/* All terms of a lead with these values (data NULL: none), except those of fields. */
void plumb_blind_lead(plumb_blind_t *blind, const plumb_key_t *key, const plumb_slice_t *name,
                      const plumb_slice_t *phone, const plumb_slice_t *email);

/* Add one term, unless it is there or there are PLUMB_BLIND_TERMS. */
void plumb_blind_add(plumb_blind_t *blind, int64_t term);

/* ---- searching ---- */

/* A lead is found when it has all of one group: the phone, the e-mail, every term. */
#define PLUMB_BLIND_GROUPS 8
typedef struct plumb_blind_search {
    size_t count; /* 0: the text asks for nothing that could be found */
    plumb_blind_t groups[PLUMB_BLIND_GROUPS];
} plumb_blind_search_t;

/* What a search text asks for.  Words stand for words of the name, all of them; four digits also
 * for the end of a phone; seven and more, with or without "+", blanks, brackets, for a phone (also
 * "8 900 …" and "00 7 …" for "+7 900 …"); "a@b" for a mail address, "@b" and "b.c" for its domain.
 */
void plumb_blind_search(plumb_blind_search_t *search, const plumb_key_t *key, const char *text,
                        size_t length);

#endif
