# SPDX-License-Identifier: MIT
"""malloc and free as machine code: the same instructions as in a build without the trace layer, and
few of them on the way through. $VARVE_BUILD is the build without it."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import *

WITH_TRACE = os.path.join(SOURCE, "build", "lib", "libvarve-malloc.so")
FUNCTIONS = ["malloc", "calloc", "realloc", "free", "_Znwm", "_Znam", "_ZdlPv", "_ZdlPvm"]


def instructions(library, function):
    """Without addresses: what is jumped to or loaded is told by its symbol."""
    listing = run("objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", library).must()
    found = []
    for line in listing.out.split("\n"):
        match = re.match(r"^ +[0-9a-f]+:\t(.*)$", line)
        if match is None:
            continue
        text = re.sub(r"0x[0-9a-f]+\(%rip\)", "(%rip)", match[1].strip())
        text = re.sub(r"_GLOBAL_OFFSET_TABLE_\+0x[0-9a-f]+", "offset of the thread's data", text)
        text = re.sub(r"\b[0-9a-f]+ <", "<", text)
        found.append(re.sub(r"\s+", " ", text))
    assert found, f"{function} is not in {library}"
    return found


def length_until_return(function):
    """Instructions from the start to the first ret, which is the end of the fast path."""
    return instructions(WITH_TRACE, function).index("ret") + 1


@claim
def tracing_that_is_off_costs_no_instruction():
    if not os.path.exists(WITH_TRACE):
        raise Skipped("there is no default build to compare with")
    for function in FUNCTIONS:
        equal(instructions(WITH_TRACE, function), instructions(MALLOC, function), function)


@claim
def the_fast_path_of_malloc_stays_short():
    if not os.path.exists(WITH_TRACE):
        raise Skipped("there is no default build to look at")
    assert length_until_return("malloc") <= 22, instructions(WITH_TRACE, "malloc")
    assert length_until_return("free") <= 40, instructions(WITH_TRACE, "free")


main()
