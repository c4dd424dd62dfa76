# SPDX-License-Identifier: MIT
"""What each row runs: the benchmark programs of this folder and the real programs."""
import dataclasses
import pathlib

import measure
import workloads

# Name and threads of the benchmark programs; their header comments say what they stand for.
PROGRAMS = {"small_blocks": 1, "binary_trees": 1, "server_churn": 2, "producer_consumer": 2,
            "mixed_sizes": 1, "growing_vectors": 1, "large_blocks": 1, "string_table": 1,
            "fork_per_request": 1, "thread_local_mix": 2}


@dataclasses.dataclass
class Context:
    """What a run has decided. `work` is a folder for outputs, `home` an empty one."""
    build_dir: pathlib.Path
    work: pathlib.Path
    percent: int
    launcher: measure.Launcher
    inputs: workloads.Inputs

    def program(self, name):
        path = self.build_dir / "bench" / name
        if not path.is_file():  # ours, so an error and not a missing package
            raise measure.Failed(
                f"{path} is not built: cmake --build {self.build_dir} --target bench_programs")
        return path


def varve_command(build_dir):
    path = build_dir / "bin" / "varve"
    if not path.is_file():
        raise measure.Missing(f"{path} not found: build varve first (make)")
    return path


@dataclasses.dataclass
class Row:
    """`command(context)` returns what to run; it may raise Missing. heaptrack_only_records: on
    this program heaptrack_interpret 1.4.0 takes 19 GB and dies (std::bad_alloc), and the program
    with it (SIGPIPE), so only its recording step can be measured: in heaptrack's favour."""
    name: str
    command: object
    note: str = ""
    heaptrack_only_records: bool = False


def program_row(name):
    note = f"{PROGRAMS[name]} threads" if PROGRAMS[name] > 1 else ""
    return Row(name, lambda context: measure.Command([context.program(name), context.percent]),
               note)


def cc1_command(context):
    output = context.work / "program.s"
    return measure.Command([workloads.cc1(), "-quiet", "-w", "-O2", context.inputs.c_file(),
                            "-o", output], output=output)


def clang_command(context):
    output = context.work / "program.o"
    return measure.Command([workloads.tool("clang"), "-w", "-O2", "-c",
                            context.inputs.c_file(), "-o", output], output=output)


def python_command(context):
    script = workloads.GENERATORS / "python_workload.py"
    return measure.Command([workloads.tool("python3"), "-S", "-B", script, context.percent],
                           {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"})


def sqlite_command(context):
    return measure.Command([workloads.tool("sqlite3"), "-batch", "-init", "/dev/null",
                            ":memory:"], stdin=context.inputs.sql_file())


def git_command(context):
    return measure.Command([workloads.tool("git"), "-C", context.inputs.git_repository(), "log",
                            "-p", "--stat", "main"], workloads.git_environment())


CC1 = Row("cc1", cc1_command, "gcc's compiler proper, -O2, one generated C file",
          heaptrack_only_records=True)
SQLITE = Row("sqlite3", sqlite_command, "in-memory database")
GIT = Row("git_log", git_command, "git log -p --stat")
REAL = [CC1, Row("clang", clang_command, "-O2 -c of the same C file"),
        Row("python3", python_command, "PYTHONMALLOC=malloc"), SQLITE, GIT]

TRACE = [CC1, SQLITE, GIT, program_row("string_table"), program_row("binary_trees"),
         program_row("server_churn"), program_row("small_blocks")]
