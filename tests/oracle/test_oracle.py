# SPDX-License-Identifier: MIT
"""CPython and a varve world run the same random programs alike, and a wrong world would be seen.

$VARVE_ORACLE_SEEDS: how many programs (default 6000)."""

import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import *

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cpython
import oracle
import program

DRIVER = os.path.join(BUILD, "tests", "oracle_driver")
LIE_SEEDS = 600
CONTENTS = re.compile("=[VKE][0-9]+:[2-9]:")


def needs_cpython():
    if sys.version_info[:2] != oracle.WANTED_VERSION:
        raise Skipped("the oracle is CPython 3.11")


def difference_under(*command, seeds=LIE_SEEDS):
    return oracle.run(list(command), range(1, seeds + 1))[1]


def must_be_the_same(seeds):
    count, difference = oracle.run([DRIVER], seeds)
    assert difference is None, "\n" + oracle.describe(oracle.minimise([DRIVER], difference))
    equal(count, len(seeds))


@claim
def thousands_of_random_programs_run_in_a_world_as_in_cpython():
    needs_cpython()
    must_be_the_same(range(1, int(os.environ.get("VARVE_ORACLE_SEEDS", "6000")) + 1))


@claim
def programs_that_no_run_before_had_run_alike_too():
    needs_cpython()
    first = int(os.environ.get("VARVE_TEST_SEED", random.SystemRandom().randrange(10**9, 10**12)))
    must_be_the_same(range(first, first + 1000))


@claim
def steps_of_a_collection_free_garbage_and_nothing_else():
    needs_cpython()
    seeds = range(1, 2001)
    count, difference = oracle.run([DRIVER], seeds, check=oracle.check_steps)
    assert difference is None, "\n" + oracle.describe(
        oracle.minimise([DRIVER], difference, oracle.check_steps))
    equal(count, len(seeds))
    assert oracle.run([DRIVER, "--lie", "leak"], seeds, check=oracle.check_steps)[1]


@claim
def every_kind_of_wrong_answer_is_seen():
    needs_cpython()
    for lie in ("count", "leak", "callback", "finalizer", "tracked", "entry", "outside"):
        assert difference_under(DRIVER, "--lie", lie), f"the lie about {lie} was not seen"


@claim
def a_failing_program_is_made_small_and_shown():
    needs_cpython()
    command = [DRIVER, "--lie", "count"]
    difference = difference_under(*command)
    smallest = oracle.minimise(command, difference)
    assert len(smallest.program.operations) <= 10, oracle.describe(smallest)
    contains(oracle.describe(smallest), "collect")
    for index in range(len(smallest.program.operations)):
        operations = smallest.program.operations[:index] + smallest.program.operations[index + 1:]
        one_less = program.Program(smallest.program.seed, smallest.program.automatic, operations)
        equal(oracle.check(command, [one_less]), None)


@claim
def a_driver_that_dies_is_a_difference():
    needs_cpython()
    with open("dies", "w") as file:
        file.write(f"#!/bin/sh\n{DRIVER} | head -c 3000\necho 'varve: gone' >&2\nkill -ABRT $$\n")
    os.chmod("dies", 0o755)
    difference = difference_under(os.path.abspath("dies"))
    contains(difference.found[-1], "varve: gone")


@claim
def the_programs_reach_what_they_are_for():
    """Else "no difference" would say little."""
    needs_cpython()
    cpython.prepare()
    counts = {}
    for seed in range(1, 501):
        for line in cpython.run(program.generate(seed)):
            name, *tokens = line.split(" ")
            place = "collection" if any(token.startswith("=collected=") for token in tokens) \
                else "other"
            for token in tokens:
                key = (place, token[0] if token[0] != "=" else token.rstrip("0123456789-,"))
                if CONTENTS.match(token):  # with two entries at least
                    key = (place, "contents")
                counts[key] = counts.get(key, 0) + 1
    for key, least in {("collection", "d"): 500, ("collection", "f"): 80, ("collection", "c"): 20,
                       ("collection", "g"): 5, ("collection", "u"): 5, ("other", "d"): 2000,
                       ("other", "f"): 200, ("other", "c"): 100, ("other", "=frozen="): 20,
                       ("collection", "x"): 5, ("other", "x"): 100, ("collection", "contents"): 20,
                       ("other", "contents"): 5, ("other", "=none"): 30,
                       ("other", "=unhashable"): 20, ("other", "=unsupported"): 10}.items():
        assert counts.get(key, 0) >= least, f"{key}: {counts.get(key, 0)} of {least}"


main()
