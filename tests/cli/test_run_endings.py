# SPDX-License-Identifier: MIT
"""How runs of varve run end: exit codes, kills, full disks, and what is left behind."""

import glob
import os
import pty
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import *
from recording import *


@claim
def the_exit_code_is_the_programs():
    for code in (0, 1, 2, 77, 125):
        varve("run", "-q", "-f", "-o", "x.varve", "--", "sh", "-c", f"exit {code}").must(code)
    result = varve("run", "-q", "-f", "-o", "x.varve", "--", "sh", "-c", "kill -TERM $$")
    result.must(128 + signal.SIGTERM)
    result = varve("run", "-q", "-f", "-o", "x.varve", "--", "sh", "-c", "kill -SEGV $$")
    result.must(128 + signal.SIGSEGV)


CATCHER = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
void leave(int number) { _exit(number); }
int main(void) {
    int numbers[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH};
    for (int index = 0; index < 8; index++) signal(numbers[index], leave);
    puts(getenv("VARVE_TRACE"));
    fflush(stdout);
    sleep(20);
    return 0;
}
"""


@claim
def signals_to_varve_are_passed_on_to_the_program():
    program = compile_c(CATCHER)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1,
                   signal.SIGUSR2, signal.SIGALRM, signal.SIGWINCH):
        process = subprocess.Popen([VARVE, "run", "-q", "-f", "-o", "x.varve", "--", program],
                                   stdout=subprocess.PIPE, text=True)
        folder = process.stdout.readline().strip()
        process.send_signal(number)
        equal(process.wait(timeout=60), number)
        assert not os.path.exists(folder), folder


@claim
def sigint_of_the_terminal_reaches_the_program_once():
    program = compile_c("""
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
volatile int count;
void note(int number) { count++; }
int main(void) {
    signal(SIGINT, note);
    puts("ready");
    while (count == 0) usleep(1000);
    usleep(300000);
    return count;
}
""")
    process, terminal = pty.fork()
    if process == 0:
        os.execv(VARVE, ["varve", "run", "-q", "-o", "x.varve", "--", program])
    contains(os.read(terminal, 100).decode(), "ready")
    os.write(terminal, b"\3")
    equal(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), 1)


@claim
def nobody_reading_the_summary_changes_nothing():
    program = compile_c("""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
int main(void) {
    puts(getenv("VARVE_TRACE"));
    return signal(SIGPIPE, SIG_DFL) == SIG_DFL ? 3 : 4;
}
""")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([VARVE, "run", "-o", "x.varve", "--", program], stdout=subprocess.PIPE,
                          stderr=writer, text=True)
    os.close(writer)
    equal(done.returncode, 3)
    assert not os.path.exists(done.stdout.strip()), done.stdout
    assert report("x.varve")["processes"] == 1


@claim
def captures_are_for_their_owner_only():
    record("/bin/true")
    equal(stat.S_IMODE(os.stat("out.varve").st_mode), 0o600)


@claim
def kill_9_leaves_a_full_account():
    program = compile_c("""
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
void *kept[1000];
int main(void) {
    for (int index = 0; index < 1000; index++) kept[index] = malloc(1234);
    kill(getpid(), SIGKILL);
}
""")
    record(program, code=128 + signal.SIGKILL)
    data = report("--view", "live", "--by", "function", "out.varve")
    equal(rows_by_function(data)["main"]["bytes"], 1234000)
    text = varve("report", "out.varve").must().out
    contains(text, "killed by signal 9")


@claim
def an_abort_leaves_a_full_account():
    program = compile_c("""
#include <stdlib.h>
void *kept;
int main(void) { kept = malloc(54321); abort(); }
""")
    record(program, code=128 + signal.SIGABRT)
    equal(report("--view", "live", "out.varve")["live_bytes"], 54321)


@claim
def killing_varve_itself_leaves_the_store_readable():
    program = compile_c("""
#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>
void *kept;
int main(void) { kept = malloc(98765); puts(getenv("VARVE_TRACE")); fflush(stdout); sleep(2); }
""")
    process = subprocess.Popen([VARVE, "run", "-q", "-o", "x.varve", "--", program],
                               stdout=subprocess.PIPE, text=True,
                               env=dict(os.environ, TMPDIR=os.getcwd()))
    folder = process.stdout.readline().strip()
    process.kill()
    process.wait()
    [store] = glob.glob(f"{folder}/*.store")
    equal(stat.S_IMODE(os.stat(folder).st_mode), 0o700, "folder")
    equal(stat.S_IMODE(os.stat(store).st_mode), 0o600, "store")
    data = report("--view", "live", "--by", "function", store)
    assert rows_by_function(data)["main"]["bytes"] == 98765, data
    time.sleep(2.5)
    shutil.rmtree(folder)


@claim
def processes_that_outlive_the_run_are_counted():
    for count, words in ((1, "1 process of the run is still running; its capture ends here"),
                         (2, "2 processes of the run are still running; their captures end here")):
        program = compile_c(f"""
#include <stdlib.h>
#include <unistd.h>
char *volatile kept;
int main(void) {{
    int ready[2];
    char byte;
    if (pipe(ready) != 0) return 1;
    for (int index = 0; index < {count}; index++) {{
        if (fork() == 0) {{
            kept = malloc(10);
            if (write(ready[1], "r", 1) != 1) return 1;
            sleep(2);
            return 0;
        }}
    }}
    for (int index = 0; index < {count}; index++) if (read(ready[0], &byte, 1) != 1) return 1;
    return 0;
}}
""")
        with open("err", "w") as err:
            subprocess.run([VARVE, "run", "-f", "-o", "x.varve", "--", program], stderr=err,
                           check=True)
        contains(open("err").read(), words)


@claim
def no_folder_is_left_behind():
    folder = record("sh", "-c", "echo $VARVE_TRACE && test -d $VARVE_TRACE").out.strip()
    contains(folder, "/varve-")
    assert not os.path.exists(folder), folder


@claim
def a_folder_that_cannot_be_read_is_named():
    result = varve("run", "--", "sh", "-c",
                   "rm -r $VARVE_TRACE && touch $VARVE_TRACE && echo $VARVE_TRACE").must(125)
    folder = result.out.strip()
    contains(result.err, f"cannot make captures: Not a directory. The traces are in the folder {folder};")
    os.unlink(folder)


@claim
def a_full_disk_is_said_and_the_store_kept():
    def tiny_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, resource.RLIM_INFINITY))
    if os.geteuid() != 0:
        raise Skipped("only root may mount a small file system")
    os.mkdir("disk")
    if run("mount", "-t", "tmpfs", "-o", "size=16k", "none", "disk").code != 0:
        raise Skipped("no file system can be mounted here")
    try:
        with open("disk/filler", "wb", buffering=0) as filler:
            try:
                while filler.write(bytes(512)):
                    pass
            except OSError:
                pass
        result = varve("run", "-q", "-o", "disk/x.varve", "--", "/usr/bin/git", "no-such-command")
        result.must(125)
        contains(result.err, "cannot write disk/x.varve: No space left on device")
        store = result.err.split("The trace is in ")[1].split(",")[0]
        assert report(store)["total_bytes"] > 10000
        equal(os.listdir("disk"), ["filler"])
        shutil.rmtree(os.path.dirname(store))
    finally:
        run("umount", "disk").must()


@claim
def a_full_disk_under_report_is_said():
    record("/bin/true")
    with open("/dev/full", "w") as full:
        done = subprocess.run([VARVE, "report", "out.varve"], stdout=full, stderr=subprocess.PIPE,
                              text=True)
    equal(done.returncode, 2)
    contains(done.stderr, "No space left on device")


@claim
def a_small_stack_is_enough_for_names():
    program = compile_c(EXACT)

    def limit():
        resource.setrlimit(resource.RLIMIT_STACK, (128 << 10, 128 << 10))
    varve("run", "-o", "x.varve", "--", program, preexec_fn=limit).must()
    contains(varve("report", "x.varve", preexec_fn=limit).must().out, "peak_and_free  program.c:")


@claim
def no_room_for_the_trace_is_said_by_the_program():
    program = compile_c(EXACT.replace("return 0;", "return 3;"))

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    result = varve("run", "-q", "-o", "x.varve", "--", program, preexec_fn=limit)
    result.must(125)
    contains(result.err, "is not recorded: ")
    contains(result.err, "left no trace; unless it said why, ")


main()
