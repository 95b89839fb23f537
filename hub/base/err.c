#include "hub/base/err.h"

struct err_info {
    const char *code, *text;
    int status, close;
};

static const struct err_info infos[] = {
#define ERR(name, code, status, close, text) { code, text, status, close },
#include "hub/base/err.def"
#undef ERR
};

static const struct err_info *info(int err)
{
    static const struct err_info ok = { "ok", "no error", 200, 1000 };
    if (err == 0)
        return &ok;
    if (err <= ERR_BASE || err >= ERR_END)
        err = ERR_INTERNAL;
    return &infos[err - ERR_BASE - 1];
}

const char *err_code(int err)       { return info(err)->code; }
const char *err_text(int err)       { return info(err)->text; }
int         err_status(int err)     { return info(err)->status; }
int         err_close_code(int err) { return info(err)->close; }
