# SPDX-License-Identifier: MIT
"""Facts about the machine and the versions of what is measured."""
import os
import pathlib
import platform
import re
import shutil

import peers
import workloads

COMMANDS = {"gcc": ["--version"], "clang": ["--version"], "python3": ["--version"],
            "sqlite3": ["--version"], "git": ["--version"], "redis-server": ["--version"],
            "heaptrack": ["--version"]}


def read(path):
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return ""


def chosen(path):
    """The word in brackets of a kernel setting such as "always [madvise] never"."""
    found = re.search(r"\[(\w+)\]", read(path))
    return found.group(1) if found else "unknown"


def facts():
    model = re.search(r"model name\s*:\s*(.+)", read("/proc/cpuinfo"))
    memory = re.search(r"MemTotal:\s*(\d+)", read("/proc/meminfo"))
    system = re.search(r'PRETTY_NAME="(.+)"', read("/etc/os-release"))
    return {"cpu": model.group(1) if model else "unknown",
            "cores": len(os.sched_getaffinity(0)),
            "memory_bytes": int(memory.group(1)) * 1024 if memory else 0,
            "kernel": platform.release(), "system": system.group(1) if system else "unknown",
            "huge_pages": chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
            "virtual": "hypervisor" in read("/proc/cpuinfo")}


def versions(allocators):
    """First lines of --version, and the package versions of the allocators and of bdwgc."""
    found = {allocator.name: allocator.version for allocator in allocators}
    for name, arguments in COMMANDS.items():
        path = shutil.which(name, path=workloads.TOOL_PATH)
        lines = peers.output_of(path, *arguments).splitlines() if path else []
        found[name] = lines[0] if lines else "not installed"
    found["bdwgc"] = peers.package_version("libgc1")
    return found


def varve_version(root, build_dir):
    """The command's own version if it is built, and the commit if this is a checkout."""
    command = build_dir / "bin" / "varve"
    version = peers.output_of(str(command), "--version") if command.is_file() else ""
    git = shutil.which("git", path=workloads.TOOL_PATH)
    commit = peers.output_of(git, "--no-optional-locks", "-C", str(root), "describe", "--always",
                             "--dirty") if git else ""
    first = version.splitlines()[0] if version else "not built"
    return f"{first}, commit {commit}" if commit else first
