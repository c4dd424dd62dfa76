# SPDX-License-Identifier: MIT
"""varve stat and VARVE_STATS: the allocator's account of a program."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import *

KEEPS = """
#include <stdlib.h>
void *kept[1000];
int main(void) {
    for (int index = 0; index < 1000; index++) kept[index] = malloc(200);
    kept[0] = malloc(100000);
    kept[1] = malloc(30000000);
    return 3;
}
"""


@claim
def the_account_is_printed_and_the_exit_code_passed_on():
    result = varve("stat", "--", compile_c(KEEPS)).must(3)
    equal(result.out, "")
    for part in ("blocks live", "peak resident", "page faults", "fragmentation"):
        contains(result.err, part)


@claim
def the_json_counts_what_lives():
    varve("stat", "--json", "-o", "stat.json", "--", compile_c(KEEPS)).must(3)
    data = json.loads(open("stat.json").read())
    equal(data["schema"], "varve.stat/1")
    assert data["live_blocks"] >= 1002, data
    assert 200000 + 100000 + 30000000 <= data["live_bytes"] < 31000000, data["live_bytes"]
    classes = data["classes"]
    small = [row for row in classes if row["block_bytes"] >= 200]
    assert small[0]["live_blocks"] >= 1000, small[0]
    equal(data["huge"]["live_blocks"] + data["medium"]["live_blocks"] >= 2, True)
    equal(sum(row["live_blocks"] for row in classes) + data["huge"]["live_blocks"]
          + data["medium"]["live_blocks"], data["live_blocks"])


@claim
def every_process_prints_a_line():
    varve("stat", "--json", "-o", "stat.json", "--", "sh", "-c", "/bin/true; git --version; ls; :")
    lines = [json.loads(line) for line in open("stat.json")]
    assert len(lines) >= 4, len(lines)


@claim
def a_process_that_ends_past_its_exit_handlers_gives_an_account():
    for call in ("_exit(4)", "_Exit(4)", "quick_exit(4)", "exit(4)"):
        program = compile_c("#include <stdlib.h>\n#include <unistd.h>\nint main(void) {"
                            f"if (malloc(77777) == NULL) return 1; {call}; }}")
        if os.path.exists("stat.json"):
            os.remove("stat.json")
        varve("stat", "--json", "-o", "stat.json", "--", program).must(4)
        account, = [json.loads(line) for line in open("stat.json")]
        assert account["live_bytes"] >= 77777, call


@claim
def a_child_made_by_vfork_gives_no_account_of_its_parent():
    program = compile_c("""
    #define _GNU_SOURCE
    #include <stdlib.h>
    #include <sys/wait.h>
    #include <unistd.h>
    int main(void) {
        void *kept = malloc(1000);
        if (vfork() == 0) _exit(0);
        wait(NULL);
        if (fork() == 0) _exit(0);
        wait(NULL);
        return kept == NULL;
    }
    """)
    varve("stat", "--json", "-o", "stat.json", "--", program).must()
    equal(len(open("stat.json").readlines()), 2, "accounts, of parent and forked child")


@claim
def a_signal_leaves_no_account_and_that_is_said():
    result = varve("stat", "--", "sh", "-c", "kill -9 $$").must(128 + 9)
    contains(result.err, "sh was ended by signal 9 (Killed), so it gave no account")


@claim
def an_account_that_cannot_be_written_is_said():
    result = varve("stat", "-o", "no/such/folder", "--", "/bin/true").must(2)
    contains(result.err, "cannot write the account to no/such/folder: No such file or directory")
    result = varve("stat", "-o", "/dev/full", "--", "/bin/true").must()
    contains(result.err, "VARVE_STATS_FILE=/dev/full is ignored: it cannot be written to")
    contains(result.err, "blocks live")


@claim
def an_account_goes_to_its_owner_only():
    varve("stat", "-o", "account", "--", "/bin/true").must()
    equal(os.stat("account").st_mode & 0o777, 0o600)


@claim
def wrong_settings_are_said_once_and_ignored():
    for name, value in (("VARVE_STATS", "perhaps"), ("VARVE_DEBUG", "2"), ("VARVE_PURGE_MS", "soon")):
        result = run("git", "--version", env={name: value, "LD_PRELOAD": MALLOC}).must()
        equal(result.err.count(f"varve: {name}={value} is ignored"), 1, name)


main()
