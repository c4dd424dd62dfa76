# SPDX-License-Identifier: MIT
"""Operations on weak tables and on finalizers from outside in CPython. The twin of oracle_tables.c.

A table, or a finalizer, is the attribute `a` of an instance that nothing else refers to it than; so
it has a canary, and lives as long as the instance."""
import _ctypes
import weakref

from run import *

WEAK = "IFSVKEXTt"  # kinds that are put in tables; tuples cannot be


# --- making ---

def hold(thing, kind, a):
    """A new instance with a table or finalizer, in slot a."""
    holder = Instance()
    holder.a = thing
    holder.b = holder.c = None
    holder.canary = take_canary(state.number)
    register(holder, kind, state.number, 1)
    slots[a] = holder


def make_table(a, b, c, d):
    kind = "VKE"[c % 3]
    hold(TABLES[kind](), kind, a)


TABLES = {"V": weakref.WeakValueDictionary, "K": weakref.WeakKeyDictionary, "E": weakref.WeakSet}


def table_copy(a, b, c, d):
    if kind_of(slots[b]) in TABLES:
        hold(slots[b].a.copy(), kind_of(slots[b]), a)


# --- entries ---

def key_of(b, c, d):
    """A value dict's key: a number, or an object."""
    if c % 2 == 0:
        return c // 2 % 4
    return slots[d] if can_be_key(slots[d]) else None


def in_words(found):
    """What a table gave: a number, or an object's; those without have none."""
    if type(found) is int:
        return f"={found}"
    return f"=<{-1 if kind_of(found) == 'W' else number_in(found)}>"


def entry_of(a, b, c, d):
    """The key and what it leads to in a set operation; None: the program has none."""
    kind = kind_of(slots[a])
    if kind == "V":
        key, value = key_of(b, c, d), slots[b]
        return None if key is None or not is_weak(value) else (key, value)
    value = c // 2 % 4 if c % 2 == 0 else slots[d]
    return None if value is None or not is_weak(slots[b]) else (slots[b], value)


def is_weak(thing):
    """Whether a program puts it in a table at all."""
    return can_be_key(thing) and kind_of(thing) in WEAK


def asked_key(a, b, c, d):
    """The key that is asked for or deleted; None: the program has none."""
    if kind_of(slots[a]) == "V":
        return key_of(b, c, d)
    return slots[b] if is_weak(slots[b]) else None


def try_table(function, *arguments):
    try:
        return function(*arguments)
    except TypeError:
        events.append("=unsupported")
    except KeyError:
        events.append("=none")
    return None


def table_set(a, b, c, d):
    kind = kind_of(slots[a])
    if kind == "E":
        if is_weak(slots[b]):
            try_table(slots[a].a.add, slots[b])
    elif kind in TABLES:
        entry = entry_of(a, b, c, d)
        if entry is not None:
            try_table(slots[a].a.__setitem__, *entry)


def table_delete(a, b, c, d):
    kind = kind_of(slots[a])
    key = asked_key(a, b, c, d) if kind in TABLES else None
    if key is not None:
        try_table(slots[a].a.remove if kind == "E" else slots[a].a.__delitem__, key)


def table_get(a, b, c, d):
    kind = kind_of(slots[a])
    key = asked_key(a, b, c, d) if kind in TABLES else None
    if key is None:
        return
    if kind == "E":
        found = try_table(slots[a].a.__contains__, key)
        if found is not None:
            events.append(f"={found:d}")
    else:
        found = try_table(slots[a].a.__getitem__, key)
        if found is not None:
            events.append(in_words(found))


def table_default(a, b, c, d):
    kind = kind_of(slots[a])
    if kind == "V" or kind == "K":
        entry = entry_of(a, b, c, d)
        found = try_table(slots[a].a.setdefault, *entry) if entry is not None else None
        if found is not None:
            events.append(in_words(found))


def take(thing, key):
    hash(key)  # which pop() of an empty dict does not do
    return thing.pop(key)


def table_take(a, b, c, d):
    kind = kind_of(slots[a])
    if kind == "V" or kind == "K":
        key = asked_key(a, b, c, d)
        found = try_table(take, slots[a].a, key) if key is not None else None
        if found is not None:
            events.append(in_words(found))


def table_pop(a, b, c, d):
    kind = kind_of(slots[a])
    if kind == "V" or kind == "K":  # which a set gives is not specified
        found = try_table(slots[a].a.popitem)
        if found is not None:
            events.append(in_words(found[0]) + in_words(found[1]))


# --- whole tables ---

def intersect(left, right):
    """intersection_update() leaves weak references without callback, which stay when they die."""
    left.difference_update(left - right)


SET_OPERATIONS = [weakref.WeakSet.update, intersect, weakref.WeakSet.difference_update,
                  weakref.WeakSet.symmetric_difference_update]


def table_update(a, b, c, d):
    kind = kind_of(slots[a])
    if kind in TABLES and kind_of(slots[b]) == kind:
        if kind == "E":
            SET_OPERATIONS[c % 4](slots[a].a, slots[b].a)
        else:
            slots[a].a.update(slots[b].a)


def table_compare(a, b, c, d):
    if kind_of(slots[a]) == "E" and kind_of(slots[b]) == "E":
        left, right = slots[a].a, slots[b].a
        events.append(f"={left.issubset(right):d}{left.isdisjoint(right):d}{left == right:d}")


def contents(thing, kind):
    """The entries in order; of a set, which has none, sorted."""
    if kind == "E":
        return ",".join(map(str, sorted(map(number_in, thing))))
    return "".join(f"{in_words(key)}{in_words(value)}" for key, value in thing.items())


def show_table(holder):
    kind = kind_of(holder)
    events.append(f"={kind}{number_in(holder)}:{len(holder.a)}:{contents(holder.a, kind)}")


def table_show(a, b, c, d):
    if kind_of(slots[a]) in TABLES:
        show_table(slots[a])


def table_walk(a, b, c, d):
    """Shows keys one by one; after the first c % 4 of them slot b is emptied. Only where all that
    the table holds itself is numbers: else CPython lets it go at the end of the walk, varve at
    once. The one that was shown last lives until the next has been found."""
    kind = kind_of(slots[a])
    if (kind == "V" or kind == "K") and all(
            type(key if kind == "V" else value) is int for key, value in slots[a].a.items()):
        thing = slots[a].a
        walk_emptying(thing.values() if kind == "V" else thing.keys(), b, c % 4)


def walk_emptying(walk, b, empty_at):
    for count, thing in enumerate(walk):
        events.append(in_words(thing))
        if count == empty_at:
            slots[b] = None


def forget_dead(holder, kind):
    """What is left of a table that was garbage and then saved: entries whose object has died, as
    CPython's tables keep them. varve's get rid of them when they are next changed, see refresh() in
    oracle_tables.c."""
    data = holder.a.data
    if kind == "E":
        for ref in [ref for ref in data if ref() is None]:
            data.discard(ref)
    else:
        for key in [key for key, value in data.items()
                    if (value if kind == "V" else key)() is None]:
            del data[key]


def refresh_tables():
    for number, address in addresses().items():
        if number in alive and kinds[number] in TABLES:
            forget_dead(_ctypes.PyObj_FromPtr(address), kinds[number])


def extra_references():
    """How many references objects have that those of varve have not, by number: in a value dict the
    weak reference refers to the key, too."""
    extra = {}
    for number, address in addresses().items():
        if number in alive and kinds[number] == "V":
            for ref in _ctypes.PyObj_FromPtr(address).a.data.values():
                if type(ref.key) is not int:
                    key = numbers[id(ref.key)]
                    extra[key] = extra.get(key, 0) + 1
    return extra


# --- finalizers from outside ---

class Outside(weakref.finalize):
    """As varve's, it keeps what it held after it was detached."""
    __slots__ = ("kept",)


def ran(number, held):
    events.append(f"x{targets[number]}.{number}")
    if actions[number] == OUTSIDE_MAKES:
        saved[number + FROM_CALLBACK] = make_list(number + FROM_CALLBACK)
    elif actions[number] == OUTSIDE_FAILS:
        raise ValueError(f"{targets[number]}.{number}")


def make_outside(a, b, c, d):
    if can_have_refs(slots[b]):
        actions[state.number] = c % 4
        targets[state.number] = number_in(slots[b])
        held = slots[d] if c >= 4 else None
        hold(Outside(slots[b], ran, state.number, held), "X", a)


def outside_call(a, b, c, d):
    if kind_of(slots[a]) == "X":
        events.append(f"={slots[a].a.alive:d}")
        try:
            slots[a].a()
        except ValueError as error:
            events.append(f"u{error.args[0]}")


def outside_detach(a, b, c, d):
    if kind_of(slots[a]) == "X":
        events.append(f"=<{detach(slots[a].a)}>")


def detach(finalizer):
    """Returns the object's number."""
    found = finalizer.detach()
    if found is None:
        return -1
    finalizer.kept = found[2][1]
    number = number_in(found[0])
    del found  # before the finalizer, which may be the last that holds the object
    return number


def outside_peek(a, b, c, d):
    if kind_of(slots[a]) == "X":
        found = slots[a].a.peek()
        events.append(f"=<{number_in(found[0]) if found else -1}>{slots[a].a.alive:d}")


def detach_all():
    """What is never called would hold its object for ever."""
    while Outside._registry:
        detach(next(iter(Outside._registry)))


TABLE_OPERATIONS = [make_table, table_copy, table_set, table_delete, table_get, table_default,
                    table_take, table_pop, table_update, table_compare, table_show, table_walk,
                    make_outside, outside_call, outside_detach, outside_peek]
