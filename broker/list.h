/* Circular lists whose links live in their elements: nothing to allocate, nothing to fail. */
#ifndef PLUMB_BROKER_LIST_H
#define PLUMB_BROKER_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct bk_link {
    struct bk_link *prev, *next; /* NULL: in no list */
} bk_link_t;

/* The element that holds `link` as `member`. */
#define BK_OF(type, member, link) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void bk_list_init(bk_link_t *head)
{
    head->prev = head;
    head->next = head;
}

static inline bool bk_list_empty(const bk_link_t *head)
{
    return head->next == head;
}

static inline bool bk_linked(const bk_link_t *link)
{
    return link->next != NULL;
}

static inline void bk_list_insert(bk_link_t *after, bk_link_t *link)
{
    link->prev = after;
    link->next = after->next;
    after->next->prev = link;
    after->next = link;
}

static inline void bk_list_append(bk_link_t *head, bk_link_t *link)
{
    bk_list_insert(head->prev, link);
}

/* Safe on an element that is in no list. */
static inline void bk_list_remove(bk_link_t *link)
{
    if (link->next == NULL)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->prev = NULL;
    link->next = NULL;
}

static inline bk_link_t *bk_list_first(const bk_link_t *head)
{
    return head->next == head ? NULL : head->next;
}

#endif
