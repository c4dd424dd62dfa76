# SPDX-License-Identifier: MIT
"""One program's run in CPython: its objects, their numbers, what finalizers and callbacks do. The
twin of oracle_run.c. What is said at the top of cpython.py holds here, too."""
import gc
import weakref

from program import *

slots = [None] * SLOT_COUNT
saved = [None] * NUMBER_COUNT
kinds = [""] * NUMBER_COUNT       # of objects: I F L D S T (tuple that stays tracked) t (one that
                                  # may not) R, V K E (weak tables), X (finalizer from outside)
hashables = [0] * NUMBER_COUNT    # 1: hashable, 0: not, -1: depends on weak references
actions = [0] * NUMBER_COUNT      # of finalizers, callbacks and finalizers from outside
targets = [0] * NUMBER_COUNT      # of weak references and finalizers from outside
asked = [0] * NUMBER_COUNT        # slots that callbacks ask
numbers = {}                      # by address
alive = set()
events = []
lines = []
BALLAST = 200  # more than warm_up() makes
AUTOMATIC_BALLAST = 5000  # and after each full collection
ballast = []


class State:
    __slots__ = ("number", "collecting", "exact", "automatic", "frozen", "frozen_base")


state = State()


class Watch(weakref.ref):
    """Sees a canary die."""
    __slots__ = ("number",)


# CPython's only objects that can be watched and that the collector does not know: code.
TEMPLATE = (lambda: None).__code__
canaries = [None] * NUMBER_COUNT
watches = [None] * NUMBER_COUNT


def canary_dies(watch):
    if watch.number in alive:
        alive.discard(watch.number)
        events.append(f"d{watch.number}")


def breed(number):
    """Makes the canary that take_canary() will give."""
    canaries[number] = TEMPLATE.replace(co_firstlineno=number)
    watches[number] = Watch(canaries[number], canary_dies)
    watches[number].number = number


def take_canary(number):
    canary = canaries[number]
    canaries[number] = None
    return canary


MAKERS_OF_CANARIES = {INSTANCE, FINALIZED, LIST, DICT, SET, TUPLE, WEAKREF, TABLE, TABLE_COPY,
                      OUTSIDE}


def breed_for(program):
    for number, (code, a, b, c, d) in enumerate(program.operations):
        if code in MAKERS_OF_CANARIES:
            breed(number)
        if code == FINALIZED and (c == MAKE_LIST or c == MAKE_REF):
            breed(number + FROM_FINALIZER)
        if code == WEAKREF and c == KEPT_MAKES or code == OUTSIDE and c % 4 == OUTSIDE_MAKES:
            breed(number + FROM_CALLBACK)


def bury(program):
    """Those that were not taken die unseen."""
    for number in range(len(program.operations)):
        for index in (number, number + FROM_FINALIZER, number + FROM_CALLBACK):
            watches[index] = canaries[index] = None


class Instance:
    __slots__ = ("a", "b", "c", "canary", "__weakref__")


class Finalized(Instance):
    __slots__ = ()

    def __del__(self):
        number = numbers[id(self)]
        events.append(f"f{number}")
        FINALIZER_ACTIONS[actions[number]](self, number)


class Ref(weakref.ref):
    __slots__ = ("canary",)


class List(list):
    __slots__ = ("__weakref__",)


def register(thing, kind, number, hashable):
    numbers[id(thing)] = number
    alive.add(number)
    kinds[number] = kind
    hashables[number] = hashable


def make_list(number):
    thing = List() if state.automatic else []
    thing.append(take_canary(number))
    register(thing, "L", number, 0)
    return thing


def make_ref(target, number):
    thing = Ref(target, called)
    thing.canary = take_canary(number)
    targets[number] = numbers[id(target)]
    register(thing, "R", number, -1)
    return thing


# --- what an object is ---

def addresses():
    """By number; only those of living objects are good."""
    return {number: address for address, number in numbers.items()}


def number_in(thing):
    return -1 if thing is None else numbers[id(thing)]


def kind_of(thing):
    if thing is None:
        return ""
    if type(thing) is weakref.ref or numbers[id(thing)] not in alive:
        return "W"
    return kinds[numbers[id(thing)]]


def can_be_key(thing):
    """Whether the object may be hashed at all in a program."""
    kind = kind_of(thing)
    return kind != "" and kind != "W" and hashables[numbers[id(thing)]] != -1


REFERRED = {"I", "F", "S", "V", "K", "E", "X"}


def can_have_refs(thing):
    kind = kind_of(thing)
    return kind in REFERRED or kind == "L" and type(thing) is List


# --- what finalizers and callbacks do ---

def do_nothing(thing, number):
    pass


def save_self(thing, number):
    saved[number] = thing


def save_child(thing, number):
    saved[number] = thing.a


def may_lose(thing, depth):
    """Whether a finalizer may let the object go. What dies in the middle of a collection must have
    no finalizer: if it saved its object, that would be of another generation than one which is
    saved from the collection, and which it is depends on the order of finalizers."""
    if not state.collecting and not state.automatic:
        return True
    if kind_of(thing) != "I":
        return kind_of(thing) == ""
    return depth > 0 and (may_lose(thing.a, depth - 1) and may_lose(thing.b, depth - 1)
                          and may_lose(thing.c, depth - 1))


def lose_child(thing, number):
    if may_lose(thing.a, 3):
        thing.a = None


def save_new_list(thing, number):
    saved[number] = make_list(number + FROM_FINALIZER)


def save_new_ref(thing, number):
    actions[number + FROM_FINALIZER] = KEPT
    saved[number] = make_ref(thing, number + FROM_FINALIZER)


def try_collect(thing, number):
    if state.collecting:  # elsewhere the result depends on what has died so far
        events.append(f"g{number}={gc.collect()}")


def move_child(thing, number):
    if may_lose(thing.a, 3):
        thing.a = thing.b


def fail(thing, number):
    raise ValueError(number)


FINALIZER_ACTIONS = [do_nothing, save_self, save_child, lose_child, save_new_list, save_new_ref,
                     try_collect, move_child, fail]


def called(ref):
    number = numbers[id(ref)]
    events.append(f"c{targets[number]}.{number}")
    alive.discard(number)
    ref.canary = None
    action = actions[number]
    if action == LOOSE_ASKS:
        if state.exact:
            other = slots[asked[number]]
            if type(other) is weakref.ref or type(other) is Ref:
                events.append(f"q{targets[number]}.{number}:{number_in(other())}")
    elif saved[number] is ref:  # else it may go together with its object, and call or not
        if action == KEPT_MAKES:
            saved[number + FROM_CALLBACK] = make_list(number + FROM_CALLBACK)
        elif action == KEPT_FAILS:
            raise ValueError(number)


def failed(unraisable):
    events.append(f"u{unraisable.exc_value.args[0]}")
