# SPDX-License-Identifier: MIT
"""The results file: a list of records, one per area, row and metric. Lower is always better.

A record has "area", "row", "metric", "unit", "varve", "peers" {name: value}, "candidates" {name:
value}, "min" and "max" {name: value}, "values" {name: [one per counted round]} and "run", the
id of the run that measured it. "varve", "peers" and "candidates" are medians. The first record
of each run also has "run_facts": machine, versions, method, missing peers and errors. Some
metrics have extra keys, see heap.py and trace.py.
"""
import json
import math
import pathlib
import statistics

VARVE = "varve"


def record(area, row, metric, unit, kinds, values):
    """One record from the values of each column, in the order of the rounds; `kinds` maps a
    column to "varve", "peer" or "candidate". None when varve itself has no value."""
    if not values.get(VARVE):
        return None
    values = {column: [round(value, 6) for value in list_] for column, list_ in values.items()}
    medians = {column: statistics.median(list_) for column, list_ in values.items()}
    return {"area": area, "row": row, "metric": metric, "unit": unit, "varve": medians[VARVE],
            "peers": {name: value for name, value in medians.items() if kinds[name] == "peer"},
            "candidates": {name: value for name, value in medians.items()
                           if kinds[name] == "candidate"},
            "min": {column: min(list_) for column, list_ in values.items()},
            "max": {column: max(list_) for column, list_ in values.items()},
            "values": values}


def kinds_of(allocators):
    return {allocator.name: allocator.kind for allocator in allocators}


def attach_run(records, run_id, facts):
    """Marks the records of one run; the first carries the facts."""
    for item in records:
        item["run"] = run_id
    if records:
        records[0]["run_facts"] = facts


def load(path):
    path = pathlib.Path(path)
    return json.loads(path.read_text()) if path.is_file() else []


def runs(records):
    """The facts of each run by its id, oldest first."""
    facts = {item["run"]: item["run_facts"] for item in records if "run_facts" in item}
    return dict(sorted(facts.items()))


def merge(earlier, new):
    """Keeps the earlier rows that were not measured again, with the facts of their runs."""
    facts = runs(earlier) | runs(new)
    measured = {(item["area"], item["row"]) for item in new}
    kept = [item for item in earlier if (item["area"], item["row"]) not in measured] + new
    for item in kept:
        item.pop("run_facts", None)
        if item["run"] in facts:
            item["run_facts"] = facts.pop(item["run"])
    return kept


def save(path, records):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(item) for item in records)  # one record per line
    path.write_text(f"[\n{lines}\n]\n")


def best_peer(item):
    """The name and value of the best peer, or None when the record has none."""
    if not item["peers"]:
        return None
    name = min(item["peers"], key=item["peers"].get)
    return name, item["peers"][name]


def ratio(value, base):
    """How many times the base; a base of 0 only equals 0."""
    if base > 0:
        return value / base
    return 1.0 if value == 0 else math.inf


def ratio_to_best_peer(item):
    best = best_peer(item)
    return ratio(item["varve"], best[1]) if best else None


def rounds_lost(item, peer):
    """In how many rounds varve was worse than the peer in the same round, as "3 of 5". Beside a
    ratio near 1 it tells a loss from noise."""
    pairs = list(zip(item["values"][VARVE], item["values"][peer]))
    return f"{sum(varve > other for varve, other in pairs)} of {len(pairs)}"


def geometric_mean(values):
    return math.exp(sum(math.log(value) for value in values) / len(values))


def geometric_means(records):
    """For the records of one metric: varve against the best peer of each row, and every
    allocator against the best of all (candidates excluded) in each row it was measured in.
    Returns (mean, row count) and {name: (mean, row count)}."""
    usable = [item for item in records if item["peers"] and item["varve"] > 0
              and min(item["peers"].values()) > 0]
    against_peers = [ratio_to_best_peer(item) for item in usable]
    against_all = {}
    for item in usable:
        values = {VARVE: item["varve"]} | item["peers"]
        best = min(values.values())
        for name, value in (values | item["candidates"]).items():
            against_all.setdefault(name, []).append(value / best)
    overall = (geometric_mean(against_peers), len(usable)) if usable else None
    return overall, {name: (geometric_mean(list_), len(list_))
                     for name, list_ in against_all.items()}
