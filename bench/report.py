#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes the results as Markdown: report.py RESULTS.json > RESULTS.md.

Everything printed comes from the results file: what was not measured is not in the tables, and
is listed as such.
"""
import sys

sys.dont_write_bytecode = True  # no __pycache__ in the source tree

import results

HEADLINE = ["time_s", "peak_bytes", "startup_ms", "trace_time_ratio", "trace_memory_ratio",
            "capture_bytes", "report_s", "diff_s", "collect_ns", "free_ns", "make_ns", "drop_ns",
            "make_and_drop_ns", "resident_bytes", "pause_median_us", "pause_99_us", "pause_99_9_us",
            "pause_longest_us", "collector_ms", "size_ns", "document_ns"]
SUPPORTING = ["cpu_s", "faults", "alone_longest_us"]
TITLES = {"time_s": "elapsed seconds", "cpu_s": "CPU seconds (user and system)",
          "peak_bytes": "peak resident memory, MiB", "faults": "page faults",
          "startup_ms": "whole life of a process that does nothing, milliseconds",
          "trace_time_ratio": "time traced / time untraced",
          "trace_memory_ratio": "peak memory traced / untraced",
          "capture_bytes": "size of the capture, MiB", "report_s": "seconds to print a report",
          "diff_s": "seconds to compare two captures",
          "collect_ns": "nanoseconds per object of a collection that frees nothing",
          "free_ns": "nanoseconds per object to find and free garbage",
          "make_ns": "nanoseconds to make an object", "drop_ns": "nanoseconds to drop an object",
          "make_and_drop_ns": "nanoseconds to make an object and drop it",
          "resident_bytes": "resident bytes per object, with the collector's state",
          "pause_median_us": "median pause of the collector, microseconds",
          "pause_99_us": "99 % of pauses are shorter, microseconds",
          "pause_99_9_us": "99.9 % of pauses are shorter, microseconds",
          "pause_longest_us": "longest pause, microseconds",
          "alone_longest_us": "longest of many times 300 random reads, microseconds",
          "collector_ms": "all pauses together, milliseconds",
          "size_ns": "nanoseconds per object of a deep size",
          "document_ns": "nanoseconds to read a document into a store and drop the former one"}
TRACE_MEDIANS = {"trace_time_ratio": [("seconds", "s", "Seconds, untraced and traced:")],
                 "trace_memory_ratio": [("bytes", "B", "MiB, untraced and traced:")]}
METHOD = """\
Whole processes, started and waited for by a small static launcher (so the runner's own size does
not enter the peak; that of `/bin/true` by the same method is told with each run). In each row the
allocators take turns, the order rotates by one each round, and the first round is not counted.
Values are medians of the counted rounds. Every program's output must be the same under every
allocator. Nothing is pinned to a core. Allocators run with their default settings, by
`LD_PRELOAD`; glibc is the program without a preload.

Peak memory is the largest process of the row (parent or child in `fork_per_request`). In `redis`
the time is that of redis-benchmark and everything else is the server's; Debian's redis-server is
linked with jemalloc, so libc.so.6 itself is preloaded there for the glibc column. The start-up
rows are the medians of many starts.

Tracing is compared with the same tool's own untraced baseline: `varve run` with varve preloaded,
heaptrack with glibc, jemalloc's exact profiling (`lg_prof_sample:0`) with jemalloc. Time is that
of the whole command; memory is that of the traced program alone, read as it exits, with what the
tracer maps into it. On cc1 heaptrack's interpreter needs more than 19 GB and fails, so there only
its recording (`heaptrack -r`) is measured, without the time to interpret it.

The gc rows are measured within the programs, which build the same graphs: objects with four
attributes or words, three of them links. CPython's objects are made by its C code alone
(`itertools.starmap`), so that no time of its interpreter is in them. In `pauses_1m` varve has a
budget of 1 ms and "varve, no bound" none: the program is the same; CPython's traffic is the same in
kind, and its total is that of its collector only. A virtual machine is interrupted by its host for
milliseconds at a time, unseen by it: `alone_longest_us` is what that makes of pieces of work that
read 300 objects of the graph at random (some 50 us), in the same process right after, for as long
as all its pauses took. A longest pause near it is the machine's; the smallest of the rounds is
nearest to the collector's own."""


def shown(value, unit):
    """A value as text, in the unit of TITLES."""
    if unit == "B":
        return f"{value / 2**20:.2f}"
    if unit == "count":
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3f}" if value < 100 else f"{value:.1f}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def columns_of(records):
    """Peers in the order they appear, then candidates."""
    names = {}
    for key in ("peers", "candidates"):
        for item in records:
            names.update((name, key) for name in item[key])
    return list(names.items())


def losses(records):
    """The records in which varve is worse than the best peer, the largest ratio first."""
    lost = [(results.ratio_to_best_peer(item), item) for item in records if item["peers"]]
    return sorted(((ratio, item) for ratio, item in lost if ratio > 1),
                  key=lambda pair: pair[0], reverse=True)


def loss_table(records):
    rows = []
    for ratio, item in losses(records):
        name, value = results.best_peer(item)
        rows.append([f"{ratio:.2f}", item["area"], item["row"], item["metric"],
                     shown(item["varve"], item["unit"]), f"{shown(value, item['unit'])} ({name})",
                     results.rounds_lost(item, name)])
    if not rows:
        return "None."
    return table(["varve / best peer", "area", "row", "metric", "varve", "best peer",
                  "rounds lost"], rows)


def metric_table(records):
    """One row per benchmark: median (smallest .. largest) of varve, medians of the others."""
    names = columns_of(records)
    header = ["row", "varve (smallest .. largest)"]
    header += [f"{name} (candidate)" if key == "candidates" else name for name, key in names]
    rows = []
    for item in records:
        unit = item["unit"]
        values = {"varve": item["varve"]} | item["peers"]
        best = min(values.values())
        cells = {name: shown(value, unit) for name, value in (values | item["candidates"]).items()}
        cells.update((name, f"**{cells[name]}**") for name, value in values.items()
                     if value == best and len(values) > 1)
        spread = f"{shown(item['min']['varve'], unit)} .. {shown(item['max']['varve'], unit)}"
        ratio = results.ratio_to_best_peer(item)
        rows.append([item["row"], f"{cells['varve']} ({spread})"] +
                    [cells.get(name, "-") for name, _ in names] +
                    [f"{ratio:.2f}" if ratio is not None else "-"])
    return table(header + ["varve / best peer"], rows)


def trace_table(records, key, unit):
    """The medians that the ratios of the trace area come from: one row per program."""
    chosen = [item for item in records if key in item]
    names = list(dict.fromkeys(name for item in chosen for name in item[key]))
    rows = [[item["row"]] + [shown(item[key][name], unit) if name in item[key] else "-"
                             for name in names] for item in chosen]
    return table(["row", *names], rows) if rows else ""


def mean_table(records):
    rows, names = [], []
    for metric in HEADLINE + SUPPORTING:
        chosen = [item for item in records if item["metric"] == metric]
        overall, against_all = results.geometric_means(chosen)
        if overall is None:
            continue
        names += [name for name in against_all if name not in names]
        rows.append((metric, overall, against_all))
    header = ["metric", "rows", "varve / best peer of each row"]
    header += [f"{name} / best of all" for name in names]
    body = []
    for metric, (mean, count), against_all in rows:
        cells = [f"{against_all[name][0]:.3f}" + partial(against_all[name][1], count)
                 if name in against_all else "-" for name in names]
        body.append([metric, str(count), f"**{mean:.3f}**", *cells])
    return table(header, body) if body else "Nothing was measured."


def partial(count, row_count):
    return "" if count == row_count else f" ({count} rows)"


def run_line(facts):
    """What one run measured, with which varve."""
    environment = facts["varve_environment"]
    return (f"- Run {facts['id']}: area {facts['area']}, {facts['rounds']} counted rounds, "
            f"{facts['warm_up']} warm-up, scale {facts['percent']} %, start-up rows "
            f"{facts['start_up_runs']} starts, tracing peers {facts['peer_rounds']} rounds; "
            f"{facts['varve']}, library {facts['varve_library']}; `/bin/true`'s peak by this "
            f"method is {facts['true_peak_bytes'] / 2**20:.2f} MiB."
            + (f" Set in the environment: {environment}." if environment else ""))


def machine_text(facts):
    machine = facts["machine"]
    virtual = ", virtual machine" if machine["virtual"] else ""
    return (f"{machine['cpu']}, {machine['cores']} cores{virtual}, "
            f"{machine['memory_bytes'] / 2**30:.1f} GiB, {machine['system']}, kernel "
            f"{machine['kernel']}, transparent huge pages: {machine['huge_pages']}.")


def machine_section(all_facts):
    """The runs, those on the same machine with the same programs together."""
    groups = {}
    for facts in all_facts:
        versions = table(["program", "version"], [list(pair) for pair in facts["versions"].items()])
        groups.setdefault((machine_text(facts), versions), []).append(run_line(facts))
    return "\n\n".join(f"{machine}\n\n" + "\n".join(lines) + f"\n\n{versions}"
                       for (machine, versions), lines in groups.items())


def not_measured(facts):
    """Missing peers and tools, and rows that failed."""
    lines = []
    for run in facts.values():
        lines += [f"- {name}: {text}" for name, text in run["missing"].items()]
        lines += [f"- {item['area']} {item['row']}, {item['column']}: {item['message']}"
                  for item in run["errors"]]
    lines.append("- Other machines, more than two cores, other page sizes, memory returned while "
                 "idle, latencies of single calls, long-running processes.")
    return "\n".join(dict.fromkeys(lines))


def render(records):
    facts = results.runs(records)
    untold = {item["metric"] for item in records} - set(HEADLINE + SUPPORTING)
    if untold:
        raise ValueError(f"report.py has no place for {', '.join(sorted(untold))}")
    headline = [item for item in records if item["metric"] in HEADLINE]
    supporting = [item for item in records if item["metric"] in SUPPORTING]
    parts = ["# Benchmark results",
             "Generated by `bench/report.py` from the results file; do not edit. Lower is better "
             "everywhere.",
             "## Machine and versions", machine_section(facts.values()),
             "## Method", METHOD,
             "## Losses", "Rows in which varve is worse than the best peer of that row, the "
             "largest difference first. A round is lost when varve was worse than that peer in "
             "the same round: a ratio near 1 with a mixed count is noise.", loss_table(headline),
             "The same for CPU seconds and page faults, which explain the rows above.",
             loss_table(supporting),
             "## Geometric means", "Varve against the best peer of each row; then each allocator "
             "against the best of each row, varve included.", mean_table(records),
             "## Every row", "Best value of the row in bold."]
    for metric in HEADLINE + SUPPORTING:
        chosen = [item for item in records if item["metric"] == metric]
        if chosen:
            parts += [f"### {metric}: {TITLES[metric]}", metric_table(chosen)]
        for key, unit, text in TRACE_MEDIANS.get(metric, []):
            parts += [text, trace_table(chosen, key, unit)] if chosen else []
    parts += ["## Not measured", not_measured(facts)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: report.py RESULTS.json > RESULTS.md")
    sys.stdout.write(render(results.load(sys.argv[1])))
