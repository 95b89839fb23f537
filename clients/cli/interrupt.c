#define _GNU_SOURCE      /* pipe2 */
#include "clients/cli/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static volatile sig_atomic_t came;
static int ends[2] = { -1, -1 };

static void on_signal(int number)
{
    int before = errno;
    came = number;
    if (write(ends[1], "", 1) < 0) { /* it is readable already */ }
    errno = before;
}

/* A standard descriptor that was closed would be the next one that is opened, a socket perhaps: it shall fail, as closed ones do. */
static void hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            abort();
}

void interrupt_setup(void)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };     /* no SA_RESTART: a write that is stuck ends too */
    hold_standard_descriptors();
    if (ends[0] < 0 && pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        abort();
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int interrupt_signal(void) { return came; }
int interrupt_fd(void)     { return ends[0]; }
