# SPDX-License-Identifier: MIT
"""The examples print what their documentation says."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import *

EXAMPLES = os.path.join(BUILD, "examples")


def line_of(text, after=None):
    lines = open(os.path.join(SOURCE, "examples", "lesson.c")).read().split("\n")
    start = next(n for n, line in enumerate(lines) if after is None or after in line)
    return next(n + 1 for n, line in enumerate(lines) if n >= start and text in line)


@claim
def the_lesson_prints_exactly_this():
    number = line_of("checked(malloc(sizeof(long)))")
    list_line = line_of("list = checked(malloc(sizeof *list))")
    string = line_of("checked(malloc(STRING_BYTES + 1))")
    dict_line = line_of("dict = checked(malloc(sizeof *dict))")
    key = line_of("checked(strdup(key))")
    record = line_of("record = checked(malloc(sizeof *record))")
    squares = line_of("checked(malloc(3 *")
    result = run(os.path.join(EXAMPLES, "lesson")).must()
    equal(result.err, "")
    equal(result.out, f"""Top 5 lines:
  lesson.c:{number}: size=781 KiB, count=100000, average=8 B
  lesson.c:{list_line}: size=781 KiB, count=100, average=8000 B
  lesson.c:{string}: size=53.8 KiB, count=50, average=1101 B
  lesson.c:{dict_line}: size=31.2 KiB, count=20, average=1600 B
  lesson.c:{key}: size=13.5 KiB, count=2000, average=6 B
Current: 1661.0 KiB, peak: 1661.0 KiB
What grew:
  lesson.c:{squares}: size=234 KiB (+234 KiB), count=10000 (+10000), average=24 B
  lesson.c:{record}: size=156 KiB (+156 KiB), count=10000 (+10000), average=16 B
  lesson.c:{number}: size=781 KiB (+0 B), count=100000 (+0), average=8 B
  lesson.c:{list_line}: size=781 KiB (+0 B), count=100 (+0), average=8000 B
  lesson.c:{string}: size=53.8 KiB (+0 B), count=50 (+0), average=1101 B
""")


@claim
def the_word_counter_counts_and_leaks_its_texts():
    with open("text", "w") as file:
        file.write("the cat and the dog and the bird\n" * 300)
    result = run(os.path.join(EXAMPLES, "wordcount"), "-n", "2", "text").must()
    equal(result.out, "     900 the\n     600 and\n")
    varve("run", "-q", "-o", "x.varve", "--", os.path.join(EXAMPLES, "wordcount"), "text").must()
    import json
    rows = json.loads(varve("report", "--json", "--view", "leaks", "--by", "function",
                            "x.varve").must().out)["rows"]
    leaked = {row["function"]: row["bytes"] for row in rows}
    equal(leaked["read_file"], 16384)
    equal(run(os.path.join(EXAMPLES, "wordcount")).code, 2)
    contains(run(os.path.join(EXAMPLES, "wordcount"), "nothing").must(1).err, "nothing: No such file")


main()
