# SPDX-License-Identifier: MIT
"""The cases of gc_world.c in CPython: gc_python.py CASE [COUNT]. Prints the same lines."""
import collections
import gc
import itertools
import os
import random
import statistics
import sys
import time

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Node:
    __slots__ = ("a", "b", "c", "value")


def report(name, begin_ns, count):
    print(f"{name}: {(time.perf_counter_ns() - begin_ns) / count:.2f} ns per object")


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE_BYTES


def new_nodes(count):
    """Made by C alone: no time of the interpreter is in it."""
    return list(itertools.starmap(Node, itertools.repeat((), count)))


def make_graph(count, local):
    source = random.Random(1)
    nodes = new_nodes(count)
    for index, node in enumerate(nodes):
        if local:
            targets = [max(0, index - 1 - int(source.random() * 10)) for _ in range(3)]
        else:
            targets = [int(source.random() * count) for _ in range(3)]
        node.a, node.b, node.c = nodes[targets[0]], nodes[targets[1]], nodes[targets[2]]
    return nodes


def full(count, local):
    gc.disable()
    nodes = make_graph(count, local)
    gc.collect()
    for _ in range(5):
        begin = time.perf_counter_ns()
        gc.collect()
        report("full_local" if local else "full", begin, count)
    begin = time.perf_counter_ns()
    del nodes
    gc.collect()
    report("free_cyclic", begin, count)


def make(count):
    gc.disable()
    array = [None] * count
    before_bytes = resident_bytes()
    maker = itertools.starmap(Node, itertools.repeat((), count))
    begin = time.perf_counter_ns()
    array[:] = maker
    report("make", begin, count)
    # The list that the slice makes on the way has been freed.
    print(f"resident: {(resident_bytes() - before_bytes) / count:.1f} bytes per object")
    begin = time.perf_counter_ns()
    array.clear()
    report("drop", begin, count)
    maker = itertools.starmap(Node, itertools.repeat((), count))
    begin = time.perf_counter_ns()
    collections.deque(maker, maxlen=0)
    report("make_and_drop", begin, count)


def young(count):
    gc.disable()
    count = count if count < 10000 else 700
    sum_ns = 0
    for _ in range(200):
        held = [[] for _ in range(count)]
        begin = time.perf_counter_ns()
        gc.collect(0)
        sum_ns += time.perf_counter_ns() - begin
        del held
    print(f"young: {sum_ns / 200 / count:.2f} ns per object")


def serve(count):
    """The same traffic as in gc_world.c; only what its collector does is compared."""
    nodes = make_graph(count, False)
    gc.collect()
    pauses, begin = [], 0

    def note(phase, info):
        nonlocal begin
        if phase == "start":
            begin = time.perf_counter_ns()
        else:
            pauses.append(time.perf_counter_ns() - begin)

    gc.callbacks.append(note)
    source, peak_bytes = random.Random(2), 0
    for step in range(4 * count):
        node = Node()
        place = int(source.random() * count)
        node.a, node.b = node, nodes[int(source.random() * count)]
        if step % 4 == 0:
            nodes[place] = node
        if step % 16 == 0:
            nodes[place].c = node
        if step % 65536 == 0:
            peak_bytes = max(peak_bytes, resident_bytes())
    pauses.sort()
    last = len(pauses) - 1
    print(f"serve: {len(pauses)} pauses, median {statistics.median(pauses) / 1e3:.0f} us, "
          f"99 % {pauses[last * 99 // 100] / 1e3:.0f} us, "
          f"99.9 % {pauses[last * 999 // 1000] / 1e3:.0f} us, longest {pauses[-1] / 1e3:.0f} us; collector "
          f"{sum(pauses) / 1e6:.0f} ms of, peak {peak_bytes >> 20} MiB")


def main():
    case = sys.argv[1] if len(sys.argv) > 1 else "full"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000000
    if case in ("full", "local"):
        full(count, case == "local")
    elif case == "make":
        make(count)
    elif case == "young":
        young(count)
    elif case == "serve":
        serve(count)
    sys.stdout.flush()
    os._exit(0)  # what is left is not to be freed one by one


main()
