#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""CPython is the oracle: random programs run in this CPython's gc and weakref and in a varve world,
and what they say must be the same.

    tests/oracle/oracle.py [--first SEED] [--seeds N] [--driver FILE] [--seconds S] [--keep-going]

At the first difference it prints the program, made as small as it gets, and both answers. Exit code:
0 the same, 1 a difference, 2 could not start.

What is compared, and what is not because it is not specified, is in docs/cpython-gc.md.
"""
import argparse
import os
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import cpython
import program as programs

BATCH = 200
WANTED_VERSION = (3, 11)


class Difference(Exception):
    """A program for which the answers differ, with both."""

    def __init__(self, program, expected, found):
        super().__init__(program.seed)
        self.program, self.expected, self.found = program, expected, found


def drive(driver, batch):
    """The driver's lines of each program; that in which it died has the reason as its last line,
    and those after it are missing."""
    done = subprocess.run(driver, input="".join(program.text() for program in batch),
                          capture_output=True, text=True, timeout=300)
    answers, lines = [], None
    for line in done.stdout.splitlines():
        if line.startswith("P "):
            lines = []
        elif line == "E":
            answers.append(lines)
            lines = None
        else:
            lines.append(line)
    if len(answers) < len(batch) or done.returncode != 0:
        answers.append((lines or []) + [f"died with {done.returncode}: {done.stderr.strip()}"])
    return answers


PHASES = ("end", "slots", "saved", "finish")  # lines of events that belong to no operation
EVENT = re.compile(r"[a-z](\d+)")


def canonical(line, is_exact):
    """The line without what is not specified: within one operation the events of different objects
    may come in any order (CPython: that of its lists, varve: that of addresses); those of one
    object may not. Unless everything happened in a full collection (`is_exact`), a weak reference
    that dies in the same operation as its object may or may not have called."""
    name, *tokens = line.split(" ")
    if not name.isdigit() and name not in PHASES:
        return [line, [], []]
    events = [token for token in tokens if not token.startswith("=")]
    if not is_exact:
        dead = {token[1:] for token in events if token[0] == "d"}
        events = [token for token in events if not (token[0] in "cq" and
                                                    callback_number(token) in dead)]
    events.sort(key=lambda token: int(EVENT.match(token)[1]))
    return [name, events, [token for token in tokens if token.startswith("=")]]


def callback_number(token):
    return token.partition(".")[2].partition(":")[0]


def exact_operations(program):
    """The numbers of the full collections with nothing frozen."""
    frozen, exact = False, set()
    for number, (code, a, *_) in enumerate(program.operations):
        frozen = code == programs.FREEZE or (frozen and code != programs.UNFREEZE)
        if code == programs.COLLECT and a == 2 and not frozen:
            exact.add(str(number))
    return exact


def same(program, expected, found):
    if expected == found:
        return True
    if len(expected) == len(found):
        exact = exact_operations(program)
        if all(left == right or canonical(left, left.split(" ")[0] in exact) ==
               canonical(right, right.split(" ")[0] in exact)
               for left, right in zip(expected, found)):
            return True
    return without_lost(program, expected) == without_lost(program, found)


def without_lost(program, lines):
    """All lines in canonical form, without those of which nothing is left."""
    exact = exact_operations(program)
    forms = [canonical(line, line.split(" ")[0] in exact) for line in lines]
    return [form for form in forms if form[1] or form[2] or " " in form[0]]


def check(driver, batch):
    """Raises the first difference."""
    answers = drive(driver, batch)
    for index, program in enumerate(batch):
        expected = cpython.run(program)
        if index >= len(answers):
            raise Difference(program, expected, ["no answer"])
        if not same(program, expected, answers[index]):
            raise Difference(program, expected, answers[index])


def difference_of(driver, program):
    try:
        check(driver, [program])
    except Difference as difference:
        return difference
    return None


def minimise(driver, difference):
    """The smallest program found, by leaving out operations while there is a difference. Numbers of
    slots stay as they are."""
    found = difference_of(driver, difference.program)
    if found is None:
        return difference  # only together with those before it
    step = max(1, len(found.program.operations) // 2)
    while step > 0:
        changed, start = False, 0
        while start < len(found.program.operations):
            operations = found.program.operations
            smaller = programs.Program(found.program.seed, found.program.automatic,
                                       operations[:start] + operations[start + step:])
            smaller_found = difference_of(driver, smaller)
            if smaller_found is not None:
                found, changed = smaller_found, True
            else:
                start += step
        step = step if changed and step == 1 else step // 2
    return found


def describe(difference):
    program = difference.program
    exact = exact_operations(program)
    lines = [program.describe(), "", "CPython (-) and varve (+):"]
    expected, found = difference.expected, difference.found
    for index in range(max(len(expected), len(found))):
        left = expected[index] if index < len(expected) else None
        right = found[index] if index < len(found) else None
        is_same = left == right or left and right and (
            canonical(left, left.split(" ")[0] in exact) ==
            canonical(right, right.split(" ")[0] in exact))
        lines += [f"  {left}"] if is_same else [f"- {left}", f"+ {right}"]
    return "\n".join(lines)


def run(driver, seeds, seconds=None):
    """Compares the programs of the seeds; returns how many. Raises Difference."""
    cpython.prepare()
    end = time.monotonic() + seconds if seconds else None
    count, batch = 0, []
    for seed in seeds:
        batch.append(programs.generate(seed))
        if len(batch) == BATCH:
            check(driver, batch)
            count, batch = count + len(batch), []
            if end and time.monotonic() > end:
                return count
    if batch:
        check(driver, batch)
    return count + len(batch)


def default_driver():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    build = os.environ.get("VARVE_BUILD", os.path.join(root, "build"))
    return os.path.join(build, "tests", "oracle_driver")


def main():
    parser = argparse.ArgumentParser(description="CPython's gc against varve's", allow_abbrev=False)
    parser.add_argument("--first", type=int, default=1, metavar="SEED")
    parser.add_argument("--seeds", type=int, default=10000, metavar="N")
    parser.add_argument("--seconds", type=float, help="end after so long")
    parser.add_argument("--driver", default=default_driver(), metavar="FILE")
    parser.add_argument("--show", action="store_true", help="print the first program, run nothing")
    options = parser.parse_args()
    if sys.version_info[:2] != WANTED_VERSION:
        sys.exit("oracle.py: this is not CPython 3.11, so its answers would be different ones")
    if options.show:
        print(programs.generate(options.first).describe())
        return 0
    if not os.path.isfile(options.driver):
        print(f"oracle.py: {options.driver} is not built", file=sys.stderr)
        return 2
    try:
        seeds = range(options.first, options.first + options.seeds)
        print(f"{run([options.driver], seeds, options.seconds)} programs, no difference")
        return 0
    except Difference as difference:
        print(f"seed {difference.program.seed} differs; making it smaller", file=sys.stderr)
        print(describe(minimise([options.driver], difference)))
        return 1


if __name__ == "__main__":
    sys.exit(main())
