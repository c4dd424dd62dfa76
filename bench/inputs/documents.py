# SPDX-License-Identifier: MIT
"""The store of examples/documents as CPython has it, with its own json module: documents.py FILE N
reads the file N times; each time the former documents, which refer to each other in cycles, become
garbage."""
import gc
import json
import sys
import time


def referred(documents, value):
    if type(value) is dict and len(value) == 1:
        return documents.get(value.get("$ref"))
    return None


def link(documents, value, is_top):
    if type(value) is dict:
        if not is_top and "_id" in value:
            return
        places = value.items()
    elif type(value) is list:
        places = enumerate(value)
    else:
        return
    for place, item in places:
        document = referred(documents, item)
        if document is not None:
            value[place] = document
        else:
            link(documents, item, False)


def load(documents, path):
    with open(path, encoding="utf-8") as file:
        values = json.load(file)
    for document in values:
        documents[document["_id"]] = document
    for document in values:
        link(documents, document, True)


def main(path, rounds):
    documents = {}
    load(documents, path)
    before = sum(generation["collected"] for generation in gc.get_stats())
    started_s = time.perf_counter()
    for _ in range(rounds):
        load(documents, path)
    seconds = time.perf_counter() - started_s
    gc.collect()
    collected = sum(generation["collected"] for generation in gc.get_stats()) - before
    print(f"{rounds} times: {rounds * len(documents) / seconds:.0f} documents/s; "
          f"{len(documents)} documents live, {collected} collected")


main(sys.argv[1], int(sys.argv[2]))
