# SPDX-License-Identifier: MIT
"""The heap area: whole programs under each allocator, and what starting one costs."""
import dataclasses
import statistics

import measure
import redis
import results
import rows

AREA = "heap"
ROW_NAMES = [*rows.PROGRAMS, *(row.name for row in rows.REAL), "redis", "start_up",
             "start_up_true"]
METRICS = [("time_s", "s", lambda sample: sample.wall_s),
           ("cpu_s", "s", lambda sample: sample.cpu_s),
           ("peak_bytes", "B", lambda sample: sample.peak_bytes),
           ("faults", "count", lambda sample: sample.faults)]
START_UP_METRICS = [("startup_ms", "ms", lambda sample: sample.wall_s * 1000), *METRICS[2:]]


def under(context, command, allocator):
    """A function that runs the command once under the allocator."""
    prepared = dataclasses.replace(
        command, environment=command.environment | allocator.environment())
    return lambda: context.launcher.run(prepared)


def program_measures(context, name, allocators):
    """By allocator name, the function that runs the row's program once."""
    if name == "redis":
        server = redis.Redis(context)
        return {allocator.name: lambda allocator=allocator: server.measure(allocator)
                for allocator in allocators}
    if name == "start_up_true":
        command = measure.Command(["/bin/true"])
    elif name == "start_up":
        command = measure.Command([context.program(name)])
    else:
        row = rows.program_row(name) if name in rows.PROGRAMS else None
        row = row or next(row for row in rows.REAL if row.name == name)
        command = row.command(context)
    return {allocator.name: under(context, command, allocator) for allocator in allocators}


def measure_row(context, name, allocators, options):
    """Returns the row's records, its errors by column name, and what was not installed."""
    is_start_up = name.startswith("start_up")
    columns = [measure.Column(column, function)
               for column, function in program_measures(context, name, allocators).items()]
    round_count = options.start_up_runs if is_start_up else options.rounds
    samples, errors = measure.interleave(columns, round_count, 0 if options.quick else 1)
    for column in measure.differing(samples, reference="glibc"):
        errors[column] = "its output differs from that under glibc"
        del samples[column]
    values = {metric: {column: [pick(sample) for sample in list_]
                       for column, list_ in samples.items()}
              for metric, _, pick in (START_UP_METRICS if is_start_up else METRICS)}
    kinds = results.kinds_of(allocators)
    if is_start_up:
        return start_up_records(name, kinds, values), errors, {}
    records = [results.record(AREA, name, metric, unit, kinds, values[metric])
               for metric, unit, _ in METRICS]
    return [item for item in records if item], errors, {}


def start_up_records(name, kinds, values):
    """One metric; the medians of the others come along as extra keys."""
    item = results.record(AREA, name, "startup_ms", "ms", kinds, values["startup_ms"])
    if item is None:
        return []
    for key in ("peak_bytes", "faults"):
        item[key] = {column: statistics.median(list_) for column, list_ in values[key].items()}
    return [item]
