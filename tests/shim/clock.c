/* clock.c — a wall clock that can be set: what a process is told is the machine's, and as many seconds more or less as a file says
 * (LD_PRELOAD, CLOCK_FILE=path; the text of one whole number). Behind `=` the number is the time itself, in ms since 1970, and the clock
 * stands there until the file is written again. Monotonic clocks go on as they are. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void set(struct timespec *at)
{
    static int fd = -1;
    char text[32] = "";
    const char *path = getenv("CLOCK_FILE");
    if (fd < 0 && path)
        fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : pread(fd, text, sizeof text - 1, 0);
    if (n > 0 && text[0] == '=') {
        long long ms = strtoll(text + 1, NULL, 10);
        *at = (struct timespec){ ms / 1000, ms % 1000 * 1000000 };
    } else if (n > 0) {
        at->tv_sec += strtol(text, NULL, 10);
    }
}

/* The library's own asks no kernel: who looks at the clock often is slow otherwise. */
int clock_gettime(clockid_t clock, struct timespec *ret_at)
{
    static int (*machine)(clockid_t, struct timespec *);
    if (!machine)
        *(void **)&machine = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = machine(clock, ret_at);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        set(ret_at);
    return failed;
}

int gettimeofday(struct timeval *restrict ret_at, void *restrict zone)
{
    struct timespec at;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &at);
    *ret_at = (struct timeval){ at.tv_sec, at.tv_nsec / 1000 };
    return 0;
}

time_t time(time_t *ret_at)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (ret_at)
        *ret_at = at.tv_sec;
    return at.tv_sec;
}
