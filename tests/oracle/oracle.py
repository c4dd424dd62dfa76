#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""CPython is the oracle: random programs run in this CPython's gc and weakref and in a varve world,
and what they say must be the same.

    tests/oracle/oracle.py [--first SEED] [--seeds N] [--driver FILE] [--seconds S] [--show]

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


class Difference:
    """A program for which the answers differ, with both. Not an exception: those leave garbage,
    which a program that unfreezes everything would find."""

    def __init__(self, program, expected, found):
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
EVENT = re.compile(r"[a-z](\d+)(?:\.(\d+))?")


def same_line(left, right, is_exact):
    """Whether two lines say the same but for what is not specified: within one operation the events
    of different objects may come in any order (CPython: that of its lists, varve: that of
    addresses); those of one object may not. Unless everything happened in a full collection
    (`is_exact`), a weak reference that is let go together with its object may call or not."""
    if left == right:
        return True
    left, right = left.split(" "), right.split(" ")
    if left[0] != right[0] or not left[0].isdigit() and left[0] not in PHASES:
        return False
    if not is_exact:
        forgive_races(left, right)
        forgive_races(right, left)
    return canonical(left) == canonical(right)


def forgive_races(left, right):
    """Where the left has a callback and the right the death of that weak reference, both have a
    race."""
    for index, token in enumerate(left):
        if token[0] == "c" and "d" + token.partition(".")[2] in right:
            race = "r" + token.partition(".")[2]
            right[right.index("d" + token.partition(".")[2])] = race
            left[index] = race


def whose(token):
    """The object that an event belongs to. A weak reference that a finalizer made is called when
    its object is taken apart, which may be before or after the object lost its canary."""
    number, ref = EVENT.match(token).groups()
    return int(ref) if ref and int(ref) >= programs.FROM_FINALIZER else int(number)


def canonical(tokens):
    events = [token for token in tokens[1:] if token[0] != "="]
    events.sort(key=whose)
    return events, [token for token in tokens if token[0] == "="]


def exact_operations(program):
    """The numbers of the full collections with nothing frozen."""
    frozen, exact = False, set()
    if program.has_tables():  # what their entries hold goes while callbacks run
        return exact
    for number, (code, a, *_) in enumerate(program.operations):
        frozen = code == programs.FREEZE or (frozen and code != programs.UNFREEZE)
        if code == programs.COLLECT and a == 2 and not frozen:
            exact.add(str(number))
    return exact


COLLECTED = re.compile(r"=collected=\d+")
STATISTIC = re.compile(r"(stats \d \d+) .*")


def comparable(program, lines):
    """The lines without the numbers of objects collected where they may differ: each of CPython's
    weak tables is several objects, which count when the table is garbage; and a weak reference that
    was called counts when it goes then, not when what it was in goes by a later callback."""
    if not program.has_tables():
        return lines
    deaths = {f"d{number}" for number in program.tables()}
    changed = [COLLECTED.sub("=collected", line)
               if deaths.intersection(line.split(" ")) or " c" in line else line
               for line in lines]
    if changed != lines:
        changed = [STATISTIC.sub(r"\1", line) for line in changed]
    return changed


def same(program, expected, found):
    if expected == found:
        return True
    exact = exact_operations(program)
    expected, found = comparable(program, expected), comparable(program, found)
    return len(expected) == len(found) and all(
        same_line(left, right, left.split(" ")[0] in exact)
        for left, right in zip(expected, found))


def check(driver, batch):
    """The first difference, or None."""
    answers = drive(driver, batch)
    for index, program in enumerate(batch):
        expected = cpython.run(program)
        found = answers[index] if index < len(answers) else ["no answer"]
        if not same(program, expected, found):
            return Difference(program, expected, found)
    return None


REFCOUNT = re.compile(r"=(\d+):\w+\*(\d+)")


def living(lines):
    """After each full collection, the objects that live and their reference counts."""
    return [(line.split(" ")[0], REFCOUNT.findall(line)) for line in lines if "=collected=" in line]


def check_steps(driver, batch):
    """As check(), for a driver that takes a step of an incremental collection after each operation,
    and ends one where the program collects: then the same objects live in both."""
    batch = [programs.for_steps(program) for program in batch]
    answers = drive([*driver, "--steps"], batch)
    for index, program in enumerate(batch):
        expected = cpython.run(program)
        found = answers[index] if index < len(answers) else ["no answer"]
        if living(expected) != living(found) or "alive 0" not in found:
            return Difference(program, expected, found)
    return None


def minimise(driver, difference, check=check):
    """The smallest program found, by leaving out operations while there is a difference. Numbers of
    slots stay as they are."""
    found = check(driver, [difference.program])
    if found is None:
        return difference  # only together with those before it
    step = max(1, len(found.program.operations) // 2)
    while step > 0:
        changed, start = False, 0
        while start < len(found.program.operations):
            operations = found.program.operations
            smaller = programs.Program(found.program.seed, found.program.automatic,
                                       operations[:start] + operations[start + step:])
            smaller_found = check(driver, [smaller])
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
    expected = comparable(program, difference.expected)
    found = comparable(program, difference.found)
    for index in range(max(len(expected), len(found))):
        left = expected[index] if index < len(expected) else None
        right = found[index] if index < len(found) else None
        is_same = left and right and same_line(left, right, left.split(" ")[0] in exact)
        lines += [f"  {left}"] if is_same else [f"- {left}", f"+ {right}"]
    return "\n".join(lines)


def run(driver, seeds, seconds=None, check=check):
    """Compares the programs of the seeds up to the first difference. Returns how many were the same
    and the difference, or None."""
    cpython.prepare()
    end = time.monotonic() + seconds if seconds else None
    count = 0
    for start in range(0, len(seeds), BATCH):
        batch = [programs.generate(seed) for seed in seeds[start:start + BATCH]]
        difference = check(driver, batch)
        if difference:
            return count, difference
        count += len(batch)
        if end and time.monotonic() > end:
            break
    return count, None


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
    seeds = range(options.first, options.first + options.seeds)
    count, difference = run([options.driver], seeds, options.seconds)
    if difference is None:
        print(f"{count} programs, no difference")
        return 0
    print(f"seed {difference.program.seed} differs; making it smaller", file=sys.stderr)
    print(describe(minimise([options.driver], difference)))
    return 1


if __name__ == "__main__":
    sys.exit(main())
