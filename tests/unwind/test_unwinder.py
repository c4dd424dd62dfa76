# SPDX-License-Identifier: MIT
"""A million stacks of real programs, unwound by varve and by libunwind: there must be no difference.
The comparing library is tests/unwind/compare.c; see there for what is compared when."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "bench"))
from claims import *

COMPARE = os.path.join(BUILD, "lib", "libunwind_compare.so")
total_stacks = 0


def compare(*words, signals=False, steps=0, at_least=1000, code=0, throws=False):
    """Runs a program under the comparing library; every stack must be the same. Where code without
    unwind information is interrupted (the C runtime's _fini and deregister_tm_clones are such
    code), both unwinders guess, and libunwind's guess is known to lead astray. In the instant in
    which a thrown exception is handed over, libgcc writes over the frames that it leaves: there
    both unwinders say that the caller is no code."""
    global total_stacks
    if not os.path.exists(COMPARE):
        raise Skipped("libunwind's development files are not installed")
    environment = {"LD_PRELOAD": COMPARE, "UNWIND_COMPARE": os.path.abspath("compared")}
    if signals:
        environment["UNWIND_COMPARE_SIGNALS"] = "1"
    if steps:
        environment["UNWIND_COMPARE_STEPS"] = str(steps)
    run(*words, env=environment, timeout=900).must(code)
    counts = {"stacks": 0, "frames": 0, "signals": 0}
    guessed = []
    left = []
    differences = []
    for line in open("compared"):
        name, rest = line.split(" ", 1)
        if name in counts:
            counts[name] += int(rest)
        elif name == "guessed":
            guessed.append(rest)
        elif name == "left":
            left.append(rest)
        else:
            differences.append(line)
    assert not differences, "".join(differences)
    assert counts["stacks"] >= at_least, counts
    if signals:
        assert counts["signals"] >= 3, counts
    left_count = sum(int(line.split()[0]) for line in left)
    assert left_count <= (2 + counts["signals"] // 50 if throws else 0), left
    total_stacks += counts["stacks"]
    print(f"compared {counts} of {os.path.basename(words[0])}", *guessed, *left)
    return guessed


@claim
def of_gcc_with_signals():
    import workloads
    path = workloads.Inputs(os.getcwd(), 42).c_file()
    cc1 = run("gcc", "-print-prog-name=cc1").must().out.strip()
    compare(cc1, "-quiet", "-O2", path, "-o", "x.s", signals=True, at_least=500000)


@claim
def of_python():
    with open("script.py", "w") as file:
        file.write("""
import json, re, collections
data = [{'key': i, 'value': [str(i)] * 3} for i in range(3000)]
text = json.dumps(data, indent=1)
print(len(json.loads(text)), collections.Counter(re.findall('[0-9]+', text)).most_common(2))
""")
    compare("/usr/bin/python3", "script.py", signals=True)


@claim
def of_perl():
    compare("perl", "-e", "my %h; for my $i (1 .. 150000) { push @{$h{$i % 999}}, 'x' x ($i % 20) }"
            " my $text = join ',', map { @{$h{$_}} } sort keys %h; $text =~ s/(x+)/length $1/ge;"
            " print length $text", at_least=100000)


@claim
def of_ruby():
    compare("ruby", "-e", "h = {}; 20000.times { |i| h[i.to_s] = [i] * 3 }; p h.map { |k, v|"
            " k * 2 + v.join }.sort.length")


@claim
def of_exceptions_in_flight():
    program = compile_c("""
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>
static int made;
struct Guard { // allocates while the stack is being unwound
    ~Guard() { made += std::string(50 + made % 30, 'x').size() > 10; }
};
__attribute__((noinline)) static void thrower(int depth) {
    Guard guard;
    std::vector<int> numbers(depth + 1);
    if (depth == 0) throw std::runtime_error("a text that is too long for the small buffer");
    thrower(depth - 1);
    numbers[0] = 1;
}
__attribute__((noinline)) static void rethrower(int depth) {
    try { thrower(depth); }
    catch (const std::exception &error) {
        std::string copy = error.what();
        if (copy.size() > 5) throw;
    }
}
int main() {
    for (int round = 0; round < 1500; round++) {
        try { rethrower(round % 25); } catch (...) { auto kept = std::make_unique<long>(round); made += *kept == 3; }
    }
    return made == 0;
}
""", "thrower", "-O2", compiler="g++")
    compare(program, signals=True, throws=True)


@claim
def of_stubs_of_the_linker_and_assembler_in_libc():
    program = compile_c("""
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
static char from[70000], to[70000];
int main(void) {
    /* Unbound calls go through the linker's trampoline; string functions are assembler. */
    clock_t end = clock() + 2 * CLOCKS_PER_SEC;
    unsigned long sum = 0;
    for (int round = 0; clock() < end; round++) {
        memset(from, 'a', sizeof from - 1);
        memcpy(to, from, sizeof from);
        memmove(to + 3, to, 60000);
        sum += strlen(to) + (unsigned long)strchr(from, 'b') + strcmp(from, to) + (unsigned long)memchr(to, 'z', 60000);
        sum += (unsigned long)(sin(round) * 100 + pow(round, 0.3) + exp(round % 10));
        free(malloc(100 + round % 1000));
        if (round % 500 == 0) { char text[100]; snprintf(text, sizeof text, "%d %f", round, sqrt(round)); sum += text[0]; }
    }
    printf("%d", sum == 0);
    return 0;
}
""", "assembler", "-lm", "-Wl,-z,lazy")
    compare(program, signals=True)


@claim
def at_every_instruction_of_python_for_a_while():
    compare("/usr/bin/python3", "-c",
            "import os, re, signal; os.kill(os.getpid(), signal.SIGPROF);"
            " print(re.sub('a+', lambda match: f'{len(match[0]):.1f}', 'baab' * 3), sorted('text'))",
            steps=50000, at_least=50000)


@claim
def at_every_instruction_of_a_programs_end():
    program = compile_c("""
#include <csignal>
#include <iostream>
#include <map>
#include <string>
static std::map<std::string, int> counts;
struct Last { ~Last() { std::cout << counts.size() << std::endl; } } last;
int main() {
    raise(SIGPROF);
    for (int number = 0; number < 20; number++) counts[std::to_string(number)] += number;
    return 0;
}
""", "ending", "-O2", compiler="g++")
    guessed = compare(program, steps=1000000, at_least=20000)
    contains("".join(guessed), "ending+")  # code that nobody describes is among it


@claim
def of_signal_handlers_that_allocate():
    program = compile_c("""
#include <signal.h>
#include <stdlib.h>
static volatile int count;
static void handler(int number) { (void)number; free(malloc(33)); count++; }
__attribute__((noinline)) static void deep(int depth) {
    volatile char room[64];
    room[0] = (char)depth;
    if (depth > 0) deep(depth - 1);
    else raise(SIGUSR1);
    room[1] = room[0];
}
int main(void) {
    signal(SIGUSR1, handler);
    stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
    for (int round = 0; round < 2000; round++) deep(round % 40);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    for (int round = 0; round < 2000; round++) deep(round % 40);
    return count != 4000;
}
""", "handlers")
    compare(program)


@claim
def which_are_a_million_in_all():
    assert total_stacks >= 1000000 or len(sys.argv) > 1, total_stacks


main()
