/* list.h — intrusive doubly linked list; an item is in at most one list per link it embeds.
 *
 * A struct link that is in no list points to itself (link_init). A list head is a struct link too.
 * Nothing is allocated. Threading: whoever owns the list. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct link { struct link *next, *prev; };

#define link_of(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))
/* The item may be removed while visited; its neighbours may not. */
#define list_each(item, following, head) \
    for (struct link *item = (head)->next, *following = item->next; item != (head); item = following, following = item->next)

static inline void link_init(struct link *l)             { l->next = l->prev = l; }
static inline bool link_alone(const struct link *l)      { return l->next == l; }    /* as a head: the list is empty */
static inline struct link *list_first(struct link *head) { return link_alone(head) ? NULL : head->next; }
static inline void link_remove(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    link_init(l);
}
static inline void list_add_last(struct link *head, struct link *l)
{
    link_remove(l);
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}
/* All of `from` goes to the end of `to`; `from` is empty afterwards. */
static inline void list_move_all(struct link *to, struct link *from)
{
    if (link_alone(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    link_init(from);
}
