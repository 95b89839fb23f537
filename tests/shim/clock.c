/* clock.c — a wall clock that can be set: what a process is told is the machine's, and as many seconds more or less as a file says
 * (LD_PRELOAD, CLOCK_FILE=path; the text of one whole number). Monotonic clocks go on as they are. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long seconds_more(void)
{
    char text[32] = "";
    const char *path = getenv("CLOCK_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 ? strtol(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *ret_at)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, ret_at);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        ret_at->tv_sec += seconds_more();
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
