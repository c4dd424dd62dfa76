# SPDX-License-Identifier: MIT
"""The test harness for tests in Python: the counterpart of tests/harness.h.

    @claim
    def a_missing_program_is_named(): ...      a failed assertion or an exception fails it

    main()                                     at the end of the file

Every claim runs in a folder of its own, which is the current one and is removed after it. Arguments
are names, or parts of names, of the claims to run. Prints a line for each claim that did not pass
and "N passed, N failed, N skipped", and appends that line to $VARVE_TEST_COUNTS. $VARVE_BUILD is the
build folder that is tested."""

import os
import shutil
import subprocess
import sys
import tempfile
import traceback

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("VARVE_BUILD", os.path.join(SOURCE, "build"))
VARVE = os.path.join(BUILD, "bin", "varve")
MALLOC = os.path.join(BUILD, "lib", "libvarve-malloc.so")

_claims = []


class Skipped(Exception):
    """Raised to skip a claim, with the reason."""


def claim(function):
    _claims.append(function)
    return function


def equal(found, wanted, what=""):
    assert found == wanted, f"{what} is {found!r}, not {wanted!r}"


def contains(text, part):
    assert part in text, f"{part!r} is not in:\n{text}"


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def must(self, code=0):
        assert self.code == code, f"exit code {self.code}, not {code}\n{self.out}\n{self.err}"
        return self


def run(*words, env=None, input=None, timeout=300, text=True, **options):
    """Runs a program and returns its exit code (negative: the signal), stdout and stderr."""
    environment = dict(os.environ, **(env or {}))
    done = subprocess.run([str(word) for word in words], env=environment, input=input,
                          capture_output=True, timeout=timeout, text=text,
                          errors="replace" if text else None, **options)
    return Result(done.returncode, done.stdout, done.stderr)


def varve(*words, **options):
    return run(VARVE, *words, **options)


def compile_c(source, name="program", *flags, compiler="gcc"):
    """Compiles C (or C++, when the compiler is g++) in the current folder; the program's path."""
    suffix = ".cpp" if compiler.endswith("++") else ".c"
    with open(name + suffix, "w") as file:
        file.write(source)
    run(compiler, "-g", "-O0", "-fno-builtin", name + suffix, "-o", name, *flags).must()
    return os.path.abspath(name)


def _run_claim(function):
    """The outcome and what to print of it."""
    folder = tempfile.mkdtemp(prefix="varve-test-")
    home = os.getcwd()
    os.chdir(folder)
    try:
        function()
        return "passed", ""
    except Skipped as reason:
        return "skipped", f"skipped {function.__name__}: {reason}"
    except Exception:
        return "failed", f"FAILED {function.__name__}:\n{traceback.format_exc()}"
    finally:
        os.chdir(home)
        shutil.rmtree(folder, ignore_errors=True)


def main():
    wanted = sys.argv[1:]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for function in _claims:
        if wanted and not any(part in function.__name__ for part in wanted):
            continue
        outcome, text = _run_claim(function)
        counts[outcome] += 1
        if text:
            print(text, flush=True)
    line = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    print(line)
    if "VARVE_TEST_COUNTS" in os.environ:
        with open(os.environ["VARVE_TEST_COUNTS"], "a") as file:
            file.write(line + "\n")
    sys.exit(counts["failed"] > 0)
