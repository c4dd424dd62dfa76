# SPDX-License-Identifier: MIT
"""The real programs of the rows and the files they work on, made once per scale."""
import hashlib
import pathlib
import shutil
import subprocess
import sys

import measure
import peers

GENERATORS = pathlib.Path(__file__).resolve().parent / "inputs"
TOOL_PATH = "/usr/local/bin:/usr/bin:/bin"
PACKAGES = {"gcc": "gcc", "clang": "clang", "git": "git", "sqlite3": "sqlite3",
            "python3": "python3", "redis-server": "redis-server",
            "redis-benchmark": "redis-tools", "heaptrack": "heaptrack",
            "heaptrack_print": "heaptrack", "jeprof": "libjemalloc-dev"}


def tool(name):
    """The absolute path of a program."""
    path = shutil.which(name, path=TOOL_PATH)
    if path is None:
        raise measure.Missing(f"{name} not found: apt install {PACKAGES[name]}")
    return path


def cc1():
    path = peers.output_of(tool("gcc"), "-print-prog-name=cc1")
    if not pathlib.Path(path).is_absolute():
        raise measure.Missing("gcc has no cc1: apt install gcc")
    return path


class Inputs:
    """Files under the build folder, written when missing or when their generator changed."""

    def __init__(self, folder, percent):
        self.folder = pathlib.Path(folder) / f"inputs-{percent}"
        self.percent = percent
        self.folder.mkdir(parents=True, exist_ok=True)

    def make(self, name, generator, build):
        """Calls build(path) unless the file was made by this very generator."""
        path, stamp = self.folder / name, self.folder / f"{name}.stamp"
        digest = hashlib.sha256((GENERATORS / generator).read_bytes()).hexdigest()
        if not (path.exists() and stamp.exists() and stamp.read_text() == digest):
            build(path)
            stamp.write_text(digest)
        return path

    def generate(self, generator, path):
        with open(path, "wb") as out:
            subprocess.run([sys.executable, GENERATORS / generator, str(self.percent)],
                           stdout=out, check=True)

    def generated(self, name, generator):
        return self.make(name, generator, lambda path: self.generate(generator, path))

    def c_file(self):
        return self.generated("program.c", "generate_c_file.py")

    def sql_file(self):
        return self.generated("workload.sql", "generate_sql.py")

    def git_repository(self):
        generator = "generate_git_history.py"
        return self.make("history.git", generator, lambda path: self.import_git(generator, path))

    def import_git(self, generator, path):
        git = tool("git")
        environment = git_environment() | {"PATH": TOOL_PATH, "HOME": str(self.folder)}
        shutil.rmtree(path, ignore_errors=True)
        subprocess.run([git, "init", "--quiet", "--bare", path], check=True, env=environment)
        stream = self.folder / "history.stream"
        self.generate(generator, stream)
        with open(stream, "rb") as stdin:
            subprocess.run([git, "-C", path, "fast-import", "--quiet", "--done"], stdin=stdin,
                           check=True, env=environment)
        stream.unlink()


def git_environment():
    """Keeps the user's and the system's settings out."""
    return {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_PAGER": "cat"}
