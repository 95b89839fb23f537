/* scarce.c — memory that runs out when a test says so. Preloaded into a hub (LD_PRELOAD), it stands before malloc, calloc,
 * realloc and their kin, and lets a run of allocations fail: which, is written by the test into the file that SCARCE names,
 * which both have in memory (tests/e2e/lib/scarce.mjs).
 *
 * Allocations are counted while `armed` is not 0; those with first <= number < first + many and at least min_bytes long fail.
 * What is freed is freed. Allocations of the loader, before the file is there, are not counted. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef void *one_fn(size_t n);
typedef void *two_fn(size_t a, size_t b);
typedef void *again_fn(void *p, size_t n);

struct orders {
    _Atomic uint64_t armed, count, first, many, min_bytes, failed;
};

static struct orders *orders;

__attribute__((constructor)) static void read_orders(void)
{
    const char *path = getenv("SCARCE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    if (at != MAP_FAILED)
        orders = at;
}

static int refused(size_t bytes)
{
    if (!orders || !orders->armed)
        return 0;
    uint64_t number = atomic_fetch_add(&orders->count, 1) + 1;
    if (number < orders->first || number - orders->first >= orders->many || bytes < orders->min_bytes)
        return 0;
    atomic_fetch_add(&orders->failed, 1);
    errno = ENOMEM;
    return 1;
}

/* The one behind this one: libc's, or a sanitizer's. Looked up at its first use, which is earlier than any constructor. */
static void *behind(_Atomic(void *) *found, const char *name)
{
    void *fn = atomic_load(found);
    if (!fn)
        atomic_store(found, fn = dlsym(RTLD_NEXT, name));
    return fn;
}

#define BEHIND(type, name) ({ static _Atomic(void *) found; (type *)behind(&found, name); })

void *malloc(size_t n)                  { return refused(n) ? NULL : BEHIND(one_fn, "malloc")(n); }
void *calloc(size_t n, size_t size)     { return refused(n * size) ? NULL : BEHIND(two_fn, "calloc")(n, size); }
void *realloc(void *p, size_t n)        { return refused(n) ? NULL : BEHIND(again_fn, "realloc")(p, n); }
void *memalign(size_t align, size_t n)  { return refused(n) ? NULL : BEHIND(two_fn, "memalign")(align, n); }
void *aligned_alloc(size_t align, size_t n) { return refused(n) ? NULL : BEHIND(two_fn, "memalign")(align, n); }

int posix_memalign(void **ret, size_t align, size_t n)
{
    void *p = memalign(align, n);
    if (!p)
        return ENOMEM;
    *ret = p;
    return 0;
}
