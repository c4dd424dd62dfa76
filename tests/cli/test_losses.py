# SPDX-License-Identifier: MIT
"""What could not be recorded is counted, and the count is right."""

import glob
import json
import os
import resource
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import *
from recording import *

LEVELS = 13


def many_stacks():
    """Allocates 100 bytes on each of 2^LEVELS different stacks, twice."""
    lines = ["#include <stdlib.h>", f"static void *kept[{2 << LEVELS}];", "static int count;",
             f"static void a{LEVELS}(int path) {{ (void)path; kept[count++] = malloc(100); }}",
             f"static void b{LEVELS}(int path) {{ (void)path; kept[count++] = malloc(100); }}"]
    for level in reversed(range(LEVELS)):
        for name in "ab":
            lines.append(f"static void {name}{level}(int path) {{ (path >> {level} & 1 ? "
                         f"a{level + 1} : b{level + 1})(path); }}")
    lines.append(f"int main(void) {{ for (int path = 0; path < {2 << LEVELS}; path++) a0(path); }}")
    return compile_c("\n".join(lines) + "\n")


@claim
def allocations_whose_stacks_found_no_room_are_counted():
    count = 2 << LEVELS
    program = many_stacks()

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (700 * 1024, 700 * 1024))

    record(program)
    whole = report("--by", "traceback", "out.varve")
    equal((whole["merged_stacks"], whole["total_blocks"]), (0, count))
    record(program, preexec_fn=limit)
    data = report("--by", "function", "--view", "total", "out.varve")
    row = rows_by_function(data)["(trace tables full)"]
    assert 1000 < row["blocks"] < count, row["blocks"]
    equal(data["merged_stacks"], row["blocks"], "stacks that are not told apart")
    equal(data["total_blocks"] + data["lost_events"], count, "what is counted and what is lost")
    text = varve("report", "out.varve").must().out
    contains(text, f"note: {row['blocks']} allocations found the tables full")


@claim
def a_process_with_little_address_space_is_recorded_exactly():
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))

    record(compile_c(EXACT), preexec_fn=limit)
    data = report("out.varve")
    equal((data["peak_bytes"], data["live_bytes"], data["lost_events"], data["merged_stacks"]),
          (1001 + 21 + 5000 + 1000000, 1001 + 21 + 5000, 0, 0))


OWN_MALLOC = """
#include <stddef.h>
#include <string.h>
static char room[1 << 20];
static size_t used;
void *malloc(size_t size) {
    void *block = room + used;
    used += (size + 15) & ~(size_t)15;
    return block;
}
void free(void *block) { (void)block; }
void *calloc(size_t count, size_t size) { return memset(malloc(count * size), 0, count * size); }
void *realloc(void *block, size_t size) {
    void *moved = malloc(size);
    return block != NULL ? memcpy(moved, block, size) : moved;
}
int main(void) { return malloc(1000) == NULL; }
"""
USED_AS_POINTER = """
#include <stdlib.h>
void *(*volatile allocate)(size_t) = malloc;
int main(void) { return allocate(1000) == NULL; }
"""
# In a program at a fixed address, such as python3, the address that code takes is that of a jump in
# the program's own procedure linkage table: its symbol has a value, but no section.
TAKEN_BY_CODE = """
#include <stdlib.h>
int main(void) {
    void *(*volatile allocate)(size_t) = malloc;
    return allocate(1000) == NULL;
}
"""


@claim
def a_program_that_has_a_malloc_of_its_own_is_said_to():
    programs = (("own", OWN_MALLOC, True), ("used", USED_AS_POINTER, False),
                ("taken", TAKEN_BY_CODE, False))
    for name, source, expected in programs:
        for flags in ("-fno-pie -no-pie", "-fPIE -pie"):
            program = compile_c(source, name, *flags.split())
            record(program)
            equal(report("out.varve")["malloc_is_bypassed"], expected, name)
            equal("has a malloc of its own" in varve("report", "out.varve").must().out, expected)
            account = varve("stat", "--", program).must().err
            equal("has a malloc of its own" in account, expected, account)
            account = json.loads(varve("stat", "--json", "--", program).must().err)
            equal(account["malloc_is_bypassed"], int(expected), name)


@claim
def children_that_cannot_be_recorded_are_counted():
    if os.geteuid() != 0:
        raise Skipped("chroot needs root")
    os.mkdir("elsewhere")
    record(compile_c("""
    #define _GNU_SOURCE
    #include <stdlib.h>
    #include <sys/wait.h>
    #include <unistd.h>
    int main(int count, char **words) {
        void *kept = malloc(1000);
        if (kept == NULL || chroot(words[1]) != 0) return 1;
        for (int child = 0; child < 3; child++) {
            if (fork() == 0) return malloc(2000) == NULL;
            wait(NULL);
        }
        return count != 2;
    }
    """), os.path.abspath("elsewhere"))
    equal(report("out.varve")["unrecorded_children"], 3)
    contains(varve("report", "out.varve").must().out, "note: 3 forked children were not recorded")
    equal(glob.glob("out.program*"), [])


main()
