# SPDX-License-Identifier: MIT
"""VARVE_DEBUG=1: every misuse ends in its sentence and an abort; correct programs notice nothing."""

import json
import os
import re
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import *

PRELUDE = """
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <new>
static volatile char sink;
__attribute__((noinline)) static char *make(size_t size) {
    char *block = (char *)malloc(size);
    asm volatile("" : "+r"(block));
    return block;
}
template <class T> static T hidden(T value) { asm volatile("" : "+r"(value)); return value; }
"""


def misuse(body, sentence, debug=True, traced=False):
    """Runs the body of a main(); it must abort with that sentence, a regular expression, as the
    first line of stderr. With the trace on, the lines behind it must name make()."""
    program = compile_c(PRELUDE + "int main() { " + body + " puts(\"survived\"); return 0; }",
                        "misuse", "-std=c++17", "-w", "-rdynamic", compiler="g++")
    environment = {"LD_PRELOAD": MALLOC}
    if debug:
        environment["VARVE_DEBUG"] = "1"
    folder = None
    if traced:
        folder = environment["VARVE_TRACE"] = tempfile.mkdtemp(dir="/dev/shm")
    try:
        result = run(program, env=environment)
    finally:
        if folder is not None:
            shutil.rmtree(folder)
    equal(result.code, -signal.SIGABRT, f"end of the program ({result.out}{result.err})")
    lines = result.err.split("\n")
    assert re.fullmatch(sentence, lines[0]), f"{lines[0]!r} is not {sentence!r}"
    if traced:
        equal(lines[1], "varve: it was allocated at")
        assert any("misuse" in line for line in lines[2:]), result.err


BLOCK = "block 0x[0-9a-f]+ of "


@claim
def double_free():
    misuse("char *b = make(10); free(b); free(b);", f"varve: double free of {BLOCK}10 bytes")
    misuse("char *b = make(10); free(b); free(b);", f"varve: double free of {BLOCK}10 bytes",
           traced=True)
    misuse("char *b = make(1); free(b); char *c = make(1); free(b);",
           f"varve: double free of {BLOCK}1 byte")
    for size in (40000, 100000, 5000000, 100000000):
        misuse(f"char *b = make({size}); free(b); free(b);", f"varve: double free of {BLOCK}{size} bytes")
    misuse("char *b = make(100000000); free(b); free(b);",
           f"varve: double free of {BLOCK}100000000 bytes", traced=True)


@claim
def double_free_of_a_big_block_that_is_long_gone():
    misuse("char *b = make(100000000); free(b); malloc_trim(0); free(b);",
           "varve: free of 0x[0-9a-f]+, which is not a block of varve", debug=False)


@claim
def double_free_through_realloc():
    misuse("char *b = make(10); free(b); b = (char *)realloc(b, 20);",
           f"varve: double free of {BLOCK}10 bytes")


@claim
def free_of_what_varve_did_not_allocate():
    misuse("free(hidden((void *)&sink));", "varve: free of 0x[0-9a-f]+, which is not a block of varve")
    misuse("int local; free(hidden(&local));",
           "varve: free of 0x[0-9a-f]+, which is not a block of varve", debug=False)


@claim
def free_of_an_address_inside_a_block():
    misuse("char *b = make(100); free(hidden(b + 16));",
           f"varve: free of 0x[0-9a-f]+, which is inside the {BLOCK}100 bytes")
    misuse("char *b = make(50000); free(hidden(b + 4096));",
           f"varve: free of 0x[0-9a-f]+, which is inside the {BLOCK}50000 bytes")
    misuse("char *b = make(5000000); free(hidden(b + 4000000));",
           f"varve: free of 0x[0-9a-f]+, which is inside the {BLOCK}5000000 bytes")
    misuse("char *b = make(100); free(hidden(b + 16));",
           f"varve: free of 0x[0-9a-f]+, which is inside the {BLOCK}100 bytes", traced=True)


@claim
def write_behind_the_end():
    misuse("char *b = make(10); b[10] = 1; free(b);",
           f"varve: write behind the end of {BLOCK}10 bytes")
    misuse("char *b = make(0); b[0] = 1; free(b);",
           f"varve: write behind the end of {BLOCK}0 bytes")
    misuse("char *b = make(100); strcpy(hidden(b + 95), \"six...\"); b = (char *)realloc(b, 500);",
           f"varve: write behind the end of {BLOCK}100 bytes")
    misuse("char *b = make(30000); b[30000] = 1; free(b);",
           f"varve: write behind the end of {BLOCK}30000 bytes")
    misuse("char *b = make(10); b[10] = 1; free(b);",
           f"varve: write behind the end of {BLOCK}10 bytes", traced=True)


@claim
def write_after_free_is_found_at_reuse():
    misuse("char *b = make(50); free(b); hidden(b)[7] = 1;"
           " for (int i = 0; i < 100000; i++) free(make(50));",
           f"varve: write to {BLOCK}50 bytes after it was freed")
    misuse("char *b = make(50); free(b); hidden(b)[0] = 1;"
           " for (int i = 0; i < 100000; i++) free(make(50));",
           f"varve: write to {BLOCK}50 bytes after it was freed", traced=True)


@claim
def use_of_a_big_block_after_free_faults():
    for size in (100000, 5000000, 60 << 20):
        for use in ("hidden(b)[70] = 1;", f"sink = hidden(b)[{size - 1}];"):
            program = compile_c(PRELUDE + f"int main() {{ char *b = make({size}); memset(b, 1, {size});"
                                f" free(b); char *c = make({size}); memset(c, 2, {size}); {use}"
                                " puts(\"survived\"); }", "late", "-std=c++17", "-w", compiler="g++")
            result = run(program, env={"LD_PRELOAD": MALLOC, "VARVE_DEBUG": "1"})
            equal(result.code, -signal.SIGSEGV, f"end of {use} in {size} bytes")


@claim
def big_blocks_that_wait_are_given_back_when_memory_is_short():
    program = compile_c(PRELUDE + """
int main(int, char **arguments) {
    size_t size = strtoul(arguments[1], nullptr, 10);
    for (size_t total = 0; total < 600 << 20; total += size) {
        char *block = make(size);
        if (block == nullptr) return 1;
        block[0] = block[size - 1] = 1;
        block = (char *)realloc(block, size + size / 4);
        if (block == nullptr) return 2;
        free(block);
    }
}
""", "scarce", "-std=c++17", "-w", compiler="g++")
    for size in (20 << 20, 100 << 20):
        run("sh", "-c", f"ulimit -v 400000; exec {program} {size}",
            env={"LD_PRELOAD": MALLOC, "VARVE_DEBUG": "1"}).must(0)


@claim
def mismatched_families():
    misuse("int *b = new int; free(hidden((void *)b));",
           f"varve: {BLOCK}4 bytes, allocated by operator new, was freed by free")
    misuse("char *b = make(8); delete hidden(b);",
           f"varve: {BLOCK}8 bytes, allocated by malloc, was freed by operator delete")
    misuse("int *b = new int[3]; delete hidden(b);",
           f"varve: {BLOCK}12 bytes, allocated by operator new\\[\\], was freed by operator delete")
    misuse("char *b = (char *)calloc(3, 3); operator delete[](hidden((void *)b));",
           f"varve: {BLOCK}9 bytes, allocated by calloc, was freed by operator delete\\[\\]")
    misuse("void *b = operator new(64, std::align_val_t(64)); operator delete(hidden(b));",
           f"varve: {BLOCK}64 bytes, allocated by aligned operator new, was freed by operator delete")


@claim
def wrong_size_in_a_sized_delete():
    misuse("void *b = operator new(24); operator delete(hidden(b), (size_t)32);",
           f"varve: sized operator delete of {BLOCK}24 bytes says 32 bytes")


@claim
def wrong_alignment_in_an_aligned_delete():
    for new, delete, said in ((64, 32, "32, not 64"), (64, 2048, "2048, not 64"),
                              (1024, 4096, "4096, not 1024"), (1 << 20, 64, "64, not 2048 or more")):
        misuse(f"void *b = operator new(24, std::align_val_t({new}));"
               f" operator delete(hidden(b), std::align_val_t({delete}));",
               f"varve: aligned operator delete of {BLOCK}24 bytes says an alignment of {said}")
    program = compile_c(PRELUDE + """
struct alignas(64) Wide { char bytes[192]; };
struct alignas(8192) Page { char bytes[8192]; };
int main() {
    Wide *volatile wide = new Wide;
    Wide *volatile several = new Wide[3];
    Page *volatile page = new Page;
    delete wide;
    delete[] several;
    delete page;
    operator delete(hidden(operator new(10, std::align_val_t(8))), std::align_val_t(16));
}
""", "aligned", "-std=c++17", "-w", compiler="g++")
    run(program, env={"LD_PRELOAD": MALLOC, "VARVE_DEBUG": "1"}).must(0)


@claim
def usable_size_of_something_else():
    misuse("int local; sink = (char)malloc_usable_size(hidden(&local));",
           "varve: 0x[0-9a-f]+ is not a block of varve")
    misuse("char *b = make(100); sink = (char)malloc_usable_size(hidden(b + 16));",
           "varve: 0x[0-9a-f]+ is not a block of varve")
    for size in (10, 100000):
        misuse(f"char *b = make({size}); free(b); sink = (char)malloc_usable_size(hidden(b));",
               f"varve: usable size of {BLOCK}{size} bytes, asked for after it was freed")


@claim
def new_memory_is_not_zero_and_freed_memory_is_overwritten():
    program = compile_c(PRELUDE + """
int main() {
    char *block = make(100);
    bool zero = true;
    for (int i = 0; i < 100; i++) zero = zero && block[i] == 0;
    memset(block, 5, 100);
    free(block);
    bool kept = true;
    for (int i = 0; i < 100; i++) kept = kept && ((volatile char *)block)[i] == 5;
    char *zeroed = (char *)calloc(100, 1);
    for (int i = 0; i < 100; i++) if (zeroed[i] != 0) return 3;
    return zero ? 1 : kept ? 2 : malloc_usable_size(make(77)) == 77 ? 0 : 4;
}
""", "fills", "-w", compiler="g++")
    run(program, env={"LD_PRELOAD": MALLOC, "VARVE_DEBUG": "1"}).must(0)


@claim
def a_capture_counts_no_block_that_waits():
    program = compile_c(PRELUDE + """
int main() {
    static char *kept[60];
    size_t sizes[] = {10, 1000, 40000, 100000, 5000000, 50000000};
    for (int i = 0; i < 60; i++) {
        char *block = (char *)realloc(make(sizes[i % 6]), sizes[i % 6] / 2);
        if (i % 7 == 0) kept[i] = block;
        else free(block);
    }
}
""", "waits", "-w", compiler="g++")
    names = ("peak_bytes", "live_bytes", "live_blocks", "total_bytes", "total_blocks")
    found = []
    for debug in ("0", "1"):
        varve("run", "-q", "-f", "-o", "waits.varve", "--", program, env={"VARVE_DEBUG": debug}).must()
        report = json.loads(varve("report", "--json", "waits.varve").must().out)
        found.append({name: report[name] for name in names})
    equal(found[1], found[0], "what a capture in debug mode says")


main()
