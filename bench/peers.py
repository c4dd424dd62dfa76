# SPDX-License-Identifier: MIT
"""The allocators to compare: where Debian keeps them, their versions, how to run under them."""
import dataclasses
import pathlib
import shutil
import subprocess

import measure

PEER_LIBRARIES = {  # name: (soname, Debian package)
    "mimalloc": ("libmimalloc.so.2", "libmimalloc2.0"),
    "jemalloc": ("libjemalloc.so.2", "libjemalloc2"),
    "tcmalloc": ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
}


@dataclasses.dataclass
class Allocator:
    """`library` None: whatever the program is linked with, that is glibc."""
    name: str
    library: pathlib.Path = None
    version: str = "unknown"
    kind: str = "peer"  # or "varve", "candidate"

    def environment(self):
        return {"LD_PRELOAD": str(self.library)} if self.library else {}


def output_of(*argv):
    """The standard output of a command, or "" when it cannot run or fails."""
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL, text=True, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def find_library(soname):
    """Through the loader's cache, else in the multiarch library folders; None if absent."""
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
    for line in output_of(ldconfig or "ldconfig", "-p").splitlines():
        words = line.split()
        if words and words[0] == soname and "x86-64" in line:
            return pathlib.Path(words[-1])
    for folder in ("/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64"):
        path = pathlib.Path(folder) / soname
        if path.exists():
            return path
    return None


def package_version(package):
    return output_of("dpkg-query", "-W", "-f", "${Version}", package) or "unknown"


def glibc():
    return Allocator("glibc", version=package_version("libc6"))


def find_peers():
    """The peers on this machine, glibc first, and the missing ones with what to install."""
    found, missing = [glibc()], {}
    for name, (soname, package) in PEER_LIBRARIES.items():
        library = find_library(soname)
        if library is None:
            missing[name] = f"{soname} not found: apt install {package}"
        else:
            found.append(Allocator(name, library, package_version(package)))
    return found, missing


def from_path(name, path, kind, version="given by path"):
    """An allocator given as a file."""
    library = pathlib.Path(path).resolve()
    if not library.is_file():
        raise measure.Missing(f"{path} not found: build varve first (make), or name another "
                              f"library with --varve-lib PATH")
    return Allocator(name, library, version, kind)


def check_preloads(launcher, allocators):
    """Every library can be preloaded: the loader itself only warns when it cannot."""
    for allocator in allocators:
        try:
            launcher.run(measure.Command(["/bin/true"], allocator.environment()))
        except measure.Failed as error:
            raise measure.Missing(f"{allocator.name}: /bin/true does not run with "
                                  f"{allocator.library} preloaded: {error}") from None
