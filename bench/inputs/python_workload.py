#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""An allocation-heavy Python program: python_workload.py [PERCENT].

Run by the runner with PYTHONMALLOC=malloc, so that every object goes to the allocator. Parts:
JSON there and back, dictionaries of lists, string building, instances with attributes, sorting,
sets and tuples, closures and generators. Prints one line with a checksum.
"""
import json
import sys


class Numbers:
    """A linear congruential generator: the same numbers in every version of Python."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 1103515245 + 12345) % 2**31
        return (self.state >> 8) % limit


class Account:
    def __init__(self, number, owner, balance):
        self.number = number
        self.owner = owner
        self.balance = balance
        self.history = []

    def book(self, amount):
        self.history.append((amount, self.balance))
        self.balance += amount


def documents(numbers, count):
    names = ["id", "name", "tags", "size", "nested", "flag", "values"]
    for index in range(count):
        yield {names[0]: index, names[1]: f"document {numbers.below(10**6)}",
               names[2]: [f"tag{numbers.below(500)}" for _ in range(6)],
               names[3]: numbers.below(10**7) / 16, names[5]: index % 3 == 0,
               names[4]: {"left": [numbers.below(1000) for _ in range(5)], "right": None},
               names[6]: list(range(index % 13))}


def json_part(numbers, count):
    text = json.dumps(list(documents(numbers, count)))
    back = json.loads(text)
    return len(text) + sum(len(item["values"]) for item in back)


def dictionary_part(numbers, count):
    groups = {}
    for index in range(count):
        groups.setdefault(f"key-{numbers.below(count // 8 + 1)}", []).append((index, index * 0.5))
    for key in list(groups)[::3]:
        del groups[key]
    return sum(index for rows in groups.values() for index, _ in rows) + len(groups)


def string_part(numbers, count):
    words = [f"{numbers.below(10**5):x}" for _ in range(count)]
    line = " ".join(words)
    counts = {}
    for word in line.replace("a", "bb").upper().split():
        counts[word] = counts.get(word, 0) + 1
    text = ""
    for word in words[:count // 20]:
        text += word + ","
    return len(text) + max(counts.values()) + len(counts)


def object_part(numbers, count):
    accounts = [Account(index, f"owner {index % 97}", 100) for index in range(count)]
    for _ in range(count * 4):
        accounts[numbers.below(count)].book(numbers.below(200) - 100)
    accounts.sort(key=lambda account: (account.owner, -account.balance))
    return sum(position * account.balance for position, account in enumerate(accounts))


def set_part(numbers, count):
    pairs = {(numbers.below(400), numbers.below(400)) for _ in range(count)}
    mirrored = frozenset((second, first) for first, second in pairs)
    adders = [lambda value, step=step: value + step for step in range(count // 10)]
    return len(pairs & mirrored) + sum(adder(1) for adder in adders)


def main():
    percent = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    numbers = Numbers(seed=7)
    parts = [(json_part, 6000), (dictionary_part, 75000), (string_part, 60000),
             (object_part, 17000), (set_part, 55000)]
    total = 0
    for part, count in parts:
        total = (total * 31 + part(numbers, max(20, count * percent // 100))) % 2**61
    print(f"python_workload {total:016x}")


if __name__ == "__main__":
    main()
