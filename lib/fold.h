/* Words as they are searched for: so that a name is found however it was typed.
 *
 * A word is a run of letters and digits.  Case does not count, nor do marks on letters of the
 * Latin, Greek and Cyrillic alphabets, composed or not: "Ёлкин", "ёлкин" and "елкин" are one word,
 * as are "José" and "JOSE", "Андрей" and "андреи".  Apostrophes, joiners and soft hyphens are
 * passed over
 * ("O'Brien" is one word), every other sign ends a word ("Anna-Maria" is two).  Letters of other
 * scripts count as they are. */
#ifndef PLUMB_FOLD_H
#define PLUMB_FOLD_H

#include <stdbool.h>
#include <stddef.h>

#define PLUMB_FOLD_MAX 256 /* bytes of a word; what is longer is cut */

/* The next word of the text from `*at` to `end`, as UTF-8 without NUL; `*at` moves behind it.
 * False: there is none.  Bytes that are no UTF-8 end a word. */
bool plumb_fold_word(const char **at, const char *end, char word[PLUMB_FOLD_MAX], size_t *length);

#endif
