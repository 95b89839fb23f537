#include "hub/hub_event.h"

#include "hub/base/err.h"
#include "hub/base/name.h"

#include <stdlib.h>

static const struct {
    const char *text, *meaning;
    bool        has_channel;
} types[EVENT_TYPES] = {
#define EVENT_TYPE(name, text, has_channel, what) [EVENT_##name] = { text, what, has_channel },
#include "hub/event_types.def"
#undef EVENT_TYPE
};

struct hub_event *hub_event_new(enum event_type type, struct msg *m, const struct event_target *targets, size_t n)
{
    struct hub_event *event = malloc(sizeof *event + n * sizeof *targets);
    if (!event)
        return NULL;
    event->type = (uint8_t)type;
    event->n_targets = (uint16_t)n;
    event->msg = msg_ref(m);
    memcpy(event->targets, targets, n * sizeof *targets);
    return event;
}

void hub_event_free(struct hub_event *event)
{
    if (event)
        msg_unref(event->msg);
    free(event);
}

const char *event_type_text(enum event_type type)       { return types[type].text; }
const char *event_type_meaning(enum event_type type)    { return types[type].meaning; }
bool        event_type_has_channel(enum event_type type) { return types[type].has_channel; }

struct slice event_type_of(enum event_type type, const struct msg *m)
{
    return type == EVENT_OWN ? msg_event(m) : slice_of(types[type].text);
}

enum event_type event_type_find(struct slice name)
{
    int i = 0;
    while (i < EVENT_OWN && !slice_is(name, slice_of(types[i].text)))
        i++;
    return (enum event_type)i;
}

int event_type_check(struct slice name)
{
    static const char *const ours[] = { "message.", "channel.", "member.", "room.", "webhook." };
    int err = event_name_check(name);
    for (size_t i = 0; i < sizeof ours / sizeof *ours && !err; i++)
        err = slice_begins(name, slice_of(ours[i])) ? ERR_BAD_EVENT : 0;
    return err;
}
