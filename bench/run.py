#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures varve against other allocators and tracers, see bench/README.md.

    bench/run.py --build-dir build --area heap|trace|gc|all [--rows a,b] [--quick]

Exit code: 0 measured, 1 a row failed or printed something else than under glibc, 2 the run could
not start. Programs that are not installed are named and left out.
"""
import argparse
import datetime
import os
import pathlib
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the source tree

import collector
import heap
import machine
import measure
import peers
import report
import results
import rows
import trace
import workloads

ROOT = pathlib.Path(__file__).resolve().parent.parent
AREAS = {"heap": heap, "trace": trace, "gc": collector}
QUICK_PERCENT = 20


def parse_arguments():
    parser = argparse.ArgumentParser(description="varve's benchmarks", allow_abbrev=False)
    add = parser.add_argument
    add("--build-dir", type=pathlib.Path, default=ROOT / "build", metavar="DIR")
    add("--area", choices=["heap", "trace", "gc", "all"], default="heap")
    add("--rows", default="", metavar="A,B", help="only these rows")
    add("--rounds", type=int, default=5, help="counted rounds (default 5)")
    add("--peer-rounds", type=int, default=1,
        help="rounds of heaptrack and of jemalloc's profiling, which are slow (default 1)")
    add("--start-up-runs", type=int, default=200, help="starts per allocator (default 200)")
    add("--scale", type=int, default=100, metavar="PERCENT", help="work per program")
    add("--quick", action="store_true", help="scale 20, 1 round, no warm-up: checks the runner")
    add("--varve-lib", type=pathlib.Path, metavar="FILE", help="another library as varve")
    add("--candidate", action="append", default=[], metavar="NAME=FILE",
        help="a further library, as a column for information")
    add("--out", type=pathlib.Path, metavar="FILE", help="default BUILD_DIR/bench/results.json")
    add("--keep", action="store_true", help="keep the rows of --out that are not measured now")
    add("--report", type=pathlib.Path, metavar="FILE", help="also write the results as Markdown")
    add("--timeout", type=float, default=1800, metavar="SECONDS", help="for one process")
    add("--list", action="store_true", help="print the rows and exit")
    options = parser.parse_args()
    if options.quick:
        options.scale, options.rounds, options.peer_rounds = QUICK_PERCENT, 1, 1
        options.start_up_runs = 10
    if min(options.rounds, options.peer_rounds, options.start_up_runs, options.scale) < 1:
        parser.error("rounds, starts and scale must be 1 or more")
    options.build_dir = options.build_dir.resolve()
    options.out = options.out or options.build_dir / "bench" / "results.json"
    return options


def choose_rows(options):
    """Pairs of area and row, in the order of the areas."""
    areas = list(AREAS) if options.area == "all" else [options.area]
    pairs = [(area, name) for area in areas for name in AREAS[area].ROW_NAMES]
    wanted = [name for name in options.rows.split(",") if name]
    unknown = [name for name in wanted if name not in [row for _, row in pairs]]
    if unknown:
        raise measure.Missing(f"no row {unknown[0]} in area {options.area}; there are: "
                              f"{', '.join(dict.fromkeys(row for _, row in pairs))}")
    return [pair for pair in pairs if not wanted or pair[1] in wanted]


def choose_allocators(options):
    """All columns of the heap area, varve first, and the missing peers."""
    path = options.varve_lib or options.build_dir / "lib" / "libvarve-malloc.so"
    version = "given by path" if options.varve_lib else machine.varve_version(
        ROOT, options.build_dir)
    allocators = [peers.from_path(results.VARVE, path, "varve", version)]
    found, missing = peers.find_peers()
    allocators += found
    for text in options.candidate:
        name, separator, candidate_path = text.partition("=")
        if not separator or not name or name in [item.name for item in allocators]:
            raise measure.Missing(f"--candidate {text}: give a new name, as in name=path")
        allocators.append(peers.from_path(name, candidate_path, "candidate"))
    return allocators, missing


def without_root(text):
    return text.replace(f"{ROOT}/", "")


def run_facts(options, allocators, missing, launcher):
    started = datetime.datetime.now(datetime.timezone.utc)
    return {"id": started.strftime("%Y-%m-%dT%H:%M:%SZ"), "area": options.area,
            "rounds": options.rounds, "warm_up": 0 if options.quick else 1,
            "peer_rounds": options.peer_rounds, "start_up_runs": options.start_up_runs,
            "percent": options.scale, "machine": machine.facts(),
            "varve": machine.varve_version(ROOT, options.build_dir),
            "varve_library": without_root(str(allocators[0].library)),
            "varve_environment": " ".join(sorted(f"{key}={value}" for key, value in
                                                 os.environ.items() if key.startswith("VARVE_"))),
            "versions": machine.versions(allocators[1:]), "missing": missing, "errors": [],
            "true_peak_bytes": launcher.run(measure.Command(["/bin/true"])).peak_bytes}


def say(text):
    print(without_root(text), file=sys.stderr, flush=True)


def show(records):
    """One line per record: the medians of all columns."""
    for item in records:
        values = {"varve": item["varve"]} | item["peers"] | item["candidates"]
        cells = "  ".join(f"{name} {report.shown(value, item['unit'])}"
                          for name, value in values.items())
        unit = "MiB" if item["unit"] == "B" else item["unit"]
        print(f"{item['area']:5} {item['row']:17} {item['metric']:18} {unit:5}  {cells}",
              flush=True)


def measure_all(context, chosen, allocators, options, facts):
    """Every row in turn; a row that cannot run is an error or, if a program is not installed,
    noted as missing."""
    records = []
    for area, name in chosen:
        try:
            new, errors, missing = AREAS[area].measure_row(context, name, allocators, options)
        except measure.Missing as error:
            new, errors, missing = [], {}, {f"{area} row {name}": str(error)}
        except measure.Failed as error:
            new, errors, missing = [], {"all": str(error)}, {}
        for column, text in errors.items():
            say(f"run.py: {area} row {name}: {column}: {text}")
            facts["errors"].append({"area": area, "row": name, "column": column,
                                    "message": without_root(text)})
        for what, text in missing.items():
            if facts["missing"].get(what) != text:
                say(f"run.py: {what} is not measured: {text}")
            facts["missing"][what] = without_root(text)
        show(new)
        records += new
    return records


def finish(options, records, facts):
    """Writes the files; returns the exit code."""
    results.attach_run(records, facts["id"], facts)
    if options.keep:
        records = results.merge(results.load(options.out), records)
    results.save(options.out, records)
    say(f"run.py: wrote {options.out}")
    if options.report:
        options.report.write_text(report.render(records))
        say(f"run.py: wrote {options.report}")
    return 1 if facts["errors"] else 0


def main():
    options = parse_arguments()
    try:
        chosen = choose_rows(options)
        if options.list:
            print("\n".join(f"{area} {name}" for area, name in chosen))
            return 0
        allocators, missing = choose_allocators(options)
        if any(area == "trace" for area, _ in chosen):
            rows.varve_command(options.build_dir)
        with tempfile.TemporaryDirectory(prefix="varve-bench-") as folder:
            work = pathlib.Path(folder)
            (work / "home").mkdir()
            launcher = measure.Launcher(options.build_dir / "bench" / "launch", work / "home",
                                        options.timeout)
            peers.check_preloads(launcher, allocators)
            inputs = workloads.Inputs(options.build_dir / "bench", options.scale)
            context = rows.Context(options.build_dir, work, options.scale, launcher, inputs)
            for name, text in missing.items():
                say(f"run.py: peer {name} is not measured: {text}")
            facts = run_facts(options, allocators, missing, launcher)
            return finish(options, measure_all(context, chosen, allocators, options, facts),
                          facts)
    except measure.Missing as error:
        say(f"run.py: {error}")
        return 2
    except KeyboardInterrupt:
        say("run.py: interrupted, nothing written")
        return 130


if __name__ == "__main__":
    sys.exit(main())
