# SPDX-License-Identifier: MIT
"""Random programs for the oracle: what CPython (cpython.py) and a varve world (oracle_driver.c) both
run. A program is a list of operations, each five numbers: code, a, b, c, d. a and b are slots,
0 .. SLOT_COUNT - 1, that hold one reference each; the other numbers are explained with the codes.
The number of an object is the number of the operation that made it; a finalizer's or callback's
object has that of its cause plus FROM_FINALIZER or FROM_CALLBACK.

Every object holds a *canary*, an object without references whose death is seen: an object has died
when its canary has. What finalizers and callbacks do is chosen so that the result does not depend
on the order in which they run within one operation: they write only into their own object and into
a place of `saved` that is theirs.
"""
import random

SLOT_COUNT = 8
OPERATION_MAX = 999
FROM_FINALIZER = 1000
FROM_CALLBACK = 2000
NUMBER_COUNT = 3000

# Codes. "the object": in slot a. An operation whose objects are missing or of the wrong kind does
# nothing.
INSTANCE = 0    # a: slot of the new instance
FINALIZED = 1   # a; c: what its finalizer does
LIST = 2        # a
DICT = 3        # a
SET = 4         # a
TUPLE = 5       # a; of what is in the slots b, c, d
LINK = 6        # the object takes that in b; c: which attribute or key; d: slot of a dict's key
UNLINK = 7      # the object loses attribute, item or key c, a set what is in b
DROP = 8        # a is emptied
COPY = 9        # a takes what is in b
LOAD = 10       # a takes what attribute, item or key c of that in b holds
WEAKREF = 11    # a: slot; to what is in b; c: what its callback does; d: slot that it asks
PLAIN_REF = 12  # a: slot; to what is in b, without callback
ASK = 13        # which object the weak reference in a has
COUNT_REFS = 14 # how many weak references the object has
COLLECT = 15    # generation a, then the state of everything
FREEZE = 16
UNFREEZE = 17
FORGET = 18     # the saved object number c (modulo those that there are) is let go
RECALL = 19     # a takes it
REFERENTS = 20  # what the object refers to
# On weak tables. Those that need a key take the number c or what is in slot d where keys are strong,
# else what is in b. What is strong in a new entry is the number c or in d, too.
TABLE = 21          # a: slot of the new weak dict (by value, by key) or weak set: c
TABLE_COPY = 22     # a: slot; of that in b
TABLE_SET = 23      # the table gets an entry for what is in b
TABLE_DELETE = 24
TABLE_GET = 25
TABLE_DEFAULT = 26  # setdefault()
TABLE_TAKE = 27     # pop() of a key
TABLE_POP = 28      # popitem()
TABLE_UPDATE = 29   # by the table in b; c: which operation of sets
TABLE_COMPARE = 30  # the set with that in b
TABLE_SHOW = 31     # length and contents
TABLE_WALK = 32     # the same one by one, and slot b is emptied on the way: c
# On finalizers from outside.
OUTSIDE = 33        # a: slot; of what is in b; c: what it does; d: slot of what it holds
OUTSIDE_CALL = 34
OUTSIDE_DETACH = 35
OUTSIDE_PEEK = 36
NAMES = ("instance finalized list dict set tuple link unlink drop copy load weakref plain_ref ask "
         "count_refs collect freeze unfreeze forget recall referents table table_copy table_set "
         "table_delete table_get table_default table_take table_pop table_update table_compare "
         "table_show table_walk outside outside_call outside_detach outside_peek").split()

# What a finalizer does.
(NOTHING, SAVE_SELF, SAVE_CHILD, LOSE_CHILD, MAKE_LIST, MAKE_REF, TRY_COLLECT, MOVE_CHILD,
 FAIL) = range(9)
FINALIZERS = ("nothing save_self save_child lose_child make_list make_ref try_collect move_child "
              "fail").split()

# What a callback does. Only references that are kept (in `saved`) may change anything.
LOOSE, LOOSE_ASKS, KEPT, KEPT_MAKES, KEPT_FAILS = range(5)
CALLBACKS = "loose loose_asks kept kept_makes kept_fails".split()

# What a finalizer from outside does, modulo 4; from 4 on it holds what is in slot d.
OUTSIDE_MAKES, OUTSIDE_FAILS = 2, 3  # 0, 1: nothing


class Program:
    """`automatic`: None, or the thresholds of automatic collections. Such a program has no dicts
    and tuples, and its lists are of a subclass: what CPython takes from its free lists is not
    counted, and subclasses have none."""

    def __init__(self, seed, automatic, operations):
        self.seed, self.automatic, self.operations = seed, automatic, operations

    def tables(self):
        """The numbers of its weak tables."""
        return [number for number, operation in enumerate(self.operations)
                if operation[0] in (TABLE, TABLE_COPY)]

    def has_tables(self):
        """Or finalizers from outside."""
        return any(operation[0] >= TABLE for operation in self.operations)

    def text(self):
        """For the driver."""
        head = f"P {self.seed} {1 if self.automatic else 0} "
        head += " ".join(map(str, self.automatic or (0, 0, 0)))
        lines = [" ".join(map(str, operation)) for operation in self.operations]
        return "\n".join([head, *lines, "E", ""])

    def describe(self):
        """For people."""
        head = f"seed {self.seed}"
        if self.automatic:
            head += f", automatic collections, thresholds {self.automatic}"
        lines = []
        for number, (code, a, b, c, d) in enumerate(self.operations):
            text = f"  {number:3} {NAMES[code]} {a} {b} {c} {d}"
            if code == FINALIZED:
                text += f"  ({FINALIZERS[c]})"
            if code == TABLE:
                text += f"  ({('weak values', 'weak keys', 'weak set')[c % 3]})"
            if code == OUTSIDE:
                does = ("notes", "notes", "makes", "fails")[c % 4]
                text += f"  ({does}, {'holds' if c >= 4 else 'alone'})"
            if code == WEAKREF:
                text += f"  ({CALLBACKS[c]})"
            lines.append(text)
        return "\n".join([head, *lines])


def for_steps(program):
    """The program without finalizers, weak references and tables, and freezing, whose collections
    are all full: when garbage goes makes no difference to it."""
    replaced = {FINALIZED: INSTANCE, WEAKREF: ASK, PLAIN_REF: ASK, FREEZE: ASK, UNFREEZE: ASK}
    replaced.update((code, ASK) for code in range(TABLE, len(NAMES)))
    operations = [(replaced.get(code, code), 2 if code == COLLECT else a, b, c, d)
                  for code, a, b, c, d in program.operations]
    return Program(program.seed, None, operations)


MAKERS = [(INSTANCE, 4), (FINALIZED, 3), (LIST, 3), (SET, 2), (DICT, 2), (TUPLE, 3)]
OTHERS = [(LINK, 40), (UNLINK, 6), (DROP, 12), (COPY, 3), (LOAD, 5), (WEAKREF, 7), (PLAIN_REF, 3),
          (ASK, 2), (COUNT_REFS, 2), (COLLECT, 6), (FORGET, 2), (RECALL, 1), (REFERENTS, 1)]
FREEZERS = [(FREEZE, 2), (UNFREEZE, 1)]
WEAK_MAKERS = [(INSTANCE, 10), (FINALIZED, 7), (LIST, 1), (SET, 2), (DICT, 1), (TUPLE, 1)]
TABLERS = [(TABLE, 4), (TABLE_COPY, 1), (TABLE_SET, 36), (TABLE_DELETE, 3), (TABLE_GET, 3),
           (TABLE_DEFAULT, 3), (TABLE_TAKE, 1), (TABLE_POP, 1), (TABLE_UPDATE, 2),
           (TABLE_COMPARE, 1), (TABLE_SHOW, 3), (TABLE_WALK, 2), (OUTSIDE, 8), (OUTSIDE_CALL, 2),
           (OUTSIDE_DETACH, 2), (OUTSIDE_PEEK, 2)]


def table(weights):
    return [code for code, weight in weights for _ in range(weight)]


EXACT = table(MAKERS + OTHERS)
FREEZING = EXACT + table(FREEZERS)
TABLED = table(WEAK_MAKERS + OTHERS + TABLERS)
AUTOMATIC = table([pair for pair in MAKERS + OTHERS
                   if pair[0] not in (DICT, TUPLE, REFERENTS)] + [(INSTANCE, 12), (LIST, 8)])


SLOTS_OF_TABLES = 2


def aim(code, a, below, slot_count):
    """Where tables are, mostly, and other things are not: else they would have few entries."""
    is_for_tables = TABLE <= code < OUTSIDE
    if below(8) == 0 or code in (LINK, UNLINK, COLLECT):
        return a
    if is_for_tables:
        return a % SLOTS_OF_TABLES
    return a if a >= SLOTS_OF_TABLES else SLOTS_OF_TABLES + below(slot_count - SLOTS_OF_TABLES)


def generate(seed):
    """The program of a seed."""
    source = random.Random(seed)
    below = source.randrange
    automatic, codes, fill = None, EXACT, COLLECT
    kind = below(10)
    if kind < 3:
        automatic, codes = (1 + below(12), 1 + below(3), 1 + below(3)), AUTOMATIC
    elif kind == 3:
        codes = FREEZING
    elif kind < 7:
        # CPython's tables are made of objects that are counted and frozen, too.
        codes = TABLED
    slot_count = 2 + below(SLOT_COUNT - 2)
    count = 5 + below(75)
    if codes is TABLED:
        slot_count = 4 + below(SLOT_COUNT - 3)
        count *= 2  # tables fill slowly
    operations = []
    for _ in range(count):
        code = source.choice(codes)
        a, b, c, d = below(slot_count), below(slot_count), below(60), below(slot_count)
        if codes is TABLED:
            a = aim(code, a, below, slot_count)
        if code == LINK and below(3) == 0:
            b = a  # a circle of one, at least
        if code == FINALIZED:
            c = below(FAIL if automatic else FAIL + 1)
        elif code == WEAKREF:
            c = below(KEPT_FAILS if automatic else KEPT_FAILS + 1)
            if c == LOOSE_ASKS and codes is TABLED:
                c = KEPT  # what it saw would depend on which entries went before
        elif code == OUTSIDE:
            c = below(8)
        elif code == TUPLE:
            c = below(slot_count)
        elif code == COLLECT:
            a = below(3)
        operations.append((code, a, b, c, d))
    return Program(seed, automatic, operations)
