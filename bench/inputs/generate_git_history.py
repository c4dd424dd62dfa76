#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes a stream for `git fast-import` to stdout: generate_git_history.py [PERCENT].

A history of some hundred commits over some hundred source-like text files: each commit changes
lines in several files, adds some, renames or deletes one now and then. Names, times and contents
are fixed, so every machine gets the same commit ids. `git log -p --stat` on it is the row.
"""
import sys

COMMIT_COUNT = 380
FILE_COUNT_FIRST = 130
LINES_MIN, LINES_SPAN = 100, 900
START_TIME_S = 1_500_000_000


class Numbers:
    """A linear congruential generator: the same numbers in every version of Python."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % limit


class History:
    def __init__(self, seed):
        self.numbers = Numbers(seed)
        self.files = {}
        self.path_count = 0
        self.out = sys.stdout.buffer

    def line(self):
        numbers = self.numbers
        verbs = ["read", "write", "open", "close", "merge", "count", "check", "find", "drop"]
        nouns = ["buffer", "index", "table", "node", "packet", "cursor", "key", "value", "page"]
        indent = "    " * numbers.below(4)
        verb, noun = verbs[numbers.below(len(verbs))], nouns[numbers.below(len(nouns))]
        if numbers.below(7) == 0:
            return ""
        return f"{indent}{verb}_{noun}({noun}_{numbers.below(60)}, {numbers.below(4096)});"

    def path_new(self):
        self.path_count += 1
        return f"source/part{self.path_count % 11}/file{self.path_count}.c"

    def create(self):
        path = self.path_new()
        count = LINES_MIN + self.numbers.below(LINES_SPAN)
        self.files[path] = [self.line() for _ in range(count)]
        self.modify(path, bytes_only=True)

    def modify(self, path, bytes_only=False):
        """Changes a few places of a file and writes the file into the stream."""
        lines = self.files[path]
        for _ in range(0 if bytes_only else 1 + self.numbers.below(6)):
            place = self.numbers.below(max(1, len(lines) - 10))
            kind = self.numbers.below(4)
            if kind == 0 and len(lines) > LINES_MIN:
                del lines[place:place + 1 + self.numbers.below(8)]
            elif kind == 1:
                lines[place:place] = [self.line() for _ in range(1 + self.numbers.below(12))]
            else:
                for offset in range(min(1 + self.numbers.below(5), len(lines) - place)):
                    lines[place + offset] = self.line()
        self.write(f"M 100644 inline {path}\n")
        self.write_data("\n".join(lines) + "\n")

    def write(self, text):
        self.out.write(text.encode())

    def write_data(self, text):
        data = text.encode()
        self.out.write(b"data %d\n" % len(data) + data + b"\n")

    def commit_begin(self, index, message):
        person = f"Author {index % 7} <author{index % 7}@example.org>"
        self.write(f"commit refs/heads/main\nmark :{index + 1}\n"
                   f"committer {person} {START_TIME_S + index * 3600} +0000\n")
        self.write_data(message)
        if index > 0:
            self.write(f"from :{index}\n")

    def commit(self, index):
        self.commit_begin(index, f"part{index % 11}: change number {index}\n\n{self.line()}\n")
        paths = list(self.files)
        chosen = {paths[self.numbers.below(len(paths))] for _ in range(2 + self.numbers.below(9))}
        for path in sorted(chosen):
            self.modify(path)
        if index % 6 == 0:
            self.create()
        if index % 15 == 0:
            old, new = paths[self.numbers.below(len(paths))], self.path_new()
            self.files[new] = self.files.pop(old)
            self.write(f"R {old} {new}\n")
        if index % 25 == 0:
            path = list(self.files)[self.numbers.below(len(self.files))]
            del self.files[path]
            self.write(f"D {path}\n")


def main():
    percent = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    history = History(seed=9)
    history.commit_begin(0, "Start\n")
    for _ in range(FILE_COUNT_FIRST):
        history.create()
    for index in range(1, max(2, COMMIT_COUNT * percent // 100)):
        history.commit(index)
    history.write("done\n")


if __name__ == "__main__":
    main()
