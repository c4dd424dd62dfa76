# SPDX-License-Identifier: MIT
"""The gc area: worlds of objects against CPython 3.11 and bdwgc, the same graphs in each. (Not
called gc.py: Python has a built-in module of that name.)

Every program prints lines "NAME: NUMBER ns per object" and the like, which are the values: the time
of a whole process would be mostly that of building the graph. Where a program prints a name several
times, its median counts.
"""
import dataclasses
import re
import statistics

import measure
import results
import workloads

AREA = "gc"
PERCENT_LINE = re.compile(r"^(\w+): ([\d.]+) (?:ns|bytes) per object")
SERVE_LINE = re.compile(r"median ([\d.]+) us, 99 % ([\d.]+) us, 99.9 % ([\d.]+) us, "
                        r"longest ([\d.]+) us[^;]*; "
                        r"collector ([\d.]+) ms of.*peak ([\d.]+) MiB(?:.*alone: longest ([\d.]+) us)?")
DOCUMENTS_LINE = re.compile(r"times: (\d+) documents/s")
SERVE_METRICS = [("pause_median_us", "us", 1), ("pause_99_us", "us", 1),
                 ("pause_99_9_us", "us", 1), ("pause_longest_us", "us", 1),
                 ("collector_ms", "ms", 1), ("peak_bytes", "B", 2**20), ("alone_longest_us", "us", 1)]
PYTHON, BDWGC, UNBOUNDED = "python3", "bdwgc", "varve, no bound"


@dataclasses.dataclass
class Row:
    """`case` is the programs' first argument, `lines` the names of the lines that count with their
    metrics. `peers`: who has this case."""
    name: str
    case: str
    count: int
    lines: dict
    peers: tuple
    note: str = ""


NS, BYTES = "ns per object", "bytes per object"
FULL = {"full": "collect_ns", "free_cyclic": "free_ns"}
LOCAL = {"full_local": "collect_ns", "free_cyclic": "free_ns"}
MAKE = {"make": "make_ns", "drop": "drop_ns", "make_and_drop": "make_and_drop_ns",
        "resident": "resident_bytes"}
ROWS = [
    Row("random_1m", "full", 1000000, FULL, (PYTHON, BDWGC), "random graph, 3 edges per object"),
    Row("random_10m", "full", 10000000, FULL, (PYTHON, BDWGC), "random graph, 3 edges per object"),
    Row("local_1m", "local", 1000000, LOCAL, (PYTHON, BDWGC), "edges to objects made before"),
    Row("young", "young", 700, {"young": "collect_ns"}, (PYTHON,), "generation 0 of 700 lists"),
    Row("make", "make", 1000000, MAKE, (PYTHON, BDWGC), "instances with four attributes"),
    Row("pauses_1m", "serve", 1000000, {}, (PYTHON, UNBOUNDED), "budget of 1 ms"),
    Row("deep_size_1m", "deep_size", 1000000, {"deep_size": "size_ns"}, (PYTHON,),
        "a tree of lists and dicts"),
    Row("documents", "documents", 20000, {}, (PYTHON,),
        "examples/documents reads its file again and again, the former documents become garbage"),
]
ROW_NAMES = [row.name for row in ROWS]


def scaled(count, percent):
    return max(100, count * percent // 100)


def commands(context, row):
    """By column; a peer that is not installed is in the second result, with the reason."""
    count = scaled(row.count, context.percent) if row.count > 10000 else row.count
    found, missing = {}, {}
    if row.case == "documents":
        return documents_commands(context, count), missing
    if row.case == "deep_size":
        found[results.VARVE] = [context.program("gc_deep_size"), count]
    else:
        case = "serve_bounded" if row.case == "serve" else row.case
        found[results.VARVE] = [context.program("gc_world"), case, count]
    if UNBOUNDED in row.peers:
        found[UNBOUNDED] = [context.program("gc_world"), row.case, count]
    if PYTHON in row.peers:
        script = "gc_deep_size.py" if row.case == "deep_size" else "gc_python.py"
        case = [] if row.case == "deep_size" else [row.case]
        found[PYTHON] = [workloads.tool("python3"), "-I", "-S", "-B",
                         workloads.GENERATORS / script, *case, count]
    if BDWGC in row.peers:
        path = context.build_dir / "bench" / "gc_bdwgc"
        if path.is_file():
            found[BDWGC] = [path, row.case, count]
        else:
            missing[BDWGC] = "gc_bdwgc is not built: apt install libgc-dev, then configure again"
    return found, missing


def documents_commands(context, count):
    source = workloads.GENERATORS.parent.parent / "examples" / "documents" / "music.json"
    program = context.build_dir / "examples" / "documents"
    if not program.is_file():
        raise measure.Failed(f"{program} is not built")
    return {results.VARVE: [program, source, "time", count],
            PYTHON: [workloads.tool("python3"), "-I", "-S", "-B",
                     workloads.GENERATORS / "documents.py", source, count]}


def values_of(text, row):
    """By metric, what a program printed."""
    if row.case == "documents":
        return {"document_ns": 1e9 / float(DOCUMENTS_LINE.search(text)[1])}
    if row.case == "serve":
        match = SERVE_LINE.search(text)
        if match is None:
            raise measure.Failed(f"no line of pauses in: {text[:200]}")
        return {metric: float(number) * factor for (metric, _, factor), number
                in zip(SERVE_METRICS, match.groups()) if number is not None}
    lines = {}
    for line in text.splitlines():
        match = PERCENT_LINE.match(line)
        if match and match[1] in row.lines:
            lines.setdefault(row.lines[match[1]], []).append(float(match[2]))
    if not lines:
        raise measure.Failed(f"no line of {row.case} in: {text[:200]}")
    return {metric: statistics.median(numbers) for metric, numbers in lines.items()}


def units(row):
    if row.case == "serve":
        return {metric: unit for metric, unit, _ in SERVE_METRICS}
    if row.case == "documents":
        return {"document_ns": "ns per document"}
    return {metric: BYTES if metric == "resident_bytes" else NS for metric in row.lines.values()}


def run_once(context, argv, row):
    """The values of one run."""
    output = []

    def keep(stdout):
        output.append(stdout.decode())
        return b""

    context.launcher.run(measure.Command(argv, clean=keep))
    return values_of(output[0], row)


def measure_row(context, name, _, options):
    """Returns the row's records, its errors by column name, and what was not installed."""
    row = next(row for row in ROWS if row.name == name)
    found, missing = commands(context, row)
    columns = [measure.Column(column, lambda argv=argv: run_once(context, argv, row))
               for column, argv in found.items()]
    samples, errors = measure.interleave(columns, options.rounds, 0 if options.quick else 1)
    kinds = {column: "varve" if column == results.VARVE else "peer" for column in found}
    records = []
    for metric, unit in units(row).items():
        values = {column: [sample[metric] for sample in list_ if metric in sample]
                  for column, list_ in samples.items()}
        values = {column: list_ for column, list_ in values.items() if list_}
        records.append(results.record(AREA, name, metric, unit, kinds, values))
    return [item for item in records if item], errors, missing
