# SPDX-License-Identifier: MIT
"""The trace area: what exact tracing costs, against heaptrack and jemalloc's exact profiling.

Each tool is compared with its own untraced baseline: `varve run` with a preloaded varve,
heaptrack with glibc, jemalloc's profiling with jemalloc. Time is that of the whole command, with
all that it does before the prompt comes back. Memory is that of the traced program alone, not of
the tool around it: the launcher reads it from the kernel as that program exits (launch.c, -w).
"""
import dataclasses
import pathlib
import shutil
import statistics

import measure
import results
import rows
import workloads

AREA = "trace"
ROW_NAMES = [row.name for row in rows.TRACE]
BASELINES = {"varve_traced": "varve", "heaptrack": "glibc", "jemalloc_exact": "jemalloc"}
TRACERS = {"varve_traced": "varve", "heaptrack": "heaptrack", "jemalloc_exact": "jemalloc"}
DIFF_ACCEPTED = (0, 1)  # `varve diff`: 1 says that something grew


@dataclasses.dataclass
class Tracer:
    """`wrap(command, capture)` returns the traced command; `capture` is the file to write.
    `report` and `diff` return commands on a capture, or raise Missing."""
    name: str
    wrap: object
    report: object
    diff: object
    round_count: int = 0
    folder: pathlib.Path = None

    def capture(self):
        """The file that the last run left, the largest if there are several."""
        files = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_size)
        if not files:
            raise measure.Failed("it wrote no capture")
        return files[-1]

    def capture_bytes(self):
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def varve_tracer(context):
    varve = rows.varve_command(context.build_dir)

    def wrap(command, capture):
        argv = [varve, "run", "-q", "-f", "-o", capture, "--", *command.argv]
        return dataclasses.replace(command, argv=argv)

    return Tracer("varve_traced", wrap, lambda file, _: measure.Command([varve, "report", file]),
                  lambda file, _: measure.Command([varve, "diff", file, file],
                                                  accepted=DIFF_ACCEPTED))


def without_heaptrack_lines(stdout):
    """heaptrack writes to the same stdout, before and after the program."""
    start = stdout.find(b"might take some time...\n")
    end = stdout.rfind(b"Heaptrack finished!")
    return stdout[start + len(b"might take some time...\n"):end] if 0 <= start < end else stdout


def heaptrack_tracer(round_count, only_record):
    """`only_record`: without the interpreter that runs beside the program, see rows.Row."""
    heaptrack = workloads.tool("heaptrack")
    options = ["-r"] if only_record else []

    def wrap(command, capture):
        argv = [heaptrack, *options, "-o", capture, *command.argv]
        return dataclasses.replace(command, argv=argv, clean=without_heaptrack_lines)

    def read(arguments):
        if only_record:
            raise measure.Missing("its interpreter fails on this program, so there is nothing "
                                  "that heaptrack_print could read")
        return measure.Command([workloads.tool("heaptrack_print"), *arguments])

    return Tracer("heaptrack", wrap, lambda file, _: read(["-f", file]),
                  lambda file, _: read(["-f", file, "-d", file]), round_count)


def jemalloc_tracer(jemalloc, round_count):
    def wrap(command, capture):
        options = f"prof:true,lg_prof_sample:0,prof_final:true,prof_prefix:{capture}"
        return dataclasses.replace(command, environment=command.environment |
                                   jemalloc.environment() | {"MALLOC_CONF": options})

    def report(file, program):
        return measure.Command([workloads.tool("jeprof"), "--text", program, file])

    def diff(file, program):
        return measure.Command([workloads.tool("jeprof"), "--text", f"--base={file}", program,
                                file])

    return Tracer("jemalloc_exact", wrap, report, diff, round_count)


def find_tracers(context, row, allocators, peer_rounds):
    """Varve's, and those of the peers that are installed; the missing ones with a reason."""
    found, missing = [varve_tracer(context)], {}
    try:
        found.append(heaptrack_tracer(peer_rounds, row.heaptrack_only_records))
    except measure.Missing as error:
        missing["heaptrack"] = str(error)
    jemalloc = next((item for item in allocators if item.name == "jemalloc"), None)
    if jemalloc:
        found.append(jemalloc_tracer(jemalloc, peer_rounds))
    return found, missing


def traced(context, tracer, command, watch):
    """A function that traces the command once, into an empty folder."""
    tracer.folder = context.work / f"capture-{tracer.name}"

    def run():
        shutil.rmtree(tracer.folder, ignore_errors=True)
        tracer.folder.mkdir(parents=True)
        sample = context.launcher.run(tracer.wrap(command, tracer.folder / "capture"), watch)
        sample.capture_bytes = tracer.capture_bytes()
        tracer.capture()
        return sample

    return run


def run_columns(context, command, allocators, tracers):
    """The baselines, then the tracers."""
    watch = pathlib.Path(command.argv[0]).resolve().name
    columns = []
    for allocator in allocators:
        if allocator.name in BASELINES.values():
            plain = dataclasses.replace(
                command, environment=command.environment | allocator.environment())
            columns.append(measure.Column(
                allocator.name, lambda plain=plain: context.launcher.run(plain, watch)))
    for tracer in tracers:
        columns.append(measure.Column(tracer.name, traced(context, tracer, command, watch),
                                      tracer.round_count, warm_up=tracer.round_count == 0))
    return columns


def measure_row(context, name, allocators, options):
    """Returns the row's records, its errors by column name, and what was not installed."""
    row = next(row for row in rows.TRACE if row.name == name)
    command = row.command(context)
    tracers, missing = find_tracers(context, row, allocators, options.peer_rounds)
    samples, errors = measure.interleave(run_columns(context, command, allocators, tracers),
                                         options.rounds, 0 if options.quick else 1)
    for column in measure.differing(samples, reference="glibc"):
        errors[column] = "its output differs from that under glibc"
        del samples[column]
    tracers = [tracer for tracer in tracers if tracer.name in samples]
    records = [ratio_record(name, "trace_time_ratio", samples, "seconds",
                            lambda sample: sample.wall_s),
               ratio_record(name, "trace_memory_ratio", samples, "bytes",
                            lambda sample: sample.watched_bytes),
               capture_record(name, samples)]
    for metric in ("report_s", "diff_s"):
        readers = reader_columns(context, row, metric, command, tracers, missing)
        times, failed = measure.interleave(readers, options.rounds, 0 if options.quick else 1)
        errors.update((f"{column} {metric}", text) for column, text in failed.items())
        records.append(tracer_record(name, metric, "s", {
            column: [sample.wall_s for sample in list_] for column, list_ in times.items()}))
    return [item for item in records if item], errors, missing


def tracer_record(row, metric, unit, values):
    """A record whose columns are the tracers, named after the tool: varve, heaptrack, jemalloc."""
    kinds = {tool: "varve" if tool == "varve" else "peer" for tool in TRACERS.values()}
    named = {TRACERS[column]: list_ for column, list_ in values.items()}
    return results.record(AREA, row, metric, unit, kinds, named)


def ratio_record(row, metric, samples, extra_key, pick):
    """Each traced run against the median of the untraced ones. The extra key has the medians
    that the ratios come from."""
    medians = {column: statistics.median(pick(sample) for sample in list_)
               for column, list_ in samples.items() if list_}
    values = {column: [pick(sample) / medians[baseline] for sample in samples[column]]
              for column, baseline in BASELINES.items()
              if column in medians and baseline in medians}
    item = tracer_record(row, metric, "ratio", values)
    if item is not None:
        item[extra_key] = medians
        if "glibc" in medians:
            item["varve_traced_to_glibc"] = medians["varve_traced"] / medians["glibc"]
    return item


def capture_record(row, samples):
    return tracer_record(row, "capture_bytes", "B", {
        column: [sample.capture_bytes for sample in samples[column]]
        for column in TRACERS if column in samples})


def reader_columns(context, row, metric, command, tracers, missing):
    """Each tool reading the capture of its last run; notes a reader that is not installed."""
    columns = []
    for tracer in tracers:
        make = tracer.report if metric == "report_s" else tracer.diff
        try:
            reader = make(tracer.capture(), command.argv[0])
        except measure.Missing as error:
            only_here = row.heaptrack_only_records and tracer.name == "heaptrack"
            what = f"{TRACERS[tracer.name]} {metric}"
            missing[f"{what} of {row.name}" if only_here else what] = str(error)
            continue
        columns.append(measure.Column(tracer.name,
                                      lambda reader=reader: context.launcher.run(reader),
                                      tracer.round_count, warm_up=tracer.round_count == 0))
    return columns
