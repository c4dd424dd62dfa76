# SPDX-License-Identifier: MIT
"""The domain mmap: what programs map themselves, against a model that knows each page."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import *
from recording import *

MIB = 1 << 20
HEAD = """#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#define KIB 1024ul
#define MIB (1024 * KIB)
#define READ_WRITE (PROT_READ | PROT_WRITE)
#define MEMORY (MAP_PRIVATE | MAP_ANONYMOUS)
"""


def record_source(source, *arguments, **others):
    return record(compile_c(HEAD + source, "program", "-pthread"), *arguments, **others)


def mappings(view, *words):
    return report("--domain", "mmap", "--by", "function", "--view", view, *words, "out.varve")


def bytes_by_function(view):
    return {row["function"]: row["bytes"] for row in mappings(view)["rows"] if row["bytes"] != 0}


FOUR_CALLS = """
static char *map(void) { return mmap(NULL, 10 * MIB, READ_WRITE, MEMORY, -1, 0); }
static char *reserve(void) { return mmap(NULL, 1024 * MIB, PROT_NONE, MEMORY, -1, 0); }
static void open_one(char *from) { mprotect(from + 40 * KIB, MIB, READ_WRITE); }
static char *grow(char *from) { return mremap(from, 10 * MIB, 30 * MIB, MREMAP_MAYMOVE); }
int main(void) {
    char *kept = map();
    char *reserved = reserve();
    open_one(reserved);
    kept = grow(kept);
    munmap(kept + 5 * MIB, 5 * MIB);
    mprotect(reserved + 80 * KIB, 20 * KIB, PROT_NONE);
    mprotect(kept, MIB, PROT_READ | PROT_EXEC); /* still holds its memory */
    free(malloc(100));
    return 0;
}
"""


@claim
def mappings_are_counted_by_who_made_them():
    record_source(FOUR_CALLS)
    equal(bytes_by_function("live"), {"grow": 25 * MIB, "open_one": MIB - 20 * 1024})
    equal(bytes_by_function("peak"), {"grow": 30 * MIB, "open_one": MIB})
    equal(bytes_by_function("total"), {"map": 10 * MIB, "grow": 30 * MIB, "open_one": MIB})
    data = mappings("peak")
    equal((data["domain"], data["mapped_peak_bytes"], data["mapped_live_bytes"]),
          ("mmap", 31 * MIB, 26 * MIB - 20 * 1024))
    equal(sum(row["blocks"] for row in data["rows"]), 2, "mappings at the peak")


@claim
def mappings_are_in_no_sum_of_blocks():
    record_source(FOUR_CALLS)
    data = report("--view", "total", "out.varve")
    equal((data["domain"], data["total_bytes"], data["total_blocks"], data["peak_bytes"]),
          ("malloc", 100, 1, 100))
    equal([row["bytes"] for row in data["rows"]], [100])
    equal(sum(size["allocations"] for size in data["sizes"]), 1)


@claim
def the_summary_shows_both():
    program = compile_c(HEAD + FOUR_CALLS)
    err = varve("run", "-f", "-o", "out.varve", "--", program).must().err
    assert "  mapped     31.0 MiB in 2 mappings of its own" in err, err
    assert "at the peak of mappings, by line" in err, err
    assert "  mapped  " not in varve("run", "-f", "-o", "out.varve", "--", "/bin/true").must().err


@claim
def files_and_what_replaces_memory_do_not_count():
    record_source("""
    int main(int count, char **words) {
        FILE *file = fopen(words[0], "r");
        char *memory = mmap(NULL, 8 * MIB, READ_WRITE, MEMORY, -1, 0);
        mmap(NULL, 16 * KIB, PROT_READ, MAP_PRIVATE, fileno(file), 0);
        mmap(memory + MIB, 16 * KIB, PROT_READ, MAP_PRIVATE | MAP_FIXED, fileno(file), 0);
        mmap(memory + 2 * MIB, MIB, PROT_NONE, MEMORY | MAP_FIXED, -1, 0);
        mmap(memory + 4 * MIB, MIB, READ_WRITE, MEMORY | MAP_FIXED, -1, 0);
        (void)count;
        return 0;
    }
    """)
    equal(bytes_by_function("live"), {"main": 8 * MIB - 16 * 1024 - MIB})
    equal(bytes_by_function("peak"), {"main": 8 * MIB})
    equal(bytes_by_function("total"), {"main": 9 * MIB})


@claim
def calls_that_fail_say_so_and_change_nothing():
    record_source("""
    int main(void) {
        char *memory = mmap(NULL, MIB, READ_WRITE, MEMORY, -1, 0);
        errno = 77;
        if (mprotect(memory, MIB, PROT_READ) != 0 || errno != 77) return 1;
        if (mmap(NULL, 0, READ_WRITE, MEMORY, -1, 0) != MAP_FAILED || errno != EINVAL) return 2;
        if (munmap(memory + 1, MIB) != -1 || errno != EINVAL) return 3;
        if (mprotect(memory + 1, MIB, PROT_NONE) != -1 || errno != EINVAL) return 4;
        if (mremap(memory, MIB, 1ul << 46, 0) != MAP_FAILED || errno != ENOMEM) return 5;
        if (mremap(memory, MIB, 2 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED, memory) != MAP_FAILED) return 6;
        return 0;
    }
    """)
    equal(bytes_by_function("live"), {"main": MIB})
    equal(bytes_by_function("total"), {"main": MIB})


@claim
def a_child_has_what_its_parent_mapped():
    record_source("""
    static char *before(void) { return mmap(NULL, 3 * MIB, READ_WRITE, MEMORY, -1, 0); }
    static void after(void) { mmap(NULL, MIB, READ_WRITE, MEMORY, -1, 0); }
    int main(void) {
        char *memory = before();
        if (fork() == 0) {
            munmap(memory, MIB);
            after();
            exit(0);
        }
        wait(NULL);
        return 0;
    }
    """)
    equal(bytes_by_function("live"), {"before": 3 * MIB})
    child, = [name for name in os.listdir(".") if name.startswith("out.program.")]
    data = report("--domain", "mmap", "--by", "function", "--view", "live", child)
    equal({row["function"]: row["bytes"] for row in data["rows"]},
          {"before": 2 * MIB, "after": MIB})
    equal(data["mapped_peak_bytes"], 3 * MIB, "the peak of the child")
    os.remove(child)


@claim
def a_handler_that_interrupts_may_map():
    record_source("""
    static volatile int left = 200;
    static void handler(int number) {
        void *page = mmap(NULL, 4 * KIB, READ_WRITE, MEMORY, -1, 0);
        if (page == MAP_FAILED) abort();
        munmap(page, 4 * KIB);
        left--;
        (void)number;
    }
    int main(void) {
        struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
        timer_t timer;
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
        struct itimerspec often = {{0, 50000}, {0, 50000}};
        sigaction(SIGUSR1, &action, NULL);
        timer_create(0, &event, &timer);
        timer_settime(timer, 0, &often, NULL);
        while (left > 0) {
            void *page = mmap(NULL, 4 * KIB, READ_WRITE, MEMORY, -1, 0);
            munmap(page, 4 * KIB);
            free(malloc(100));
        }
        timer_delete(timer);
        return 0;
    }
    """)


# Random calls on a region of 64 pages for each thread. The model: for each page whether it is
# mapped as memory, and whether it counts. Printed: what must be live at the end, and, with one
# thread, the most that was.
MODEL = """
#define PAGES 64
#define PAGE (4 * KIB)
enum state { NOTHING, RESERVED, COUNTS };
struct region { char *base; unsigned seed; enum state pages[PAGES]; long most; };
static long live(const struct region *region) {
    long count = 0;
    for (int page = 0; page < PAGES; page++) count += region->pages[page] == COUNTS;
    return count;
}
static unsigned pick(struct region *region, unsigned below) {
    return (unsigned)rand_r(&region->seed) % below;
}
static void set(struct region *region, unsigned first, unsigned count, enum state state) {
    for (unsigned page = first; page < first + count; page++) region->pages[page] = state;
}
static int is_whole(const struct region *region, unsigned first, unsigned count) {
    for (unsigned page = first; page < first + count; page++) {
        if (region->pages[page] == NOTHING) return 0;
    }
    return 1;
}
/* mprotect changes the pages up to the first that is not mapped, and fails: so only on whole ones. */
static void protect(struct region *region, unsigned first, unsigned count) {
    static const int protections[] = {PROT_NONE, PROT_READ, READ_WRITE};
    unsigned choice = pick(region, 3);
    if (!is_whole(region, first, count)) return;
    if (mprotect(region->base + first * PAGE, count * PAGE, protections[choice]) != 0) abort();
    if (choice == 0) set(region, first, count, RESERVED);
    if (choice == 2) set(region, first, count, COUNTS);
}
/* One page, which is one mapping for the kernel, too. */
static void move(struct region *region, unsigned from, unsigned to) {
    char *target = region->base + to * PAGE;
    if (from == to || region->pages[from] == NOTHING) return;
    if (mremap(region->base + from * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) !=
        target) {
        abort();
    }
    region->pages[to] = region->pages[from];
    region->pages[from] = NOTHING;
}
static void *work(void *argument) {
    struct region *region = argument;
    for (int round = 0; round < 3000; round++) {
        unsigned first = pick(region, PAGES);
        unsigned count = 1 + pick(region, PAGES - first);
        char *at = region->base + first * PAGE;
        switch (pick(region, 5)) {
        case 0:
            if (mmap(at, count * PAGE, READ_WRITE, MEMORY | MAP_FIXED, -1, 0) != at) abort();
            set(region, first, count, COUNTS);
            break;
        case 1:
            if (mmap(at, count * PAGE, PROT_NONE, MEMORY | MAP_FIXED, -1, 0) != at) abort();
            set(region, first, count, RESERVED);
            break;
        case 2:
            if (munmap(at, count * PAGE) != 0) abort();
            set(region, first, count, NOTHING);
            break;
        case 3: protect(region, first, count); break;
        default: move(region, first, pick(region, PAGES));
        }
        if (live(region) > region->most) region->most = live(region);
    }
    return NULL;
}
int main(int count, char **words) {
    static struct region regions[4];
    pthread_t threads[4];
    int thread_count = atoi(words[1]);
    long pages = 0;
    /* A page more on either side keeps other mappings of the process away. */
    for (int index = 0; index < thread_count; index++) {
        regions[index].seed = (unsigned)atoi(words[2]) * 4 + (unsigned)index;
        regions[index].base = mmap(NULL, (PAGES + 2) * PAGE, PROT_NONE, MEMORY, -1, 0);
        if (regions[index].base == MAP_FAILED) return 1;
        regions[index].base += PAGE;
        for (int page = 0; page < PAGES; page++) regions[index].pages[page] = RESERVED;
    }
    for (int index = 1; index < thread_count; index++) {
        pthread_create(&threads[index], NULL, work, &regions[index]);
    }
    work(&regions[0]);
    for (int index = 1; index < thread_count; index++) pthread_join(threads[index], NULL);
    for (int index = 0; index < thread_count; index++) pages += live(&regions[index]);
    printf("%ld %ld\\n", pages * PAGE, regions[0].most * PAGE);
    (void)count;
    return 0;
}
"""


def run_model(thread_count, seed):
    out = record_source(MODEL, str(thread_count), str(seed)).out
    live, most = map(int, out.split())
    data = mappings("live")
    equal(data["mapped_live_bytes"], live, f"live, {thread_count} threads, seed {seed}")
    equal(sum(row["bytes"] for row in data["rows"]), live, "sum of the rows")
    equal(data["lost_events"], 0, "events that were lost")
    if thread_count == 1:
        equal(data["mapped_peak_bytes"], most, f"peak, seed {seed}")


@claim
def random_calls_agree_with_a_model_of_pages():
    for seed in range(1, 6):
        run_model(1, seed)


@claim
def threads_that_map_at_the_same_time_agree_with_their_models():
    for seed in range(1, 4):
        run_model(4, seed)


@claim
def nonsense_is_answered():
    record_source(FOUR_CALLS)
    err = varve("report", "--domain", "mmap", "--view", "temporary", "out.varve").must(2).err
    assert "has no view temporary" in err, err
    err = varve("report", "--domain", "mmpa", "out.varve").must(2).err
    assert "malloc" in err and "mmap" in err, err


main()
