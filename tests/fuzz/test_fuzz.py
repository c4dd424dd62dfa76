# SPDX-License-Identifier: MIT
"""Runs each fuzzer for a while, from seeds that real programs made. More: FUZZ_SECONDS=3600."""

import glob
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import *

FUZZERS = os.environ.get("VARVE_FUZZERS", os.path.join(SOURCE, "build/presets/fuzz/tests"))
SECONDS = int(os.environ.get("FUZZ_SECONDS", "20"))


def fuzz(name, *flags):
    result = run(os.path.join(FUZZERS, name), "corpus", f"-max_total_time={SECONDS}", "-seed=1",
                 "-print_final_stats=1", "-timeout=20", *flags, timeout=SECONDS + 300,
                 env={"ASAN_OPTIONS": "detect_leaks=0"})
    assert result.code == 0, result.err[-5000:]
    runs = int(result.err.split("stat::number_of_executed_units:")[1].split()[0])
    assert runs > 200, result.err[-2000:]
    print(f"{name}: {runs} runs")


@claim
def no_bytes_confuse_the_reader_of_captures():
    os.mkdir("corpus")
    if os.path.exists(VARVE):
        varve("run", "-q", "-o", "corpus/a.varve", "--", "/usr/bin/git", "--version").must()
        varve("run", "-q", "--depth", "3", "-o", "corpus/b.varve", "--", "/bin/ls").must()
        objects = os.path.join(BUILD, "examples", "lesson_cycles")
        varve("run", "-q", "-o", "corpus/c.varve", "--", objects).must()
        os.mkdir("stores")
        run(objects, env={"VARVE_TRACE": os.path.abspath("stores")}).must()
        run("/bin/ls", env={"LD_PRELOAD": MALLOC, "VARVE_TRACE": os.path.abspath("stores")}).must()
        for path in glob.glob("stores/*.store"):
            with open("corpus/" + os.path.basename(path), "wb") as file:
                file.write(open(path, "rb").read()[:1 << 20])
    fuzz("fuzz_capture", "-max_len=1048576", "-rss_limit_mb=2500")


@claim
def no_stream_of_operations_breaks_the_heap():
    os.mkdir("corpus")
    chance = random.Random(3)
    for index in range(20):
        with open(f"corpus/{index}", "wb") as file:
            file.write(chance.randbytes(5 * 200))
    fuzz("fuzz_heap", "-max_len=4000", "-rss_limit_mb=8000")


main()
