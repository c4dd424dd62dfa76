# SPDX-License-Identifier: MIT
"""Runs a program (program.py) in this very CPython and returns what happened, as lines of text:
those of oracle_driver.c are to be the same.

A line is "NUMBER EVENT... RESULT...", for each operation in which anything happened:

    fN     the finalizer of object N ran            dN     object N has died
    cT.N   the callback of the weak reference N to object T ran; it counts as dead from now on
    qT.N:X what a callback of N saw through another weak reference
    xT.N   the finalizer N from outside of object T ran
    uN     a finalizer or callback failed (uT.N: one from outside)
    gN=X   a collection within a finalizer found X
    =...   results

While a program with automatic collections runs, nothing here may make an object that the collector
counts, or the collections would come earlier than in the driver: that is why this file looks as it
does.
"""
import _ctypes
import gc
import sys
import weakref

from run import *
from tables import *


# --- operations ---

def instance(a, b, c, d):
    thing = Instance()
    thing.a = thing.b = thing.c = None
    thing.canary = take_canary(state.number)
    register(thing, "I", state.number, 1)
    slots[a] = thing


def finalized(a, b, c, d):
    thing = Finalized()
    thing.a = thing.b = thing.c = None
    thing.canary = take_canary(state.number)
    register(thing, "F", state.number, 1)
    actions[state.number] = c
    slots[a] = thing


def list_(a, b, c, d):
    slots[a] = make_list(state.number)


def dict_(a, b, c, d):
    thing = {-1: take_canary(state.number)}
    register(thing, "D", state.number, 0)
    slots[a] = thing


def set_(a, b, c, d):
    thing = set()
    thing.add(take_canary(state.number))
    register(thing, "S", state.number, 0)
    slots[a] = thing


def tuple_(a, b, c, d):
    items = [take_canary(state.number)]
    hashable = 1
    for slot in (b, c, d):
        kind = kind_of(slots[slot])
        # How soon a tuple in a tuple is no longer tracked depends on the order of the collector.
        if kind == "" or kind == "t":
            continue
        items.append(slots[slot])
        item_hashable = -1 if kind == "W" else hashables[numbers[id(slots[slot])]]
        if item_hashable == -1 or hashable == -1:
            hashable = -1
        elif item_hashable == 0:
            hashable = 0
    thing = tuple(items)
    register(thing, "T" if len(thing) > 1 else "t", state.number, hashable)
    slots[a] = thing


def link(a, b, c, d):
    holder, thing = slots[a], slots[b]
    kind = kind_of(holder)
    if thing is None or kind == "":
        return
    if kind == "I" or kind == "F":
        setattr(holder, "abc"[c % 3], thing)
    elif kind == "L":
        holder.append(thing)
    elif kind == "D":
        link_in_dict(holder, thing, c, slots[d])
    elif kind == "S" and can_be_key(thing):
        if hashables[numbers[id(thing)]]:
            holder.add(thing)
        elif not state.automatic:  # exceptions are counted
            add_unhashable(holder, thing)


def add_unhashable(holder, thing):
    try:
        holder.add(thing)
    except TypeError:
        events.append("=unhashable")


def link_in_dict(holder, thing, c, key):
    if c % 2 == 0:
        holder[c // 2 % 4] = thing
    elif can_be_key(key):
        try:
            holder[key] = thing
        except TypeError:
            events.append("=unhashable")


def unlink(a, b, c, d):
    holder = slots[a]
    kind = kind_of(holder)
    if kind == "I" or kind == "F":
        setattr(holder, "abc"[c % 3], None)
    elif kind == "L":
        if len(holder) > 1:
            del holder[1 + c % (len(holder) - 1)]
    elif kind == "D":
        key = c // 2 % 4 if c % 2 == 0 else slots[b]
        if (c % 2 == 0 or can_be_key(key) and hashables[numbers[id(key)]]) and key in holder:
            del holder[key]
    elif kind == "S" and can_be_key(slots[b]) and hashables[numbers[id(slots[b])]]:
        holder.discard(slots[b])


def drop(a, b, c, d):
    slots[a] = None


def copy(a, b, c, d):
    slots[a] = slots[b]


def load(a, b, c, d):
    holder = slots[b]
    kind = kind_of(holder)
    thing = None
    if kind == "I" or kind == "F":
        thing = getattr(holder, "abc"[c % 3])
    elif kind == "L" or kind == "T":
        if len(holder) > 1:
            thing = holder[1 + c % (len(holder) - 1)]
    elif kind == "D":
        thing = holder.get(c // 2 % 4)
    if thing is not None:
        slots[a] = thing


def weakref_(a, b, c, d):
    if kind_of(slots[b]) == "T":  # CPython's tuples have no weak references, and varve's neither
        try:
            weakref.ref(slots[b])
        except TypeError:
            events.append("=unsupported")
    elif can_have_refs(slots[b]):
        actions[state.number] = c
        asked[state.number] = d
        thing = make_ref(slots[b], state.number)
        if c >= KEPT:
            saved[state.number] = thing
        slots[a] = thing


def plain_ref(a, b, c, d):
    if can_have_refs(slots[b]):
        slots[a] = weakref.ref(slots[b])


def ask(a, b, c, d):
    kind = kind_of(slots[a])
    if kind == "W" or kind == "R":
        events.append(f"={number_in(slots[a]())}")


def count_refs(a, b, c, d):
    if can_have_refs(slots[a]):
        events.append(f"={weakref.getweakrefcount(slots[a])}")


def collect(a, b, c, d):
    state.collecting = True
    state.exact = a == 2 and not state.frozen
    count = gc.collect(a)
    state.collecting = state.exact = False
    events.append(f"=collected={count}")
    if not state.automatic:
        refresh_tables()
        show_objects()


def show_objects():
    """Generation (3: frozen, u: not tracked), whether finalized, and refcount of each object."""
    generations = [{id(thing) for thing in gc.get_objects(generation)} for generation in range(3)]
    places, extra = addresses(), extra_references()
    _, first, second = gc.get_count()
    events.append(f"=counts={first},{second}")
    for number in sorted(alive):
        thing = _ctypes.PyObj_FromPtr(places[number])
        where = [str(index) for index in range(3) if places[number] in generations[index]]
        text = where[0] if where else "3" if gc.is_tracked(thing) else "u"
        finalized = gc.is_finalized(thing) if kinds[number] == "F" else False
        count = sys.getrefcount(thing) - 2 - extra.get(number, 0)
        events.append(f"={number}:{text}{'f' if finalized else ''}*{count}")
        if kinds[number] in TABLES:
            show_table(thing)
        del thing


def freeze(a, b, c, d):
    gc.freeze()
    state.frozen = True
    if state.frozen_base is not None:
        events.append(f"=frozen={gc.get_freeze_count() - state.frozen_base}")
    show_objects()


def unfreeze(a, b, c, d):
    gc.unfreeze()
    state.frozen = False
    state.frozen_base = None  # what is not the program's has been mixed with it
    events.append(f"=frozen={gc.get_freeze_count()}")
    show_objects()


def saved_number(c):
    """The c-th saved object, modulo their count. -1: there is none."""
    count = number = 0
    while number < NUMBER_COUNT:
        if saved[number] is not None:
            if c == count:
                return number
            count += 1
        number = next_number(number)
    return -1 if count == 0 else saved_number(c % count)


def next_number(number):
    """The next that an object can have so far."""
    if number % FROM_FINALIZER == state.number:
        return number - state.number + FROM_FINALIZER
    return number + 1


def forget(a, b, c, d):
    number = saved_number(c)
    if number >= 0:
        saved[number] = None


def recall(a, b, c, d):
    number = saved_number(c)
    if number >= 0:
        slots[a] = saved[number]


def referents(a, b, c, d):
    if slots[a] is not None:
        found = sorted(numbers[id(thing)] for thing in gc.get_referents(slots[a])
                       if type(thing) in KNOWN and numbers[id(thing)] in alive)
        events.append("=refers=" + ",".join(map(str, found)))


KNOWN = {Instance, Finalized, list, List, dict, set, tuple, Ref}
OPERATIONS = [instance, finalized, list_, dict_, set_, tuple_, link, unlink, drop, copy, load,
              weakref_, plain_ref, ask, count_refs, collect, freeze, unfreeze, forget, recall,
              referents, *TABLE_OPERATIONS]


# --- whole programs ---

def end_line(number):
    if events:
        lines.append(f"{number} " + " ".join(events))
        events.clear()


def run_operations(program, operations):
    """`operations` is an iterator that lives as long as the program, so it is never counted."""
    begin(program)
    number = 0
    for code, a, b, c, d in operations:
        state.number = number
        OPERATIONS[code](a, b, c, d)
        end_line(number)
        number += 1
    finish(program)


def fill_free_lists():
    """Small tuples come and go with calls and callbacks; from now on they come from free lists."""
    tuples = [tuple([None] * size) for size in range(1, 20) for _ in range(5)]
    del tuples
    gc.get_count()


def refill_free_lists(phase, info):
    """A full collection has emptied them. What that adds to the count is taken back: each of the
    ballast that dies counts one down, and one more for `info`, which is older than this call."""
    if phase == "stop" and info["generation"] == 2:
        before = gc.get_count()[0]
        fill_free_lists()
        made = gc.get_count()[0] - before + 1
        while made > 0:
            ballast.pop()
            made -= 1


def warm_up():
    fill_free_lists()
    thing = Instance()
    thing.a = None
    weakref.ref(thing)
    Ref(thing, called).canary = None
    getattr(thing, "a")
    events.clear()
    alive.clear()


def begin(program):
    gc.disable()
    numbers.clear()
    breed_for(program)
    state.automatic = program.automatic is not None
    state.frozen = state.collecting = state.exact = False
    ballast[:] = [set() for _ in range(AUTOMATIC_BALLAST if program.automatic else BALLAST)]
    gc.freeze()
    gc.collect()
    warm_up()
    if program.automatic:
        gc.set_threshold(*program.automatic)
        gc.callbacks.append(refill_free_lists)
        gc.enable()
    del ballast[-BALLAST:]  # each that dies counts one down, to 0
    state.frozen_base = gc.get_freeze_count()


def finish(program):
    """Everything is let go; what finalizers saved, too."""
    if program.automatic:
        first, second, third = gc.get_count()
        gc.disable()
        gc.callbacks.clear()
        ballast.clear()
        events.append(f"=count={first},{second},{third}")
        show_objects()
        end_line("end")
    for index in range(SLOT_COUNT):
        slots[index] = None
    detach_all()
    end_line("slots")
    if state.frozen:
        gc.unfreeze()
    for _ in range(4):
        for index in range(NUMBER_COUNT):
            saved[index] = None
        end_line("saved")
        state.collecting = True
        state.exact = False
        events.append(f"=collected={gc.collect()}")
        state.collecting = False
        end_line("finish")
    bury(program)
    lines.append(f"alive {len(alive)}")
    alive.clear()


def run(program):
    """The lines of a program, and what the collector's statistics say has been collected."""
    lines.clear()
    gc.collect()  # so that nothing that is garbage is ever frozen
    before = gc.get_stats()
    run_operations(program, iter(program.operations))
    after = gc.get_stats()
    for generation in range(3):
        difference = [after[generation][key] - before[generation][key]
                      for key in ("collections", "collected", "uncollectable")]
        if generation == 2:
            difference[0] -= 1  # that of begin()
        lines.append(f"stats {generation} " + " ".join(map(str, difference)))
    return list(lines)


def prepare():
    """What is done for the first time may make objects that are counted, so all is done once."""
    sys.unraisablehook = failed
    gc.unfreeze()
    gc.collect()
    for seed in range(100):
        run(generate(seed))
