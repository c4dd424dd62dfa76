# SPDX-License-Identifier: MIT
"""Names of functions where libvarve-symbols.so is not found."""

import ctypes
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import *

PROGRAM = """
#include <varve/varve.h>
#include <stdio.h>
static void print(const char *text, size_t length, void *argument) {
    (void)argument;
    fwrite(text, 1, length, stdout);
}
int leak_here(void *argument);
#ifndef ELSEWHERE
int leak_here(void *argument) {
    return argument != NULL || varve_malloc(100) == NULL;
}
#endif
int main(void) {
    varve_leak_report report;
    if (varve_leak_check(leak_here, NULL, NULL, &report) != 0) return 1;
    varve_leak_report_write(&report, print, NULL);
    return 0;
}
"""
LIBRARY = """
#include <varve/varve.h>
int leak_here(void *argument) {
    return argument != NULL || varve_malloc(100) == NULL;
}
"""
INCLUDE = f"-I{SOURCE}/include"


def row(program, **environment):
    """The line of the report that names the leak's place."""
    return run(program, env=environment).must().out.splitlines()[1]


def leaky(*flags):
    try:
        ctypes.CDLL("libvarve-symbols.so")
    except OSError:
        return compile_c(PROGRAM, "leaky", INCLUDE, *flags)
    raise Skipped("libvarve-symbols.so is installed")


@claim
def a_statically_linked_program_has_addresses_or_lines():
    program = leaky(f"{BUILD}/lib/libvarve.a")
    assert re.fullmatch(r"  leaky\+0x[0-9a-f]+: \+100 B in 1.0 blocks", row(program)), row(program)
    assert re.fullmatch(r"  .*leaky.c:\d+: \+100 B in 1.0 blocks",
                        row(program, LD_LIBRARY_PATH=f"{BUILD}/lib"))


@claim
def dynamic_symbols_are_names():
    program = leaky(f"{BUILD}/lib/libvarve.a", "-rdynamic")
    equal(row(program), "  leak_here: +100 B in 1.0 blocks")


@claim
def a_library_that_was_copied_away_names_functions_of_other_libraries():
    shutil.copy(f"{BUILD}/lib/libvarve.so.0", "libvarve.so.0")
    compile_c(LIBRARY, "libelsewhere.so", INCLUDE, "-shared", "-fPIC", "-g0")
    program = leaky("-DELSEWHERE", "./libelsewhere.so", "libvarve.so.0", "-Wl,-rpath,$ORIGIN")
    equal(row(program), "  leak_here: +100 B in 1.0 blocks")


main()
