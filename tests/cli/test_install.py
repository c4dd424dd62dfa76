# SPDX-License-Identifier: MIT
"""make install, and projects that find what it installed."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import *

CONSUMER = os.path.join(SOURCE, "tests", "consumer")


def install():
    prefix = os.path.abspath("prefix")
    run("cmake", "--install", BUILD, "--prefix", prefix).must()
    for folder, _, names in os.walk(prefix):
        if "varve-malloc.pc" in names:
            return prefix, os.path.dirname(folder)
    raise AssertionError("no pkg-config file was installed")


@claim
def everything_is_installed():
    prefix, library_folder = install()
    for path in ("bin/varve", "include/varve/varve.h", "include/varve/heap.h",
                 "include/varve/trace.h", "include/varve/snapshot.h", "share/man/man1/varve.1"):
        assert os.path.exists(os.path.join(prefix, path)), path
    for name in ("libvarve.so", "libvarve.a", "libvarve-malloc.so", "libvarve-symbols.so",
                 "pkgconfig/varve.pc", "cmake/varve/varveConfig.cmake"):
        assert os.path.exists(os.path.join(library_folder, name)), name


@claim
def the_installed_command_works():
    prefix, _ = install()
    result = run(f"{prefix}/bin/varve", "run", "-o", "x.varve", "--", "/bin/ls").must()
    contains(result.err, "at the peak")


@claim
def a_cmake_project_finds_it():
    prefix, library_folder = install()
    run("cmake", "-S", CONSUMER, "-B", "build", f"-DCMAKE_PREFIX_PATH={prefix}").must()
    run("cmake", "--build", "build").must()
    for kind in ("varve", "static", "malloc"):
        contains(run(f"build/with_{kind}", env={"LD_LIBRARY_PATH": library_folder}).must().out, " 100")


@claim
def pkg_config_knows_its_flags():
    prefix, library_folder = install()
    environment = {"PKG_CONFIG_PATH": f"{library_folder}/pkgconfig"}
    for name in ("varve", "varve-malloc"):
        flags = run("pkg-config", "--cflags", "--libs", name, env=environment).must().out.split()
        run("gcc", f"{CONSUMER}/consumer.c", "-o", name, *flags).must()
        contains(run(f"./{name}", env={"LD_LIBRARY_PATH": library_folder}).must().out, " 100")


@claim
def destdir_is_honoured():
    run("cmake", "--install", BUILD, "--prefix", "/usr",
        env={"DESTDIR": os.path.abspath("stage")}).must()
    assert os.path.exists("stage/usr/bin/varve")


main()
