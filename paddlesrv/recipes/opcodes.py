"""What a pickle describes, without running it: a stack machine that makes plain values only.

Opcodes are told by the standard library's `pickletools`, which only reads them. A pickle names
functions that build its objects; each name that is known here stands for a function of ours, and
every other one is refused before anything is done with it. Nothing is imported, nothing that a file
names is called.
"""

from __future__ import annotations

import pickletools
import struct
import warnings
from collections.abc import Callable, Mapping
from typing import BinaryIO, NamedTuple

from paddlesrv.errors import IntegrityError
from paddlesrv.zoo.bounds import shown

OPCODES_MAX = 20_000_000
_KEYS = (str, int, bytes)

Builder = Callable[[tuple[object, ...]], object]
"""Makes the value of a name from its arguments; raises `ValueError` for what it does not take."""


class Name(NamedTuple):
    """A name that a pickle mentions: a word, and how a call of it is understood."""

    module: str
    name: str
    build: Builder | None


class Stateful:
    """A value that a pickle completes after it was made (the opcode BUILD)."""

    def complete(self, state: object) -> object:
        """The completed value.

        Raises:
            ValueError: the state is not one of such a value.
        """
        raise NotImplementedError


class _Mark:
    """Where a group of values begins on the stack."""


_MARK = _Mark()
_PLAIN = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_WRITES = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
_READS = frozenset({"GET", "BINGET", "LONG_BINGET"})


def interpret(
    file: BinaryIO,
    names: Mapping[tuple[str, str], Builder | None],
    persistent: Builder | None = None,
) -> object:
    """Read one pickle; the file is left behind its end.

    Args:
        file: Where it begins.
        names: What (module, name) stands for; None for a word that is only handed on.
        persistent: Makes the value of a persistent id, where the format has some.

    Raises:
        IntegrityError: it is damaged, names anything else, or is larger than any checkpoint.
    """
    try:
        return _Machine(names, persistent).run(file)
    except (
        ValueError, TypeError, IndexError, KeyError, OverflowError, MemoryError, RecursionError,
        struct.error,
    ) as error:  # fmt: skip
        raise IntegrityError(
            "the pickle is damaged, or holds what no checkpoint does",
            context={"reason": shown(str(error))},
        ) from error


class _Machine:
    """One run."""

    def __init__(
        self, names: Mapping[tuple[str, str], Builder | None], persistent: Builder | None
    ) -> None:
        self._names = names
        self._persistent = persistent
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}

    def run(self, file: BinaryIO) -> object:
        with warnings.catch_warnings():
            # Python warns of odd escapes in a file's texts, which nobody here can mend.
            warnings.simplefilter("ignore")
            return self._run(file)

    def _run(self, file: BinaryIO) -> object:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count > OPCODES_MAX:
                raise ValueError(f"more than {OPCODES_MAX} steps")
            if opcode.name == "STOP":
                result = self._pop()
                if self._stack:
                    raise ValueError("values are left over")
                return result
            self._step(opcode.name, argument)
        raise ValueError("it has no end")

    def _step(self, opcode: str, argument: object) -> None:
        if opcode in _PLAIN:
            self._stack.append(argument)
        elif opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode])
        elif opcode in _TUPLES:
            self._stack.append(self._last(_TUPLES[opcode]))
        elif opcode in _WRITES:
            place = len(self._memo) if argument is None else argument
            assert isinstance(place, int)
            self._memo[place] = self._top()
        elif opcode in _READS:
            assert isinstance(argument, int)
            self._stack.append(self._memo[argument])
        elif opcode not in ("PROTO", "FRAME"):
            action = _ACTIONS.get(opcode)
            if action is None:
                raise ValueError(f"the step {opcode} is none of a checkpoint")
            action(self, argument)

    def _top(self) -> object:
        if not self._stack or self._stack[-1] is _MARK:
            raise ValueError("a value is missing")
        return self._stack[-1]

    def _pop(self) -> object:
        value = self._top()
        self._stack.pop()
        return value

    def _last(self, count: int) -> tuple[object, ...]:
        return tuple(reversed([self._pop() for _ in range(count)]))

    def _group(self) -> list[object]:
        """What was put on the stack since the mark, which goes too."""
        group: list[object] = []
        while self._stack:
            value = self._stack.pop()
            if value is _MARK:
                return group[::-1]
            group.append(value)
        raise ValueError("the beginning of a group is missing")

    # ---- what single opcodes do

    def mark(self, _: object) -> None:
        self._stack.append(_MARK)

    def pop(self, _: object) -> None:
        if not self._stack:
            raise ValueError("a value is missing")
        self._stack.pop()

    def pop_mark(self, _: object) -> None:
        self._group()

    def dup(self, _: object) -> None:
        self._stack.append(self._top())

    def tuple_(self, _: object) -> None:
        self._stack.append(tuple(self._group()))

    def list_(self, argument: object) -> None:
        self._stack.append(self._group())

    def empty_list(self, _: object) -> None:
        self._stack.append([])

    def append(self, _: object) -> None:
        value = self._pop()
        self._list().append(value)

    def appends(self, _: object) -> None:
        values = self._group()
        self._list().extend(values)

    def _list(self) -> list[object]:
        target = self._top()
        if not isinstance(target, list):
            raise ValueError("something is appended to what is no list")
        return target

    def empty_dict(self, _: object) -> None:
        self._stack.append({})

    def dict_(self, _: object) -> None:
        values = self._group()
        self._stack.append({})
        self._set(values)

    def set_item(self, _: object) -> None:
        self._set(list(self._last(2)))

    def set_items(self, _: object) -> None:
        self._set(self._group())

    def _set(self, values: list[object]) -> None:
        target = self._top()
        if not isinstance(target, dict) or len(values) % 2:
            raise ValueError("keys or values are set on what is no dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, _KEYS):
                raise ValueError("a key is neither text nor a number")
            target[key] = value

    def global_(self, argument: object) -> None:
        module, _, name = str(argument).partition(" ")
        self._name(module, name)

    def stack_global(self, _: object) -> None:
        module, name = self._last(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name is no text")
        self._name(module, name)

    def _name(self, module: str, name: str) -> None:
        if (module, name) not in self._names:
            raise IntegrityError(
                f"the pickle names {shown(f'{module}.{name}')}, which no checkpoint needs; "
                "it is not opened",
                context={"rule": "tensors, numbers and text only: nothing in the file is run"},
            )
        self._stack.append(Name(module, name, self._names[module, name]))

    def reduce(self, _: object) -> None:
        function, arguments = self._last(2)
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise ValueError("what is called is no name")
        if function.build is None:
            raise ValueError(f"{function.module}.{function.name} is called, and is no function")
        self._stack.append(function.build(arguments))

    def build(self, _: object) -> None:
        state = self._pop()
        value = self._pop()
        if isinstance(value, dict):
            # An OrderedDict with attributes (torch's `_metadata`), which say nothing of tensors.
            self._stack.append(value)
        elif isinstance(value, Stateful):
            self._stack.append(value.complete(state))
        else:
            raise ValueError("a state is given to what has none")

    def persistent_id(self, argument: object) -> None:
        if self._persistent is None:
            raise ValueError("a persistent id, which this format does not have")
        value = self._pop()
        if not isinstance(value, tuple):
            raise ValueError("a persistent id of another form")
        self._stack.append(self._persistent(value))


_ACTIONS: dict[str, Callable[[_Machine, object], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.dup,
    "TUPLE": _Machine.tuple_,
    "LIST": _Machine.list_,
    "EMPTY_LIST": _Machine.empty_list,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "DICT": _Machine.dict_,
    "EMPTY_DICT": _Machine.empty_dict,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.global_,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent_id,
}
