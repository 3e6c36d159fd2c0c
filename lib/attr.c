/* Words of attributes. */
#include "attr.h"

#include <string.h>

const char *plumb_attr_word(const plumb_attr_t *attr, const char *text, unsigned long length)
{
    for (const char *const *word = attr->words; *word != NULL; word++)
        if (strlen(*word) == length && memcmp(*word, text, length) == 0)
            return *word;
    return NULL;
}
