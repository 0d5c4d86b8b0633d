"""Whether what is read back is what was returned, in value and in type."""

import math
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, cast

from ironflow.errors import ValueRejected
from ironflow.values.decoding import annotation_name, decode
from ironflow.values.encoding import encoded, encodes_to, is_plain
from ironflow.values.parts import members, path_step, shown

# Nearly all leaves: equal is the same. (It need not be for a float: NaN.)
_EXACT: Final = frozenset({bool, bytes, int, str, type(None)})
# Known to have no members, so that nobody has to look.
_LEAVES: Final = frozenset({float, Decimal, datetime})

Set = set[object] | frozenset[object]


def round_trip(value: object, annotation: object, *, step: str) -> bytes:
    """Return the bytes of a step's result, sure that they read back as `value`.

    Raises:
        ValueRejected: it cannot be encoded, does not fit the annotation, or reads
            back as something else, be it only in the type of one member.
        ConfigurationError: as for `check_annotation`.
    """
    data, plain = encoded(value, step=step)
    if plain and annotation is Any:
        return data
    try:
        read = decode(data, annotation)
    except ValueRejected as error:
        raise ValueRejected(
            f"{step!r} returned {shown(value)}, which does not fit its return"
            f" annotation {annotation_name(annotation)}: {error}; correct one of them",
            path=error.path,
        ) from error
    # Plain data that has the same bytes is the same; this is the fast way to see it.
    same = encodes_to(read, data) if plain and is_plain(read) else _same(value, read)
    if not same:
        raise _changed(value, read, annotation, step=step)
    return data


def _same(left: object, right: object) -> bool:
    """Equal in value and in type, at every depth."""
    if type(left) is not type(right):
        return False
    if type(left) in _EXACT:
        return left == right
    if type(left) in _LEAVES:
        return _same_leaves(left, right)
    return _same_members(left, right)


def _same_members(left: object, right: object) -> bool:
    if isinstance(left, set | frozenset):
        return _same_sets(cast("Set", left), cast("Set", right))
    parts, others = members(left), members(right)
    if parts is None or others is None:
        return _same_leaves(left, right)
    return len(parts) == len(others) and all(
        _same(label, other_label) and _same(member, other)
        for (label, member), (other_label, other) in zip(parts, others, strict=True)
    )


def _same_sets(left: Set, right: Set) -> bool:
    counterparts = {member: member for member in right}
    return len(left) == len(right) and all(
        member in counterparts and _same(member, counterparts[member])
        for member in left
    )


def _same_leaves(left: object, right: object) -> bool:
    match left, right:
        case float(), float() if math.isnan(left):
            return math.isnan(right)
        case Decimal(), Decimal():  # 1.0 and 1.00 are equal, NaN is not
            return str(left) == str(right)
        case datetime(), datetime():  # noon in Rome is not eleven in UTC
            return left == right and left.utcoffset() == right.utcoffset()
        case _:
            return bool(left == right)


def _changed(
    value: object, read: object, annotation: object, *, step: str
) -> ValueRejected:
    path = "$"
    while (deeper := _changed_member(value, read)) is not None:
        label, value, read = deeper
        path += path_step(label)
    returned = (
        shown(value) if path == "$" else f"a value whose {path} is {shown(value)}"
    )
    if isinstance(value, datetime) and isinstance(read, datetime):
        advice = "return times in UTC: astimezone(datetime.UTC)"
    elif annotation is Any:
        advice = "annotate it: give the function a return type, or return plain data"
    else:
        name = annotation_name(annotation)
        advice = f"make it and the return annotation {name} agree"
    return ValueRejected(
        f"{step!r} returned {returned}, which reads back as {shown(read)}; {advice}",
        path=path,
    )


def _changed_member(
    value: object, read: object
) -> tuple[object, object, object] | None:
    """The first member that reads back as another, where both sides have it."""
    if type(value) is not type(read) or isinstance(value, set | frozenset):
        return None
    for (label, member), (other_label, other) in zip(
        members(value) or (), members(read) or (), strict=False
    ):
        if not _same(label, other_label):
            return None
        if not _same(member, other):
            return label, member, other
    return None
