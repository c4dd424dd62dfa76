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


@claim
def the_lesson_of_sizes():
    out = run(os.path.join(EXAMPLES, "lesson_sizes")).must().out
    contains(out, "default geometry: arenas of 2048 KiB, pools from 16 KiB, blocks 16, 32, 48, 64,"
             if "default geometry" in out else "classic geometry: arenas of 256 KiB, pools from 4 KiB, "
             "blocks 8, 16, 24, 32, ... 512")
    # Small ints are shared by the whole world: they are reached, but do not go with the list.
    list_lines, data_lines = out.split("[1, 2, 3, 4, 5]: ")[1].split("{'users': [...]}: ")
    contains(list_lines, "in 6 objects")
    contains(list_lines, "in 1 objects")
    # dict, 'users', list, two dicts, their four values, 'name' and 'age' for each: once, interned.
    contains(data_lines, "in 13 objects")
    contains(data_lines, "in 11 objects")  # all but 30 and 25


@claim
def the_lesson_of_cycles():
    equal(run(os.path.join(EXAMPLES, "lesson_cycles")).must().out, """tracked instances of Node: 2
after the last name has gone: 2
count: (2, 0, 0)
collected: 2 objects
tracked instances of Node: 0
thresholds: (700, 10, 10)
5000 more families: most collected on the way, 190 instances wait
""")


@claim
def the_lesson_of_referrers():
    result = run(os.path.join(EXAMPLES, "lesson_referrers"), "--dot").must()
    for line in ("  Session has it as .connection\n", "  list of 1 has it as [0]\n",
                 "  dict of 2 has it as ['main']\n", "dicts: 1, lists: 1, others: 1\n",
                 "kept alive by dict of 2 ['main']\n", "digraph holders {\n",
                 '[label=".connection"];'):
        contains(result.out, line)


@claim
def the_lesson_of_the_weak_cache():
    equal(run(os.path.join(EXAMPLES, "lesson_weak_cache")).must().out, """miss: report
hit: report
the same: yes
size: 1
dropped, size: 1
  finalizing report
collected, size: 0
miss: report
  finalizing report
""")


@claim
def the_lesson_of_leaks():
    out = run(os.path.join(EXAMPLES, "lesson_leaks")).must().out
    contains(out, "clean function: leak check, 10 iterations: no leak\n")
    contains(out, "function with a cache: leak check, 10 iterations: no leak\n")
    contains(out, "leaking function: leak check, 10 iterations: LEAK: each leaves 100 B in 1.0 "
             "blocks and 0.0 objects\n  examples/lesson_leaks.c:")
    contains(out, "function that keeps objects: leak check, 10 iterations: LEAK")
    contains(out, "  type dict: +")


@claim
def the_lesson_of_profiles():
    result = run(os.path.join(EXAMPLES, "lesson_profile")).must()
    equal(result.out, "9890 characters\n")
    sorting, outer, cleaning = [line for line in result.err.split("\n")
                                if line.startswith("varve profile ")]
    contains(sorting, "net +0 B in +0 blocks, peak +258 KiB")
    contains(outer, "net +62.5 KiB in +1000 blocks, peak +320 KiB")
    contains(cleaning, "cleaning up: ")
    contains(result.err, "lesson_profile.c:")


def documents(*words, code=0):
    music = os.path.join(SOURCE, "examples", "documents", "music.json")
    return run(os.path.join(EXAMPLES, "documents"), music, *words).must(code)


@claim
def documents_refer_to_each_other():
    equal(documents("count").out, "6 documents\n")
    equal(documents("get", "davis").out,
          '{"_id": "davis", "kind": "artist", "name": "Miles Davis", "born": 1926, '
          '"albums": [{"$ref": "kind-of-blue"}]}\n')
    equal(documents("follow", "davis", "albums", "0", "players", "1", "albums", "0", "title").out,
          '"Giant Steps"\n')
    equal([line.split('"')[3] for line in documents("find", "born", "1926").out.splitlines()],
          ["coltrane", "davis"])
    contains(documents("holders", "chambers").out, "dict of 6 ['giant-steps'] ['players'] [1]\n")
    equal(documents("follow", "kind-of-blue", "length", "minutes").out, "45.729999999999997\n")
    contains(documents("get", "kind-of-blue").out, "Studio, \u2163 sessions")


@claim
def documents_print_what_the_readme_says():
    if "default geometry" not in run(os.path.join(EXAMPLES, "lesson_sizes")).must().out:
        raise Skipped("sizes of the default geometry")
    text = open(os.path.join(SOURCE, "README.md")).read()
    shown = text.split("$ ./documents music.json size giant-steps -- holders chambers\n")[1]
    equal(documents("size", "giant-steps", "--", "holders", "chambers").out,
          shown.split("```")[0])


@claim
def dropped_documents_go_with_their_cycles():
    ids = ["coltrane", "davis", "chambers", "giant-steps", "blue-train", "kind-of-blue"]
    words = [word for name in ids for word in ("drop", name, "--")][:-1]
    freed = [int(line.split()[0]) for line in documents(*words).out.splitlines()]
    equal(freed[:5], [1] * 5)  # their names in the index: the others refer to them
    assert freed[5] > 60, freed
    out = documents("time", "50").out
    contains(out, "50 times: ")
    contains(out, "750 collected\n")  # 15 containers in each of 50 former generations


@claim
def bad_documents_are_named():
    program = os.path.join(EXAMPLES, "documents")
    for text, said in (('{"_id": "x", "a": [1, 2', "a list without ',' or ']', at byte 23"),
                       ('{"_id": "x"} 5', "something behind the end, at byte 13"),
                       ('{"_id": "\\ud800"}', "a wrong escape in a string"),
                       ('[{"name": "x"}]', "a document without an _id"),
                       ("[" * 300, "it is nested too deeply"), ("", "something that is no value")):
        with open("bad.json", "w") as file:
            file.write(text)
        contains(run(program, "bad.json", "count").must(1).err, said)
    contains(run(program, "nothing.json", "count").must(1).err, "cannot read nothing.json: No such")
    contains(documents("get", "nobody", code=1).err, "there is no nobody")
    contains(documents("dance", code=1).err, "usage: documents FILE")
    contains(run(program).must(1).err, "usage: documents FILE")
    for words in (("--",), ("count", "--"), ("time", "-5"), ("time", "x")):
        contains(documents(*words, code=1).err, "usage: documents FILE")


@claim
def every_example_runs_in_debug_mode():
    for name in ("lesson", "lesson_sizes", "lesson_cycles", "lesson_referrers", "lesson_weak_cache",
                 "lesson_leaks", "lesson_profile"):
        program = os.path.join(EXAMPLES, name)
        run(program, env={"VARVE_DEBUG": "1"}).must()


@claim
def a_capture_of_the_store_knows_the_types():
    import json
    music = os.path.join(SOURCE, "examples", "documents", "music.json")
    varve("run", "-q", "-o", "d.varve", "--", os.path.join(EXAMPLES, "lesson_cycles")).must()
    rows = json.loads(varve("report", "--json", "--view", "total", "--by", "type",
                            "d.varve").must().out)["rows"]
    blocks = {row["function"]: row["blocks"] for row in rows}
    equal(blocks["Node"], 10002)
    equal(blocks["class"], 1)
    contains(varve("report", "--view", "total", "--by", "type", "d.varve").must().out, "  Node\n")
    lines = json.loads(varve("report", "--json", "--view", "total", "--by", "line",
                             "d.varve").must().out)["rows"]
    assert any(row["file"].endswith("lesson_cycles.c") and row["blocks"] == 5001
               for row in lines), lines[:3]


main()
