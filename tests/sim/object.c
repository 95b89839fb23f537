#include "tests/sim/object.h"

#include "tests/sim/listener.h"

#include <stdlib.h>

bool object_init(struct object *object, struct slice text)
{
    *object = (struct object){ 0 };
    return json_object_parse(text, &object->members) == 0;
}

void object_fini(struct object *object) { buf_fini(&object->strings); }

struct slice object_get(const struct object *object, const char *member) { return json_member_find(&object->members, member); }

bool object_has(const struct object *object, const char *member) { return object_get(object, member).at != NULL; }

const char *object_string(struct object *object, const char *member)
{
    struct slice value = object_get(object, member);
    buf_reset(&object->strings);
    if (!value.at || json_unquote(value, &object->strings))
        return "";
    buf_add_char(&object->strings, '\0');
    return object->strings.at;
}

bool object_true(const struct object *object, const char *member) { return slice_is(object_get(object, member), SLICE("true")); }

int object_int(const struct object *object, const char *member)
{
    uint64_t n = 0;
    slice_u64(object_get(object, member), &n);
    return (int)n;
}

int object_channel(struct object *object) { return name_find(slice_of(object_string(object, "channel"))); }

uint32_t object_tag(struct object *object)
{
    struct slice data = object_get(object, "data");
    if (data.len > 0 && data.at[0] == '{')
        return payload_tag(data.at, data.len);
    const char *text = object_string(object, "data");
    return payload_tag(text, strlen(text));
}

struct channels {
    const char *flag;
    uint16_t     mask;
};

static int add_channel(void *arg, struct slice value)
{
    struct channels *channels = arg;
    struct object item;
    struct buf name = { 0 };
    bool counts = true;
    if (object_init(&item, value)) {
        counts = !channels->flag || object_true(&item, channels->flag);
        buf_add_str(&name, object_string(&item, "channel"));
        object_fini(&item);
    } else if (json_unquote(value, &name)) {
        counts = false;
    }
    int c = name_find(buf_slice(&name));
    if (counts && c != NO_CHANNEL)
        channels->mask |= (uint16_t)(1 << c);
    buf_fini(&name);
    return 0;
}

uint16_t object_channels(const struct object *object, const char *flag)
{
    struct channels channels = { flag, 0 };
    struct slice array = object_get(object, "channels");
    if (array.at)
        json_array_each(array, add_channel, &channels);
    return channels.mask;
}
