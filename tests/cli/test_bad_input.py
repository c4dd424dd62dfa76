# SPDX-License-Identifier: MIT
"""What the command says to bad input: what is wrong, where, what to do; and the exit code."""

import os
import random
import shutil
import stat
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import *


def complains(result, code, *parts):
    result.must(code)
    for part in parts:
        contains(result.err, part)
    equal(result.out, "", "stdout")
    assert "\n\n\n" not in result.err


def capture(name="good.varve", *words):
    varve("run", "-q", "-f", "-o", name, "--", *(words or ("/usr/bin/git", "--version"))).must()
    return name


# --- commands and options ---

@claim
def a_wrong_command_is_answered_with_the_nearest():
    complains(varve("reprot"), 2, 'no command "reprot"', 'did you mean "report"?')
    complains(varve("xyzzy"), 2, 'no command "xyzzy"', "varve --help")
    complains(varve(), 2, "usage: varve")


@claim
def a_wrong_option_is_answered_with_the_nearest():
    complains(varve("report", "--vieww", "peak", "x"), 2, "--vieww", "did you mean --view?")
    complains(varve("run", "--qiet", "--", "true"), 2, "--qiet", "did you mean --quiet?")
    complains(varve("report", "--zzzzzzz", "x"), 2, "--zzzzzzz", "varve report --help")
    complains(varve("diff", "-X", "a", "b"), 2, "-X", "varve diff --help")


@claim
def wrong_values_are_named_with_what_is_possible():
    complains(varve("report", "--view", "peek", "x"), 2, '"peek"', "peak, live, total")
    complains(varve("report", "--by", "colour", "x"), 2, '"colour"', "line, function, file")
    complains(varve("report", "--top", "many", "x"), 2, "--top", '"many"', "number")
    complains(varve("report", "--top", "-1", "x"), 2, "--top", "number")
    complains(varve("report", "--top", "99999999999999999999", "x"), 2, "cannot be as large")
    complains(varve("report", "--top"), 2, "--top needs a value")
    complains(varve("report", "--json=yes", "x"), 2, "--json takes no value")
    complains(varve("run", "--follow", "everything", "--", "true"), 2, "none, fork, exec")
    complains(varve("run", "--depth", "x", "--", "true"), 2, "--depth")
    complains(varve("run", "--sample=x", "--", "true"), 2, "--sample")
    complains(varve("run", "--sample=0", "--", "true"), 2, "--sample cannot be 0")
    complains(varve("run", "--sample", "100", "--", "true"), 2, "--sample=100")


@claim
def missing_arguments_are_asked_for():
    complains(varve("run"), 2, "which program?", "varve run -- PROGRAM")
    complains(varve("stat"), 2, "which program?")
    complains(varve("report"), 2, "which capture?")
    complains(varve("diff", "one"), 2, "two captures", "1 given")
    complains(varve("diff", "a", "b", "c"), 2, "two captures", "3 given")


@claim
def help_and_version_are_data():
    for words in (["--help"], ["help"], ["run", "--help"], ["report", "--help"], ["diff", "-h"],
                  ["stat", "--help"]):
        result = varve(*words).must()
        contains(result.out, "usage: varve")
        equal(result.err, "")
    assert varve("--version").must().out.startswith("varve ")
    equal(varve("-V").must().out, varve("--version").out)


# --- programs ---

@claim
def a_program_that_does_not_exist():
    complains(varve("run", "--", "no-such-program-anywhere"), 127, "no-such-program-anywhere")
    complains(varve("run", "--", "./nothing/here"), 127, "./nothing/here", "No such file")
    complains(varve("stat", "--", "no-such-program-anywhere"), 127, "no-such-program-anywhere")
    equal(os.listdir("."), [])


@claim
def a_program_that_is_not_executable():
    with open("plain", "w") as file:
        file.write("text")
    complains(varve("run", "--", "./plain"), 126, "./plain")
    os.mkdir("folder")
    complains(varve("run", "--", "./folder"), 126, "./folder")


@claim
def a_file_that_is_no_program():
    with open("data", "wb") as file:
        file.write(bytes(range(1, 100)) + bytes(100))
    os.chmod("data", 0o755)
    complains(varve("run", "--", "./data"), 126, "./data")
    open("empty", "w").close()
    os.chmod("empty", 0o755)
    result = varve("run", "--", "./empty")
    assert result.code in (126, 0), result.code


@claim
def a_static_program():
    compile_c("int main(void) { return 0; }", "static", "-static")
    complains(varve("run", "--", "./static"), 126, "./static", "static", "-lvarve-malloc")
    complains(varve("stat", "--", "./static"), 126, "./static", "static")


@claim
def a_program_with_a_sanitizer():
    for name in ("address", "thread"):
        compile_c("int main(void) { return 0; }", name, f"-fsanitize={name}")
        complains(varve("run", "--", f"./{name}"), 126, f"./{name}", "built with a sanitizer")
        complains(varve("stat", "--", f"./{name}"), 126, f"./{name}", "built with a sanitizer")


@claim
def a_program_for_another_machine():
    compile_c("int main(void) { return 0; }", "program")
    with open("program", "r+b") as file:
        file.seek(18)
        file.write(struct.pack("<H", 183)) # aarch64
    complains(varve("run", "--", "./program"), 126, "./program", "not a 64-bit x86 program")


@claim
def a_setuid_program():
    if os.geteuid() != 0:
        raise Skipped("only root may make a setuid program of another user")
    compile_c("int main(void) { return 0; }", "program")
    os.chown("program", 65534, 65534)
    os.chmod("program", 0o4755)
    complains(varve("run", "--", "./program"), 126, "./program", "setuid")


@claim
def a_program_with_file_capabilities():
    if os.geteuid() != 0:
        raise Skipped("only root may give capabilities to a file")
    shutil.copy(VARVE, "varve") # where another user can reach it
    shutil.copy("/bin/true", "program")
    for path in (".", "varve", "program"):
        os.chmod(path, 0o755)
    # Version 2, effective: CAP_NET_RAW permitted; see capabilities(7).
    os.setxattr("program", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0))
    result = run("./varve", "run", "--", "./program", user=65534, group=65534, extra_groups=[])
    complains(result, 126, "./program", "file capabilities")


@claim
def a_setuid_program_ignores_every_variable_of_varves():
    if os.geteuid() != 0:
        raise Skipped("only root can change to another user")
    folder = os.path.realpath(".")
    os.chmod(folder, 0o755)
    program = compile_c("""
#include <stdlib.h>
#include <stdio.h>
int main(void) { char *block = malloc(10); free(block); puts("done"); return 0; }
""", "program", "-L" + os.path.join(BUILD, "lib"), "-Wl,--no-as-needed",
                        "-lvarve-malloc", "-Wl,-rpath," + os.path.join(folder, "lib"))
    import shutil
    os.mkdir("lib")
    os.chmod("lib", 0o755)
    shutil.copy(os.path.realpath(MALLOC), "lib/libvarve-malloc.so.0")
    os.mkdir("open")
    os.chmod("open", 0o777)
    loud = {"VARVE_STATS": "1", "VARVE_TRACE": os.path.abspath("open"), "VARVE_DEBUG": "maybe"}
    plain = run(program, env=loud).must()
    contains(plain.err, "varve") # without privileges, it listens
    for name in os.listdir("open"):
        os.unlink("open/" + name)
    os.chown(program, 0, 0)
    os.chmod(program, 0o4755)
    result = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, env=loud)
    result.must()
    equal((result.out, result.err), ("done\n", ""))
    equal(os.listdir("open"), [])


@claim
def scripts_are_run_by_their_interpreters():
    with open("script", "w") as file:
        file.write("#!/bin/sh\necho ran $1\n")
    os.chmod("script", 0o755)
    result = varve("run", "-q", "-o", "x.varve", "--", "./script", "well").must()
    equal(result.out, "ran well\n")
    with open("bare", "w") as file:
        file.write("echo bare $1 $2\n")
    os.chmod("bare", 0o755)
    result = varve("run", "-q", "-f", "-o", "x.varve", "--", "./bare", "a", "b").must()
    equal(result.out, "bare a b\n")
    with open("lost", "w") as file:
        file.write("#!/no/such/interpreter\n")
    os.chmod("lost", 0o755)
    complains(varve("run", "--", "./lost"), 126, "./lost", "/no/such/interpreter")


@claim
def a_script_of_a_static_interpreter():
    compile_c("int main(void) { return 0; }", "static", "-static")
    with open("script", "w") as file:
        file.write(f"#!{os.path.abspath('static')}\n")
    os.chmod("script", 0o755)
    complains(varve("run", "--", "./script"), 126, "static")


# --- output ---

@claim
def an_existing_capture_is_not_overwritten():
    capture("x.varve")
    before = open("x.varve", "rb").read()
    result = varve("run", "-o", "x.varve", "--", "sh", "-c", "echo ran")
    complains(result, 2, "x.varve exists already", "-f")
    equal(open("x.varve", "rb").read(), before)
    varve("run", "-q", "-f", "-o", "x.varve", "--", "true").must()


@claim
def an_impossible_output_is_said_before_the_program_runs():
    complains(varve("run", "-o", "no/such/x.varve", "--", "sh", "-c", "echo ran"), 2, "no/such")
    os.mkdir("folder")
    complains(varve("run", "-f", "-o", "folder", "--", "sh", "-c", "echo ran"), 2, "folder",
              "not a regular file")
    complains(varve("run", "-o", "", "--", "sh", "-c", "echo ran"), 2, "-o needs")
    complains(varve("run", "-o", "-", "--", "sh", "-c", "echo ran"), 2, "-o needs", '"-"')
    complains(varve("run", "-o", "x" * 300, "--", "sh", "-c", "echo ran"), 2, "too long")
    equal(os.listdir("."), ["folder"])


@claim
def links_are_not_followed():
    open("victim", "w").close()
    os.symlink("victim", "x.varve")
    result = varve("run", "-f", "-q", "-o", "x.varve", "--", "true")
    assert result.code in (2, 125), result.code
    equal(os.path.getsize("victim"), 0)


# --- captures ---

@claim
def a_missing_capture():
    complains(varve("report", "nothing.varve"), 2, "nothing.varve", "No such file")
    complains(varve("diff", "nothing.varve", "nothing.varve"), 2, "nothing.varve")


@claim
def an_empty_or_foreign_capture():
    open("empty.varve", "w").close()
    complains(varve("report", "empty.varve"), 2, "empty.varve", "empty")
    with open("foreign.varve", "wb") as file:
        file.write(b"#!/bin/sh\n" * 1000)
    complains(varve("report", "foreign.varve"), 2, "foreign.varve", "not a")
    complains(varve("report", "/usr/bin/git"), 2, "/usr/bin/git", "not a")
    complains(varve("report", "."), 2, ".")


@claim
def what_a_capture_names_is_not_obeyed_by_the_terminal():
    escapes = "\x1b]0;title\x07\x7f\x0d\u009b2J"
    with open("named.c", "w") as file: # what a debugger takes for the file's name
        file.write('# 1 "%s.c"\n#include <stdlib.h>\n'
                   'int main(void) { return malloc(10) == NULL; }\n'
                   % "".join(f"\\{byte:03o}" for byte in escapes.encode()))
    run("gcc", "-g", "-O0", "-fno-builtin", "named.c", "-o", "program").must()
    os.rename("program", escapes)
    summary = varve("run", "-o", "x.varve", "--", f"./{escapes}", escapes).must().err
    texts = [summary]
    for key in ("line", "function", "file", "module", "traceback", "thread", "type"):
        texts.append(varve("report", "--by", key, "x.varve").must().out)
        texts.append(varve("report", "--by", key, "x.varve", "x.varve").must().out)
    for text in texts:
        contains(text, "?]0;title??")
        assert not set(text) & set("\x1b\x07\x7f\x0d\u009b"), ascii(text)
    with open("lost", "w") as file:
        file.write("#!/no/such/\x1b[2J\n")
    os.chmod("lost", 0o755)
    complains(varve("run", "--", "./lost"), 126, "/no/such/?[2J")


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


@claim
def a_capture_can_come_through_a_pipe():
    name = capture()
    wanted = varve("report", name).must().out
    equal(run("sh", "-c", f"cat {name} | {VARVE} report /dev/stdin").must().out, wanted)
    equal(run("bash", "-c", f"{VARVE} report <(sleep 0.2; cat {name})").must().out, wanted)
    complains(run("sh", "-c", f": | {VARVE} report /dev/stdin"), 2, "/dev/stdin", "empty")


@claim
def a_capture_of_a_newer_varve():
    data = bytearray(open(capture(), "rb").read())
    first = 16 # crc, type, version, length
    length = struct.unpack_from("<I", data, first + 12)[0]
    struct.pack_into("<I", data, first + 8, struct.unpack_from("<I", data, first + 8)[0] + 1)
    struct.pack_into("<I", data, first, crc32c(data[first + 4:first + 16 + length]))
    with open("future.varve", "wb") as file:
        file.write(data)
    complains(varve("report", "future.varve"), 2, "future.varve", "written by a newer varve")


@claim
def a_capture_that_is_cut_off_is_read_as_far_as_it_goes():
    data = open(capture(), "rb").read()
    told = 0
    for length in sorted(random.Random(1).sample(range(len(data)), 60)):
        with open("cut.varve", "wb") as file:
            file.write(data[:length])
        result = varve("report", "cut.varve")
        if result.code == 0:
            told += 1
            contains(result.out, "cut off")
        else:
            complains(result, 2, "cut.varve")
    assert told > 0, "no part of a capture was readable"


@claim
def a_damaged_capture_is_named():
    data = open(capture(), "rb").read()
    for seed in range(60):
        chance = random.Random(seed)
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        with open("damaged.varve", "wb") as file:
            file.write(damaged)
        result = varve("report", "damaged.varve")
        if result.code == 0:
            contains(result.out, "cut off")
        else:
            complains(result, 2, "damaged.varve")


main()
