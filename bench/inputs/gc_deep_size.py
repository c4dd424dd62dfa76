# SPDX-License-Identifier: MIT
"""The deep size of a tree by the recursive function that everybody writes: gc_deep_size.py [COUNT].
The tree is that of gc_deep_size.c: a list of lists of 100 dicts, each with 8 floats of its own."""
import os
import sys
import time


def deep_size(thing, seen):
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    size = sys.getsizeof(thing)
    if isinstance(thing, dict):
        size += sum(deep_size(key, seen) + deep_size(value, seen) for key, value in thing.items())
    elif isinstance(thing, (list, tuple, set)):
        size += sum(deep_size(item, seen) for item in thing)
    return size


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    group_count = max(1, count // 901)
    tree = [[{key: group + member / 128 + key for key in range(8)} for member in range(100)]
            for group in range(group_count)]
    begin = time.perf_counter_ns()
    seen = set()
    deep_size(tree, seen)
    duration_ns = time.perf_counter_ns() - begin
    print(f"deep_size: {duration_ns / len(seen):.2f} ns per object")
    sys.stdout.flush()
    os._exit(0)


main()
