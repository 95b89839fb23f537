#include "clients/cli/output.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "clients/cli/interrupt.h"

void output_fini(struct output *output) { buf_fini(&output->waiting); }

static enum output_state state_of(int error)
{
    return error == EPIPE ? OUTPUT_CLOSED : error == EINTR ? OUTPUT_INTERRUPTED : OUTPUT_BROKEN;
}

enum output_state output_flush(struct output *output)
{
    size_t at = 0;
    while (output->state == OUTPUT_GOOD && at < output->waiting.len) {
        ssize_t n = write(STDOUT_FILENO, output->waiting.at + at, output->waiting.len - at);
        if (n >= 0)
            at += (size_t)n;
        else if (errno == EAGAIN)
            poll(&(struct pollfd){ .fd = STDOUT_FILENO, .events = POLLOUT }, 1, -1);     /* somebody has made it so, whom it is shared with */
        else if (errno != EINTR || interrupt_signal())
            output->state = state_of(errno);
    }
    buf_reset(&output->waiting);
    return output->state;
}

enum output_state output_look(struct output *output)
{
    struct pollfd out = { .fd = STDOUT_FILENO };
    if (output->state == OUTPUT_GOOD && poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)) && !isatty(STDOUT_FILENO))
        output->state = OUTPUT_CLOSED;
    return output->state;
}
