/* own_dir.h — a folder that belongs to one test: made in TMPDIR (/tmp without it), gone with all that is in it afterwards.
 *
 * Made in a setup and removed in its teardown, it is also removed when the test fails: cmocka runs teardowns then too, and after a
 * signal such as SIGSEGV. A setup that fails after own_dir_make() has to remove it itself. A test that needs nothing but a folder has
 * IN_OWN_DIR(test), and the folder as its state. */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE     /* nftw */
#endif
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Longest path of the folder. Short, because paths of Unix sockets are: struct sockaddr_un has 108 bytes. */
enum { OWN_DIR_MAX = 80 };

struct own_dir {
    char path[OWN_DIR_MAX];      /* "": none */
};

/* 0, or -1: it could not be made, or TMPDIR is too long. */
static inline int own_dir_make(struct own_dir *dir)
{
    const char *where = getenv("TMPDIR");
    int n = snprintf(dir->path, sizeof dir->path, "%s/carillon-unit-XXXXXX", where && *where ? where : "/tmp");
    if (n > 0 && (size_t)n < sizeof dir->path && mkdtemp(dir->path))
        return 0;
    dir->path[0] = '\0';
    return -1;
}

static inline int own_dir_remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

/* Twice is fine, and without one. */
static inline void own_dir_remove(struct own_dir *dir)
{
    if (dir->path[0])
        nftw(dir->path, own_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    dir->path[0] = '\0';
}

/* Of a file in it. `file` has room for OWN_FILE_MAX. */
enum { OWN_FILE_MAX = OWN_DIR_MAX + 32 };
static inline char *own_dir_file(const struct own_dir *dir, const char *name, char *file)
{
    snprintf(file, OWN_FILE_MAX, "%s/%s", dir->path, name);
    return file;
}

static inline int own_dir_setup(void **state)
{
    struct own_dir *dir = *state = calloc(1, sizeof *dir);
    return own_dir_make(dir);
}

static inline int own_dir_teardown(void **state)
{
    own_dir_remove(*state);
    free(*state);
    return 0;
}

#define IN_OWN_DIR(test) cmocka_unit_test_setup_teardown(test, own_dir_setup, own_dir_teardown)
