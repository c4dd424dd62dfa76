# SPDX-License-Identifier: MIT
"""Measuring one process, and many of them in turn.

A process is started by the launcher (launch.c), never by Python itself: a child inherits the
peak of the process that forked it, and Python is larger than many of the programs measured.
"""
import dataclasses
import hashlib
import os
import pathlib
import signal
import subprocess
import tempfile


class Missing(Exception):
    """A program or library that the machine lacks; says what to install."""


class Failed(Exception):
    """A measured program failed, or its output differs."""


@dataclasses.dataclass
class Command:
    """What to run. `output` is a file that it writes, compared together with stdout; `clean`
    takes a tool's own lines out of stdout."""
    argv: list
    environment: dict = dataclasses.field(default_factory=dict)
    stdin: pathlib.Path = None
    output: pathlib.Path = None
    accepted: tuple = (0,)
    clean: object = None


@dataclasses.dataclass
class Sample:
    """What one run cost. watched_*: the traced program alone, see launch.c."""
    wall_s: float
    cpu_s: float
    peak_bytes: int
    faults: int
    watched_bytes: int
    watched_s: float
    digest: str


def tail(path):
    """The last line of a file with text in it, for an error message."""
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"


class Launcher:
    def __init__(self, path, home, timeout_s):
        self.path = pathlib.Path(path)
        self.home = home
        self.timeout_s = timeout_s
        if not self.path.is_file():
            raise Missing(f"{self.path} is not built: cmake --build BUILD --target bench_programs")

    def environment(self, extra):
        """The same for every program: nothing of the caller's but the VARVE_ variables."""
        values = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.home), "LC_ALL": "C"}
        values.update((key, text) for key, text in os.environ.items() if key.startswith("VARVE_"))
        values.update(extra)
        return values

    def popen(self, command, result, stdout, stderr, watch=None):
        """Starts the launcher in a process group of its own."""
        argv = [str(self.path)] + (["-w", watch] if watch else []) + [str(result)]
        stdin = open(command.stdin, "rb") if command.stdin else subprocess.DEVNULL
        try:
            return subprocess.Popen(argv + [str(word) for word in command.argv], stdin=stdin,
                                    stdout=stdout, stderr=stderr, cwd=self.home,
                                    env=self.environment(command.environment),
                                    start_new_session=True)
        finally:
            if command.stdin:
                stdin.close()

    def run(self, command, watch=None, timeout_s=None):
        """Runs a command to its end; raises Failed with one line."""
        with tempfile.TemporaryDirectory(prefix="varve-bench-") as folder:
            folder = pathlib.Path(folder)
            result, out, err = folder / "result", folder / "stdout", folder / "stderr"
            with open(out, "wb") as stdout, open(err, "wb") as stderr:
                process = self.popen(command, result, stdout, stderr, watch)
                wait(process, timeout_s or self.timeout_s)
            sample = read_sample(command, process, result, out, err)
        if watch and sample.watched_bytes == 0:
            raise Failed(f"no process named {watch} was seen")
        return sample


def wait(process, timeout_s):
    try:
        process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        end_group(process)
        raise Failed(f"took longer than {timeout_s:g} s and was ended") from None
    except BaseException:  # such as Ctrl-C, which the group of the process does not receive
        end_group(process)
        raise


def end_group(process):
    """Kills the launcher and all that it started: popen() gave them a group of their own."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def read_sample(command, process, result, out, err):
    if process.returncode != 0 or not result.exists():
        raise Failed(f"the launcher failed: {tail(err)}")
    facts = dict(line.split() for line in result.read_text().splitlines())
    if int(facts["exit_code"]) not in command.accepted:
        raise Failed(f"exit code {facts['exit_code']}: {tail(err)}")
    if b"cannot be preloaded" in err.read_bytes():
        raise Failed("the dynamic loader could not preload the library")
    stdout = out.read_bytes()
    digest = hashlib.sha256(command.clean(stdout) if command.clean else stdout)
    if command.output:
        digest.update(pathlib.Path(command.output).read_bytes())
    return Sample(wall_s=float(facts["wall_s"]),
                  cpu_s=float(facts["user_s"]) + float(facts["system_s"]),
                  peak_bytes=int(facts["peak_kib"]) * 1024, faults=int(facts["faults"]),
                  watched_bytes=int(facts["watched_kib"]) * 1024,
                  watched_s=float(facts["watched_s"]), digest=digest.hexdigest())


@dataclasses.dataclass
class Column:
    """One way to run a row's program: an allocator or a tracer. `measure` returns a Sample.
    `round_count` 0 means as many rounds as the run has; slow tools may take fewer."""
    name: str
    measure: object
    round_count: int = 0
    warm_up: bool = True


def interleave(columns, round_count, warm_up_count):
    """Runs all columns in turn, the order rotated by one each round. Returns two dictionaries by
    column name: the samples, and the error of each column that failed (and was not run again)."""
    samples = {column.name: [] for column in columns}
    errors = {}
    for number in range(-warm_up_count, round_count):
        shift = number % max(1, len(columns))
        for column in columns[shift:] + columns[:shift]:
            skipped = not column.warm_up if number < 0 else 0 < column.round_count <= number
            if skipped or column.name in errors:
                continue
            try:
                sample = column.measure()
            except Failed as error:
                errors[column.name] = str(error)
                continue
            if number >= 0:
                samples[column.name].append(sample)
    return {name: list_ for name, list_ in samples.items() if name not in errors}, errors


def differing(samples, reference):
    """The columns whose output was not that of the reference column in every run."""
    expected = samples[reference][0].digest if samples.get(reference) else None
    return [name for name, list_ in samples.items()
            if expected and any(sample.digest != expected for sample in list_)]
