#include "hub/base/machine.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number in a file; SIZE_MAX when there is none ("max"), or no such file. */
static size_t number_in(const char *path)
{
    unsigned long long number;
    FILE *file = fopen(path, "re");
    bool found = file && fscanf(file, "%llu", &number) == 1;
    if (file)
        fclose(file);
    return found && number < SIZE_MAX ? (size_t)number : SIZE_MAX;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* cgroups(7), v2: the limit of each group on the way from ours ("/a/b") to the root; the root of a container may have one too. */
static size_t group_limit(char *group)
{
    char path[4200];
    size_t found = SIZE_MAX;
    for (char *end = group + strlen(group); end; end = strrchr(group, '/')) {
        *end = '\0';
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
        found = least(found, number_in(path));
    }
    return found;
}

static size_t cgroup_memory(void)
{
    char line[4096];
    size_t found = number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes");      /* v1 */
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (!strncmp(line, "0::", 3))
            found = least(found, group_limit(line + 3));
    }
    if (file)
        fclose(file);
    return found;
}

size_t machine_memory(void)
{
    size_t physical = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    return least(physical, cgroup_memory());
}

/* proc(5), /proc/pid/statm: size and resident, in pages. */
/* Open for good, so that it can be read when there are no descriptors left. */
static int statm;
static void open_statm(void) { statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC); }

size_t machine_resident(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char text[128];
    unsigned long long size, resident;
    pthread_once(&once, open_statm);
    ssize_t n = statm >= 0 ? pread(statm, text, sizeof text - 1, 0) : -1;
    if (n <= 0)
        return 0;
    text[n] = '\0';
    return sscanf(text, "%llu %llu", &size, &resident) == 2 ? (size_t)resident * (size_t)sysconf(_SC_PAGESIZE) : 0;
}
