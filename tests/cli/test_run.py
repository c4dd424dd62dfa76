# SPDX-License-Identifier: MIT
"""varve run: exactness, names, children, threads, options. How runs end: test_run_endings.py."""

import fcntl
import glob
import json
import os
import pty
import re
import struct
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import *
from recording import *


@claim
def every_byte_of_a_c_program_is_accounted_for():
    record(compile_c(EXACT))
    data = report("--view", "leaks", "--by", "function", "out.varve")
    rows = rows_by_function(data)
    equal((rows["leak_two"]["bytes"], rows["leak_two"]["blocks"]), (1001 + 21, 2), "leak_two")
    equal((rows["grow"]["bytes"], rows["grow"]["blocks"]), (5000, 1), "grow")
    equal(data["live_bytes"], 1001 + 21 + 5000, "live bytes")
    equal(data["live_blocks"], 3, "live blocks")
    equal(data["peak_bytes"], 1001 + 21 + 5000 + 1000000, "peak")
    equal(data["total_bytes"], 1001 + 21 + 10 + 5000 + 1000000 + 50 * 100, "total")
    equal(data["total_blocks"], 2 + 2 + 1 + 50, "allocations")
    equal(data["mode"], "exact")


@claim
def the_peak_is_attributed_to_those_who_held_it():
    record(compile_c(EXACT))
    rows = rows_by_function(report("--by", "function", "out.varve"))
    equal({name: row["bytes"] for name, row in rows.items()},
          {"leak_two": 1022, "grow": 5000, "peak_and_free": 1000000})


@claim
def total_and_temporary_are_views():
    record(compile_c(EXACT))
    rows = rows_by_function(report("--view", "total", "--by", "function", "out.varve"))
    equal((rows["main"]["bytes"], rows["main"]["blocks"]), (5000, 50), "total of main")
    rows = rows_by_function(report("--view", "temporary", "--by", "function", "out.varve"))
    equal(rows["main"]["blocks"], 50, "temporary blocks of main")
    equal(rows["peak_and_free"]["blocks"], 1, "temporary blocks of peak_and_free")
    assert "leak_two" not in rows


@claim
def lines_are_those_of_the_source():
    record(compile_c(EXACT))
    rows = report("--view", "leaks", "--by", "line", "out.varve")["rows"]
    found = {(row["function"], os.path.basename(row["file"]), row["line"]): row["bytes"]
             for row in rows}
    lines = EXACT.split("\n")
    line = {text: number + 1 for number, text in enumerate(lines)}
    equal(found, {
        ("leak_two", "program.c", line["    kept[0] = malloc(1001);"]): 1001,
        ("leak_two", "program.c", line["    kept[1] = calloc(7, 3);"]): 21,
        ("grow", "program.c", line["    block = realloc(block, 5000);"]): 5000,
    })


@claim
def the_json_has_the_documented_names():
    record(compile_c(EXACT), "an argument")
    data = report("out.varve")
    equal(data["schema"], "varve.report/1")
    equal(data["command"][1:], ["an argument"])
    for name in ("pid", "duration_s", "mode", "peak_bytes", "live_bytes", "total_bytes",
                 "total_blocks", "live_blocks", "view", "by", "rows", "resident_bytes"):
        assert name in data, name
    for row in data["rows"]:
        for name in ("bytes", "blocks", "share", "function", "file", "line", "module", "stack"):
            assert name in row, name
        assert 0 <= row["share"] <= 1
        for frame in row["stack"]:
            equal(sorted(frame), ["file", "function", "line", "module"])
    equal(data["rows"][0]["stack"][1]["function"], "main", "caller of the innermost frame")


@claim
def the_sizes_that_were_asked_for_are_counted_by_powers_of_two():
    record(compile_c("""
#include <stdlib.h>
char *volatile kept;
int main(void) {
    for (int round = 0; round < 5; round++) kept = malloc(64);
    for (int round = 0; round < 3; round++) kept = malloc(127);
    kept = malloc(128);
}"""))
    sizes = {(size["min_bytes"], size["max_bytes"]): size["allocations"]
             for size in report("out.varve")["sizes"]}
    equal(sizes[64, 127], 8)
    equal(sizes[128, 255], 1)
    equal(sum(sizes.values()), report("out.varve")["total_blocks"])
    text = run(VARVE, "report", "--sizes", "out.varve").must().out
    assert re.search(r"^ +64 B +[0-9.]+% +8 ", text, re.M), text


@claim
def shares_and_rows_sum_to_the_whole():
    record("/usr/bin/git", "--version")
    data = report("--view", "total", "out.varve")
    equal(sum(row["bytes"] for row in data["rows"]), data["total_bytes"])
    assert abs(sum(row["share"] for row in data["rows"]) - 1) < 1e-6


@claim
def allocator_frames_show_only_when_asked_for():
    record(compile_c("#include <string.h>\nchar *a; int main(void) { a = strdup(\"text\"); }"))
    rows = rows_by_function(report("--by", "function", "out.varve"))
    equal(list(rows), ["main"])
    rows = rows_by_function(report("--by", "function", "--allocator-frames", "out.varve"))
    assert "main" not in rows, rows


@claim
def names_of_c_plus_plus_are_demangled_and_inlined_frames_shown():
    program = compile_c("""
#include <vector>
namespace shapes {
template <class T> struct Box { T *value; __attribute__((noinline)) void fill() { value = new T[100]; } };
}
static inline __attribute__((always_inline)) char *inlined() { return new char[77]; }
char *kept;
int main() {
    shapes::Box<double> box;
    box.fill();
    kept = inlined();
    std::vector<int> numbers(1000);
    return numbers[3] + (box.value == nullptr);
}
""", "shapes", compiler="g++")
    record(program)
    rows = rows_by_function(report("--by", "function", "out.varve"))
    equal(rows["shapes::Box<double>::fill()"]["bytes"], 800)
    inlined = [row for name, row in rows.items() if name.startswith("inlined")]
    equal([row["bytes"] for row in inlined], [77])
    equal(inlined[0]["stack"][1]["function"], "main", "the frame that it is inlined into")
    equal(rows["main"]["bytes"], 4000, "the vector")


@claim
def names_of_rust_are_demangled_and_its_library_is_passed_over():
    program = compile_c("""
#include <stdlib.h>
void *kept[2];
void *grow(size_t) __asm__("_RNvMs_NtCslNYArtu3iFV_5alloc3vecINtB4_3VechE7reserveB6_");
void older(void) __asm__("_ZN4shop5order4load17h0123456789abcdefE");
void newer(void) __asm__("_RNvNtCs1234_4shop5order4save");
__attribute__((noinline)) void *grow(size_t size) { void *block = malloc(size); __asm__ volatile(""); return block; }
__attribute__((noinline)) void older(void) { kept[0] = grow(1000); }
__attribute__((noinline)) void newer(void) { kept[1] = grow(300); }
int main(void) { older(); newer(); return 0; }
""", "shop")
    record(program)
    rows = rows_by_function(report("--by", "function", "out.varve"))
    equal({name: row["bytes"] for name, row in rows.items()},
          {"shop::order::load": 1000, "shop::order::save": 300})
    stack = report("--by", "traceback", "--allocator-frames", "out.varve")["rows"][0]["stack"]
    equal([frame["function"] for frame in stack][:3],
          ["malloc", "<alloc::vec::Vec<u8>>::reserve", "shop::order::load"])


@claim
def names_that_were_looked_up_while_the_program_ran_are_the_same():
    slow = EXACT.replace("    grow();", "    usleep(200000); grow(); usleep(200000);")
    record(compile_c("#include <unistd.h>" + slow))
    rows = report("--view", "leaks", "--by", "line", "out.varve")["rows"]
    equal({(row["function"], row["bytes"]) for row in rows},
          {("leak_two", 1001), ("leak_two", 21), ("grow", 5000)})
    record(compile_c("#include <unistd.h>" + EXACT), name="fast.varve")
    equal(rows, report("--view", "leaks", "--by", "line", "fast.varve")["rows"])


@claim
def lines_are_those_of_addr2line():
    record(compile_c(EXACT, "program", "-no-pie"))
    from_varve = set()
    for row in report("--view", "total", "--by", "line", "out.varve")["rows"]:
        if row["module"].endswith("/program"):
            from_varve.add(f"{row['function']} {os.path.basename(row['file'])}:{row['line']}")
    listing = run("objdump", "-d", "--no-show-raw-insn", "program").must().out
    addresses = [] # the return address lies behind the call, so the call's own is looked up
    for line in listing.split("\n"):
        if "call " in line and any(f"<{name}@plt>" in line for name in ("malloc", "calloc", "realloc")):
            addresses.append(line.split(":")[0].strip())
    names = run("addr2line", "-f", "-s", "-e", "program", *addresses).must().out.split("\n")
    from_addr2line = {f"{names[index]} {names[index + 1].split(' ')[0]}"
                      for index in range(0, len(addresses) * 2, 2)}
    equal(from_varve, from_addr2line)


@claim
def a_stripped_program_has_module_and_address():
    compile_c(EXACT)
    run("strip", "program").must()
    record("./program")
    rows = report("--by", "function", "--view", "leaks", "out.varve")["rows"]
    assert all(row["function"].startswith("sub_") for row in rows), rows
    assert all(row["module"].endswith("/program") for row in rows), rows


@claim
def a_separate_debug_file_is_found_by_build_id():
    program = compile_c(EXACT, "program", "-Wl,--build-id=sha1")
    notes = run("readelf", "-n", "program").must().out
    build_id = notes.split("Build ID: ")[1].split()[0]
    folder = f"/usr/lib/debug/.build-id/{build_id[:2]}"
    debug_file = f"{folder}/{build_id[2:]}.debug"
    if not os.access("/usr/lib", os.W_OK):
        raise Skipped("only root may write below /usr/lib/debug")
    os.makedirs(folder, exist_ok=True)
    run("objcopy", "--only-keep-debug", "program", debug_file).must()
    try:
        run("strip", "program").must()
        record(program)
    finally:
        os.unlink(debug_file)
    rows = rows_by_function(report("--by", "function", "--view", "leaks", "out.varve"))
    equal(rows["leak_two"]["bytes"], 1022)
    equal(os.path.basename(rows["leak_two"]["file"]), "program.c")


@claim
def the_programs_output_and_input_are_left_alone():
    result = varve("run", "-f", "-o", "x.varve", "--", "cat", input="some text\n")
    result.must()
    equal(result.out, "some text\n")
    contains(result.err, "varve report x.varve")
    result = varve("run", "-q", "-f", "-o", "x.varve", "--", "sh", "-c", "echo to-stderr >&2")
    equal((result.out, result.err), ("", "to-stderr\n"))


@claim
def a_capture_is_named_by_program_and_process():
    varve("run", "-q", "--", "/usr/bin/git", "--version").must()
    names = glob.glob("*.varve")
    equal(len(names), 1, "captures")
    data = report(names[0])
    equal(names[0], f"git.{data['pid']}.varve")


@claim
def the_loader_is_a_program():
    program = compile_c(EXACT)
    record("/lib64/ld-linux-x86-64.so.2", program)
    equal(report("--view", "live", "out.varve")["live_bytes"], 6022)


@claim
def the_command_for_more_can_be_pasted():
    program = compile_c(EXACT)
    for name in ("-dash", "we ird$(x)", "it's", "plain"):
        os.link(program, name)
        summary = varve("run", "--", "./" + name).must().err
        command = summary.split("more with: varve ")[1].strip()
        contains(run("sh", "-c", f"{VARVE} {command}").must().out, "peak_and_free")
        os.unlink(name)


FAMILY = """
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
void *kept[4];
int main(int count, char **arguments) {
    kept[0] = malloc(1111);
    if (fork() == 0) {
        kept[1] = malloc(2222);
        if (fork() == 0) {
            kept[2] = malloc(3333);
            exit(0);
        }
        wait(NULL);
        exit(0);
    }
    if (fork() == 0) {
        kept[3] = malloc(4444);
        execl("/bin/true", "true", (char *)NULL);
    }
    while (wait(NULL) > 0) continue;
    return 0;
}
"""


def captures_by_live_bytes():
    return sorted(report("--view", "live", name)["live_bytes"] for name in glob.glob("*.varve"))


@claim
def children_have_captures_of_their_own():
    program = compile_c(FAMILY)
    varve("run", "-q", "-o", "all.varve", "--", program).must()
    found = captures_by_live_bytes()
    for wanted in (1111, 1111 + 2222, 1111 + 2222 + 3333, 1111 + 4444):
        assert wanted in found, (wanted, found)
    names = sorted(glob.glob("*.varve"))
    assert all(name == "all.varve" or name.startswith("all.") for name in names), names
    text = varve("report", *names).must().out
    contains(text, "processes of one run")


@claim
def processes_are_counted_by_their_numbers():
    program = compile_c(FAMILY.replace('"/bin/true", "true"', '"/usr/bin/git", "git", "--version"'))
    summary = varve("run", "-o", "all.varve", "--", program).must().err
    names = sorted(glob.glob("*.varve"))
    found = [report(name) for name in names]
    peaks = {}
    for data in found:
        peaks[data["pid"]] = max(peaks.get(data["pid"], 0), data["peak_bytes"])
    equal((len(names), len(peaks)), (5, 4), "captures and processes")  # one of them runs git
    contains(summary, "4 processes were recorded, in 5 captures; this is the biggest")
    contains(varve("report", *names).must().out, "4 processes of one run")
    for order in (names, names[::-1]):
        data = report("--view", "peak", *order)
        equal((data["processes"], data["peak_bytes"]), (4, sum(peaks.values())))
        equal(sum(row["bytes"] for row in data["rows"]), data["peak_bytes"])
        equal((data["command"], data["pid"]), ([program], report("all.varve")["pid"]))


@claim
def follow_none_records_one_process():
    program = compile_c(FAMILY)
    varve("run", "-q", "--follow", "none", "-o", "all.varve", "--", program).must()
    equal(glob.glob("*.varve"), ["all.varve"])
    equal(report("--view", "live", "all.varve")["live_bytes"], 1111)


@claim
def follow_fork_leaves_other_programs_alone():
    program = compile_c(FAMILY)
    varve("run", "-q", "--follow", "fork", "-o", "all.varve", "--", program).must()
    names = [report(name)["command"][0] for name in glob.glob("*.varve")]
    assert all(name.endswith("program") for name in names), names
    assert len(names) >= 3, names


@claim
def gcc_shows_cc1():
    with open("unit.c", "w") as file:
        file.write("int add(int a, int b) { return a + b; }\n")
    varve("run", "-q", "--", "gcc", "-O2", "-c", "unit.c").must()
    names = glob.glob("cc1.*.varve")
    equal(len(names), 1, "captures of cc1")
    assert report(names[0])["peak_bytes"] > 100000
    assert glob.glob("*as.*.varve"), "the assembler"


@claim
def captures_of_different_runs_are_not_summed():
    record("/bin/true", name="a.varve")
    record("/bin/true", name="b.varve")
    result = varve("report", "a.varve", "b.varve").must(2)
    contains(result.err, "run")


@claim
def threads_are_told_apart():
    program = compile_c("""
#include <pthread.h>
#include <stdlib.h>
void *kept[3];
void *work(void *argument) {
    long index = (long)argument;
    pthread_setname_np(pthread_self(), index == 0 ? "first" : "second");
    for (int i = 0; i < 1000; i++) free(malloc(10));
    kept[index] = malloc(1000 * (index + 1));
    return NULL;
}
int main(void) {
    pthread_t threads[2];
    for (long i = 0; i < 2; i++) pthread_create(&threads[i], NULL, work, (void *)i);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    free(kept[1]);
    return 0;
}
""", "threads", "-pthread", "-D_GNU_SOURCE")
    record(program)
    rows = report("--by", "thread", "--view", "live", "out.varve")["rows"]
    equal(len({row["thread"] for row in rows}), 3, "threads")
    by_name = {row["function"]: row for row in rows}
    equal((by_name["first"]["bytes"], by_name["second"]["bytes"]), (1000, 2000))
    equal(by_name["threads"]["bytes"] < 0, True, "what the main thread freed of the second's")
    assert all(0 <= row["share"] <= 1 for row in rows), rows
    contains(varve("report", "--by", "thread", "--view", "live", "out.varve").must().out,
             "by thread (allocated less freed by it)")
    data = report("--by", "function", "--view", "total", "out.varve")
    equal(rows_by_function(data)["work"]["blocks"], 2002)


@claim
def sampling_estimates_without_bias():
    program = compile_c("""
#include <stdlib.h>
void *kept[200000];
int main(void) { for (int i = 0; i < 200000; i++) kept[i] = malloc(100 + i % 100); }
""")
    record(program, options=("--sample=4096",))
    data = report("--view", "live", "--by", "function", "out.varve")
    equal(data["mode"], "sampled")
    wanted = 200000 * 149.5
    found = rows_by_function(data)["main"]["bytes"]
    assert abs(found - wanted) < 0.06 * wanted, (found, wanted) # standard error is about 1.2 %
    contains(varve("report", "out.varve").must().out, "sampled")


@claim
def depth_limits_stacks():
    record(compile_c(EXACT), options=("--depth", "1"))
    rows = report("--by", "traceback", "--view", "leaks", "--allocator-frames", "out.varve")["rows"]
    assert all(len(row["stack"]) <= 2 for row in rows), rows
    equal(sum(row["bytes"] for row in rows), 6022)


@claim
def dlclosed_modules_keep_their_names():
    compile_c("#include <stdlib.h>\nvoid *plugin_make(int size) { return malloc(size); }",
              "plugin.so", "-shared", "-fPIC")
    program = compile_c("""
#include <dlfcn.h>
#include <stdlib.h>
void *kept[40];
int main(void) {
    for (int round = 0; round < 20; round++) {
        void *plugin = dlopen("./plugin.so", RTLD_NOW);
        void *(*make)(int) = (void *(*)(int))dlsym(plugin, "plugin_make");
        kept[round] = make(100);
        dlclose(plugin);
        kept[20 + round] = malloc(30000 + round);
    }
}
""", "host", "-ldl")
    record(program)
    rows = rows_by_function(report("--by", "function", "--view", "live", "out.varve"))
    equal(rows["plugin_make"]["bytes"], 2000)


@claim
def a_library_that_takes_anothers_addresses_is_not_mistaken_for_it():
    for name, room in (("one", 10), ("two", 3000)): # different frames at the same addresses
        compile_c(f"""
#include <stdlib.h>
#include <string.h>
__attribute__((noinline)) void *{name}_make(int size) {{
    volatile char room[{room}];
    memset((char *)room, size, sizeof room);
    void *block = malloc(size);
    room[1] = room[0];
    return block;
}}
void *make(int size) {{ void *block = {name}_make(size); __asm__ volatile(""); return block; }}
""", f"{name}.so", "-shared", "-fPIC")
    program = compile_c("""
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
void *kept[40];
int main(void) {
    void *first = NULL;
    int same = 0;
    for (int round = 0; round < 40; round++) {
        void *plugin = dlopen(round % 2 == 0 ? "./one.so" : "./two.so", RTLD_NOW);
        void *(*make)(int) = (void *(*)(int))dlsym(plugin, "make");
        if (round == 0) first = *(void **)plugin;
        same += *(void **)plugin == first;
        kept[round] = make(100);
        dlclose(plugin);
    }
    printf("%d", same);
}
""", "host", "-ldl")
    result = varve("run", "-q", "-o", "out.varve", "--", program).must()
    assert int(result.out) >= 20, "the libraries were loaded at different addresses"
    data = report("--by", "function", "--view", "live", "out.varve")
    rows = rows_by_function(data)
    equal((rows["one_make"]["bytes"], rows["two_make"]["bytes"]), (2000, 2000))
    equal(data["incomplete_stacks"], 0)
    for name in ("one_make", "two_make"):
        equal([frame["function"] for frame in rows[name]["stack"]][1:3], ["make", "main"])


@claim
def deep_recursion_is_followed_or_said():
    program = compile_c("""
#include <stdlib.h>
void *kept[3000];
int down(int depth) {
    kept[depth] = malloc(10);
    return depth == 0 ? 0 : down(depth - 1) + 1;
}
int main(void) { return down(2999) == 0; }
""")
    record(program)
    data = report("--by", "function", "--view", "live", "out.varve")
    equal(rows_by_function(data)["down"]["bytes"], 30000)


@claim
def diff_shows_growth_first_and_compares_by_names():
    record(compile_c(EXACT), name="old.varve")
    grown = EXACT.replace("malloc(1001)", "malloc(5001)").replace("#include", "\n\n#include", 1)
    record(compile_c(grown), name="new.varve")
    data = json.loads(varve("diff", "--json", "--by", "function", "--view", "leaks", "old.varve",
                            "new.varve").must().out)
    equal(data["schema"], "varve.diff/1")
    first = data["rows"][0]
    equal((first["function"], first["bytes"], first["bytes_diff"], first["blocks_diff"]),
          ("leak_two", 5022, 4000, 0))
    assert all(row["bytes_diff"] == 0 for row in data["rows"][1:]), data["rows"]
    text = varve("diff", "--by", "function", "--view", "leaks", "old.varve", "new.varve").must().out
    contains(text, "+3.9 KiB")


@claim
def reports_of_a_compiler_are_small_and_quick():
    cc1 = run("gcc", "-print-prog-name=cc1").must().out.strip()
    flags = ["-I" + os.path.join(SOURCE, "src"), "-I" + os.path.join(SOURCE, "include"),
             "-D_GNU_SOURCE", "-DVARVE_TRACE=1", "-DVARVE_CLASSIC=0", "-DVARVE_AUDIT=0"]
    run("gcc", *flags, "-E", os.path.join(SOURCE, "src/trace/nodes.c"), "-o", "unit.i").must()
    record(cc1, "-quiet", "-O2", "-fpreprocessed", "unit.i", "-o", "unit.s")
    assert os.path.getsize("out.varve") < 5 << 20
    for command in (["report", "out.varve"], ["diff", "out.varve", "out.varve"]):
        times = []
        while len(times) < 20 and min(times, default=9) >= 1:  # the machine may be busy
            started = time.monotonic()
            varve(*command).must()
            times.append(time.monotonic() - started)
        assert min(times) < 1, times


def on_a_terminal(columns, *words):
    process, terminal = pty.fork()
    if process == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        os.environ["NO_COLOR"] = "1"
        os.execv(VARVE, ["varve", *words])
    text = b""
    try:
        while part := os.read(terminal, 4096):
            text += part
    except OSError:  # the end, on Linux
        pass
    equal(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), 0)
    return text.decode().splitlines()


def row_on_a_terminal(columns, *words):
    row, = [line for line in on_a_terminal(columns, "report", *words, "out.varve")
            if "1000 B 100.0%" in line]
    assert len(row) <= columns, row
    return row


@claim
def a_narrow_terminal_cuts_the_function_and_keeps_its_place():
    long = "load_the_configuration_of_everything_and_then_some_more_from_the_disk"
    source = "#include <stdlib.h>\nvoid *kept;\n" \
             f"void {long}(void) {{ kept = malloc(1000); }}\nint main(void) {{ {long}(); }}\n"
    record(compile_c(source, "wide", "-g"))
    row = row_on_a_terminal(80)
    assert re.search(r"  load_the_config\w+\.\.\.  wide\.c:3$", row), row
    equal(len(row), 80)
    row = row_on_a_terminal(200)
    assert row.endswith(f"  {long}  wide.c:3"), row
    row = row_on_a_terminal(80, "--by", "function")
    assert row.endswith("...  in wide"), row


@claim
def a_narrow_terminal_shows_the_end_of_a_long_place():
    source = "#include <stdlib.h>\nvoid *kept;\n" \
             f"#line 77 \"/{'deep/' * 30}there.c\"\n" \
             "int main(void) { kept = malloc(1000); }\n"
    record(compile_c(source, "deep", "-g"))
    row = row_on_a_terminal(80)
    assert re.search(r"  main  \.\.\.[dep/]+/there\.c:77$", row), row
    equal(len(row), 80)


@claim
def no_colours_leave_the_terminal():
    record("/bin/true")
    result = varve("report", "out.varve", env={"TERM": "xterm"}).must()
    assert "\x1b" not in result.out
    shown = run("script", "-qec", f"{VARVE} report out.varve", "/dev/null",
                env={"TERM": "xterm", "NO_COLOR": "1"}).out
    assert "\x1b[" not in shown, shown


main()
