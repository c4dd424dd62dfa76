#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes one large C file to stdout: generate_c_file.py [PERCENT].

The input of the compiler rows. The same bytes for the same scale on every machine: it needs no
header and uses only its own generator. The file imitates a preprocessed program: first what
headers bring (types, constants, prototypes, inline functions, most of them unused), then many
modules: records with their functions, tables, state machines over text, numeric loops, lists
and trees, and plain integer logic, all calling functions that came before.
"""
import sys

HEADER_COUNT = 120  # at 100 percent: about 9000 lines of declarations
GROUP_COUNT = 24    # and 6000 lines of functions

PROLOGUE = """\
typedef unsigned long size_type;
typedef long i64;
typedef unsigned int u32;
typedef unsigned char u8;
void *malloc(size_type);
void *calloc(size_type, size_type);
void free(void *);
void *memcpy(void *, const void *, size_type);
void *memset(void *, int, size_type);
size_type strlen(const char *);
int strcmp(const char *, const char *);
int snprintf(char *, size_type, const char *, ...);
double sqrt(double);
double fabs(double);

static u32 hash_text(const char *text) {
    u32 hash = 2166136261u;
    while (*text) hash = (hash ^ (u8)*text++) * 16777619u;
    return hash;
}

static i64 leaf(i64 a, i64 b) {
    return (a ^ (b << 3)) + (b >> 2);
}
"""


class Numbers:
    """A linear congruential generator (Knuth's MMIX constants)."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % limit

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def pick(self, items):
        return items[self.below(len(items))]


class Writer:
    """The text so far, and the functions `i64 f(i64, i64)` that later code may call."""

    def __init__(self, seed):
        self.numbers = Numbers(seed)
        self.lines = []
        self.functions = ["leaf"]

    def add(self, text):
        self.lines.append(text)

    def call(self, first, second):
        recent = self.functions[-40:]
        return f"{self.numbers.pick(recent)}({first}, {second})"


def expression(writer, names, depth):
    """An integer expression over the names."""
    numbers = writer.numbers
    if depth == 0 or numbers.below(5) == 0:
        return numbers.pick(names) if numbers.below(4) else str(numbers.between(1, 997))
    left = expression(writer, names, depth - 1)
    right = expression(writer, names, depth - 1)
    kind = numbers.below(12)
    if kind == 0:
        return writer.call(left, right)
    if kind == 1:
        return f"({left} > {right} + 1 ? {left} : {right})"
    if kind == 2:
        return f"({left} / ({right} | 1))"
    if kind == 3:
        return f"({left} >> {numbers.between(1, 7)})"
    return f"({left} {numbers.pick(['+', '-', '*', '^', '&', '|', '+', '-'])} {right})"


def header(writer, tag):
    """What an included header declares."""
    numbers = writer.numbers
    types = ["int", "long", "u32", "double", "char *", "const char *", "void *", "size_type"]
    writer.add(f"/* Header {tag}: limits, options and operations of device {tag}.\n"
               f" * Handles are opaque; every call returns 0 or a negative error. */")
    constants = ",\n".join(f"    OPTION_{tag}_{index} = {numbers.between(0, 4095)}"
                           for index in range(numbers.between(6, 16)))
    writer.add(f"enum option_{tag} {{\n{constants}\n}};\n")
    writer.add(f"struct device_{tag} {{")
    for index in range(numbers.between(6, 18)):
        writer.add(f"    {numbers.pick(types)} member_{index}; /* see OPTION_{tag}_1 */")
    if tag > 0:
        writer.add(f"    struct device_{numbers.below(tag)} *parent;")
    writer.add(f"}};\ntypedef int (*callback_{tag})(struct device_{tag} *, void *);\n")
    for index in range(numbers.between(15, 40)):
        arguments = ", ".join(numbers.pick(types) for _ in range(numbers.between(1, 5)))
        writer.add(f"extern int device_{tag}_operation_{index}(struct device_{tag} *, "
                   f"{arguments});")
    for index in range(numbers.between(2, 5)):
        writer.add(f"\nstatic inline int device_{tag}_test_{index}(const struct device_{tag} *d) "
                   f"{{\n    if (!d) return -{numbers.between(1, 130)};\n"
                   f"    return d->member_{numbers.below(6)} != 0 && "
                   f"OPTION_{tag}_0 < {numbers.between(1, 4095)};\n}}")
    writer.add("")


def integer_logic(writer, tag):
    """Nested conditions and loops over a few variables."""
    numbers = writer.numbers
    names = ["a", "b", "c", "d"]
    writer.add(f"i64 logic_{tag}(i64 a, i64 b) {{\n    i64 c = a * 7, d = b - 3;")
    for _ in range(numbers.between(3, 7)):
        name = numbers.pick(names)
        kind = numbers.below(4)
        if kind == 0:
            writer.add(f"    for (i64 i = 0; i < (({name} & 15) + 2); i++) {{\n"
                       f"        {name} += {expression(writer, names + ['i'], 2)};\n"
                       f"        if ({name} % {numbers.between(3, 19)} == 0) c ^= i;\n    }}")
        elif kind == 1:
            writer.add(f"    if ({expression(writer, names, 2)} > {numbers.between(1, 99)}) {{\n"
                       f"        {name} = {expression(writer, names, 3)};\n"
                       f"    }} else {{\n        {name} -= {expression(writer, names, 2)};\n    }}")
        elif kind == 2:
            writer.add(f"    while ({name} > {numbers.between(1000, 9000)}) {name} /= 3;")
        else:
            writer.add(f"    {name} = {expression(writer, names, 3)};")
    writer.add("    return a + (b ^ c) - d;\n}\n")
    writer.functions.append(f"logic_{tag}")


def record(writer, tag):
    """A struct, an array of it, and functions that set, compare, find and print."""
    numbers = writer.numbers
    types = ["i64", "int", "u32", "short", "double", "float", "u8"]
    fields = [(numbers.pick(types), f"field_{index}") for index in range(numbers.between(4, 10))]
    writer.add(f"struct record_{tag} {{\n    char name[{numbers.between(12, 40)}];")
    for kind, name in fields:
        writer.add(f"    {kind} {name};")
    count = numbers.between(16, 90)
    writer.add(f"}};\nstatic struct record_{tag} records_{tag}[{count}];\n")
    writer.add(f"static void record_{tag}_set(struct record_{tag} *r, i64 seed) {{\n"
               f"    snprintf(r->name, sizeof r->name, \"item-%ld-{tag}\", seed);")
    for kind, name in fields:
        factor = f"{numbers.between(1, 9)}.{numbers.below(10)}"
        value = f"seed * {factor}" if kind in ("double", "float") else f"seed * {factor[0]} + 1"
        writer.add(f"    r->{name} = ({kind})({value});")
    writer.add("}\n")
    writer.add(f"static int record_{tag}_compare(const struct record_{tag} *x, "
               f"const struct record_{tag} *y) {{")
    for _, name in fields:
        writer.add(f"    if (x->{name} != y->{name}) return x->{name} < y->{name} ? -1 : 1;")
    writer.add("    return strcmp(x->name, y->name);\n}\n")
    total = " + ".join(f"(i64)best->{name}" for _, name in fields)
    writer.add(f"i64 record_{tag}_best(i64 a, i64 b) {{\n"
               f"    struct record_{tag} *best = &records_{tag}[0];\n"
               f"    for (int i = 0; i < {count}; i++) {{\n"
               f"        record_{tag}_set(&records_{tag}[i], a + i * b);\n"
               f"        if (record_{tag}_compare(best, &records_{tag}[i]) < 0) "
               f"best = &records_{tag}[i];\n"
               f"    }}\n    return {total} + hash_text(best->name);\n}}\n")
    writer.functions.append(f"record_{tag}_best")


def state_machine(writer, tag):
    """A scanner: a switch over states inside a loop over bytes."""
    numbers = writer.numbers
    state_count = numbers.between(6, 22)
    states = ", ".join(f"STATE_{tag}_{index}" for index in range(state_count))
    writer.add(f"enum state_{tag} {{ {states} }};\n")
    writer.add(f"i64 scan_{tag}(i64 a, i64 b) {{\n    char text[64];\n"
               f"    snprintf(text, sizeof text, \"%ld %lx;{tag}\", a, b);\n"
               f"    enum state_{tag} state = STATE_{tag}_0;\n    i64 value = 0, depth = 0;\n"
               f"    for (const char *p = text; *p; p++) {{\n        switch (state) {{")
    for index in range(state_count):
        following = numbers.below(state_count)
        other = numbers.below(state_count)
        low = numbers.pick("059;BGMRX_bglqv")
        action = numbers.pick(["value = value * 10 + (*p - '0');", "depth++;", "value ^= depth;",
                               "if (depth > 3) depth = 0;", "value += (u8)*p << 2;",
                               f"value = {expression(writer, ['value', 'depth', 'a'], 2)};"])
        writer.add(f"        case STATE_{tag}_{index}:\n            {action}\n"
                   f"            state = *p > '{low}' ? STATE_{tag}_{following} : "
                   f"STATE_{tag}_{other};\n            break;")
    writer.add("        }\n    }\n    return value + depth;\n}\n")
    writer.functions.append(f"scan_{tag}")


def numeric(writer, tag):
    """Loops over arrays of floating point numbers."""
    numbers = writer.numbers
    rows, columns = numbers.between(6, 24), numbers.between(6, 24)
    writer.add(f"static double grid_{tag}[{rows}][{columns}];\n")
    writer.add(f"i64 relax_{tag}(i64 a, i64 b) {{\n    double change = 0, sum = 1;\n"
               f"    for (int i = 0; i < {rows}; i++)\n        for (int j = 0; j < {columns}; j++)"
               f"\n            grid_{tag}[i][j] = (double)(a + i) * {numbers.between(1, 5)}.25"
               f" / (double)((b & 7) + j + 1);")
    for _ in range(numbers.between(1, 3)):
        weight = f"0.{numbers.between(11, 49)}"
        term = numbers.pick(["sqrt(fabs(old))", "old * old", "old / (1.0 + fabs(sum))",
                             "(old > 0 ? old : -old)"])
        writer.add(f"    for (int i = 1; i < {rows - 1}; i++) {{\n"
                   f"        for (int j = 1; j < {columns - 1}; j++) {{\n"
                   f"            double old = grid_{tag}[i][j];\n"
                   f"            grid_{tag}[i][j] = {weight} * (grid_{tag}[i - 1][j] + "
                   f"grid_{tag}[i + 1][j]) + {weight} * (grid_{tag}[i][j - 1] + {term});\n"
                   f"            change += fabs(old - grid_{tag}[i][j]);\n        }}\n"
                   f"        sum += change * {weight};\n    }}")
    writer.add(f"    return (i64)(sum * 16) + (i64)grid_{tag}[{rows // 2}][{columns // 2}];\n}}\n")
    writer.functions.append(f"relax_{tag}")


def linked(writer, tag):
    """A sorted list and a tree of heap nodes."""
    numbers = writer.numbers
    writer.add(f"struct node_{tag} {{\n    struct node_{tag} *left, *right;\n    i64 key;\n"
               f"    char label[{numbers.between(4, 24)}];\n}};\n")
    writer.add(f"static struct node_{tag} *insert_{tag}(struct node_{tag} *root, i64 key) {{\n"
               f"    struct node_{tag} **link = &root;\n"
               f"    while (*link) link = key < (*link)->key ? &(*link)->left : &(*link)->right;\n"
               f"    struct node_{tag} *node = calloc(1, sizeof *node);\n"
               f"    if (!node) return root;\n    node->key = key;\n"
               f"    snprintf(node->label, sizeof node->label, \"%ld\", key);\n"
               f"    *link = node;\n    return root;\n}}\n")
    writer.add(f"static i64 walk_{tag}(struct node_{tag} *node, int depth) {{\n"
               f"    if (!node) return depth;\n"
               f"    i64 sum = walk_{tag}(node->left, depth + 1) + walk_{tag}(node->right, "
               f"depth + 1);\n    sum += node->key ^ (i64)strlen(node->label);\n"
               f"    free(node);\n    return sum;\n}}\n")
    writer.add(f"i64 tree_{tag}(i64 a, i64 b) {{\n    struct node_{tag} *root = 0;\n"
               f"    for (int i = 0; i < {numbers.between(5, 60)}; i++) {{\n"
               f"        root = insert_{tag}(root, {expression(writer, ['a', 'b', 'i'], 2)});\n"
               f"    }}\n    return walk_{tag}(root, 0);\n}}\n")
    writer.functions.append(f"tree_{tag}")


def text_function(writer, tag):
    """Copying, folding and splitting of text."""
    numbers = writer.numbers
    width = numbers.between(32, 200)
    split = numbers.pick([" ", ",", "-", ":", "/"])
    writer.add(f"static size_type fold_{tag}(char *to, const char *from, size_type limit) {{\n"
               f"    size_type length = 0;\n    while (*from && length + 1 < limit) {{\n"
               f"        char c = *from++;\n        if (c >= 'A' && c <= 'Z') c += 32;\n"
               f"        if (c == '{split}') continue;\n"
               f"        to[length++] = c;\n    }}\n    to[length] = 0;\n    return length;\n}}\n")
    words = " ".join(numbers.pick(["alpha", "beta", "gamma", "delta", "omega", "sigma"])
                     for _ in range(numbers.between(3, 12)))
    writer.add(f"i64 text_{tag}(i64 a, i64 b) {{\n    char line[{width}], folded[{width}];\n"
               f"    snprintf(line, sizeof line, \"%ld{split}%ld{split}{words}\", a, b);\n"
               f"    size_type length = fold_{tag}(folded, line, sizeof folded);\n"
               f"    i64 value = (i64)length;\n    for (size_type i = 0; i < length; i++) {{\n"
               f"        if (folded[i] >= '0' && folded[i] <= '9') value = value * 9 + folded[i];\n"
               f"        else if (folded[i] == 'a') value ^= {numbers.between(3, 999)};\n"
               f"    }}\n    return {writer.call('value', 'a')} + hash_text(folded);\n}}\n")
    writer.functions.append(f"text_{tag}")


def table(writer, tag):
    """A constant table and its look-up."""
    numbers = writer.numbers
    count = numbers.between(24, 120)
    values = [str(numbers.between(0, 99999)) for _ in range(count)]
    rows = ",\n    ".join(", ".join(values[start:start + 12]) for start in range(0, count, 12))
    writer.add(f"static const int table_{tag}[{count}] = {{\n    {rows}\n}};\n")
    writer.add(f"i64 lookup_{tag}(i64 a, i64 b) {{\n    int low = 0, high = {count - 1};\n"
               f"    while (low < high) {{\n        int middle = (low + high) / 2;\n"
               f"        if (table_{tag}[middle] < ((a + b) & 65535)) low = middle + 1;\n"
               f"        else high = middle;\n    }}\n"
               f"    return table_{tag}[low] * {numbers.between(2, 9)} + b;\n}}\n")
    writer.functions.append(f"lookup_{tag}")


def main():
    percent = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    writer = Writer(seed=20)
    writer.add(PROLOGUE)
    for tag in range(max(1, HEADER_COUNT * percent // 100)):
        header(writer, tag)
    for tag in range(max(1, GROUP_COUNT * percent // 100)):
        for part in (integer_logic, record, state_machine, numeric, linked, text_function, table,
                     integer_logic):
            suffix = "b" if part is integer_logic and f"logic_{tag}" in writer.functions else ""
            part(writer, f"{tag}{suffix}")
    # A table, not 600 calls in main: one huge function would be all that the compiler works on.
    entries = ",\n".join(f"    {name}" for name in writer.functions)
    writer.add(f"static i64 (*const steps[])(i64, i64) = {{\n{entries}\n}};\n")
    writer.add("int main(void) {\n    i64 sum = 1;\n"
               "    for (size_type i = 0; i < sizeof steps / sizeof steps[0]; i++) {\n"
               "        sum += steps[i](sum & 1023, (i64)i);\n    }\n"
               "    return (int)(sum & 127);\n}")
    print("\n".join(writer.lines))


if __name__ == "__main__":
    main()
