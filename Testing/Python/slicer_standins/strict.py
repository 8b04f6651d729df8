"""Qt as PythonQt shows it, around PySide6: properties are attributes, and a name that does not exist raises.

PySide6 takes any attribute and knows names that PythonQt does not, so that a slip of the pen would pass. Here a QObject
has the properties, signals and public slots of its meta-object; other methods, values of enumerations and classes exist
only if Testing/slicer_api.txt lists them. What goes in is unwrapped, what comes out is wrapped again.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from functools import cache, partial
from types import FunctionType, MethodType
from typing import Any

from . import api

# In the meta-objects of Qt 6 alone; Slicer 5.12 has Qt 5.15.
NEWER = {
    "QAbstractItemView": {"updateThreshold"},
    "QAction": {"autoRepeatChanged", "checkableChanged", "enabledChanged", "resetEnabled", "visibleChanged"},
    "QCheckBox": {"checkStateChanged"},
    "QComboBox": {"labelDrawingMode"},
    "QProxyStyle": set(),
    "QSortFilterProxyModel": {
        "autoAcceptChildRows", "autoAcceptChildRowsChanged", "dynamicSortFilterChanged", "filterCaseSensitivityChanged",
        "filterRoleChanged", "recursiveFilteringEnabledChanged", "sortCaseSensitivityChanged",
        "sortLocaleAwareChanged", "sortRoleChanged",
    },
    "QAbstractProxyModel": {"sourceModelChanged"},
    "QWidget": {"screenChanged"},
}  # fmt: skip
# Properties that a person who knows PySide6 writes and that PythonQt gives as something else.
AVOIDED = {"QComboBox": {"currentData"}, "QTextEdit": {"toPlainText"}, "QPlainTextEdit": {"toPlainText"}}

# Values that are the same on both sides; asked first, because tables have ten thousands of cells.
PLAIN = frozenset({type(None), bool, int, float, str})


def wrap(value: Any) -> Any:
    """What Qt gives, as PythonQt shows it."""
    if type(value) in PLAIN:
        return value
    from PySide6 import QtCore

    if isinstance(value, QtCore.QObject):
        return StrictObject(value)
    if isinstance(value, list | tuple):
        return type(value)(wrap(item) for item in value)
    if isinstance(value, enum.Enum) or value is None:
        return value
    if type(value).__module__.startswith("PySide6"):
        return StrictValue(value)
    return value


def unwrap(value: Any) -> Any:
    """What the module gives, as PySide6 takes it."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, StrictObject | StrictValue | StrictClass):
        return value.wrapped
    if isinstance(value, list | tuple):
        return type(value)(unwrap(item) for item in value)
    return value


class StrictMethod:
    """A method as PythonQt shows it: arguments by position only."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function, self._name = function, name

    def __call__(self, *arguments: Any) -> Any:
        return wrap(self._function(*(_receiver(unwrap(argument)) for argument in arguments)))

    def __repr__(self) -> str:
        return f"<{self._name} of PythonQt>"


def _receiver(value: Any) -> Any:
    """A function that is given to Qt, to be called by it, for instance by QTimer.singleShot."""
    if type(value) in PLAIN:
        return value
    return _relay(value) if isinstance(value, FunctionType | MethodType | StrictMethod | partial) else value


def _relay(function: Callable[..., Any], count: int = 0) -> Callable[..., None]:
    """Calls a slot with as many of the signal's `count` arguments as it takes, as PythonQt does."""
    takes = _positions(function)

    def relay(*arguments: Any) -> None:
        function(*[wrap(argument) for argument in arguments][:takes])

    # PySide6 looks at how many arguments a slot names, and gives clicked(bool) none if it names none.
    return (
        lambda: relay(),
        lambda first: relay(first),
        lambda first, second: relay(first, second),
        lambda first, second, third: relay(first, second, third),
    )[count]


def _positions(function: Callable[..., Any]) -> int | None:
    """How many arguments a function takes; None for any number, and for slots of Qt, which PythonQt gives them all."""
    if isinstance(function, StrictMethod):
        return None
    # What runs, as PythonQt looks at it, and not what it wraps.
    kinds = [item.kind for item in inspect.signature(function, follow_wrapped=False).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return None
    return sum(kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds)


# What connects a function to a signal, for taking it away again.
_relays: dict[tuple[int, str], list[tuple[Callable[..., Any], Callable[..., None]]]] = {}


class StrictSignal:
    """A signal: connect, disconnect, emit."""

    def __init__(self, owner: Any, name: str) -> None:
        import shiboken6

        self._signal = getattr(owner, name)
        self._key = (shiboken6.getCppPointer(owner)[0], name)
        meta = owner.metaObject()
        methods = [meta.method(index) for index in range(meta.methodCount())]
        self._count = max(method.parameterCount() for method in methods if method.name().data().decode() == name)

    def connect(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise TypeError(f"{function!r} cannot be called by a signal")
        relay = _relay(function, self._count)
        self._signal.connect(relay)
        _relays.setdefault(self._key, []).append((function, relay))

    def disconnect(self, function: Callable[..., Any]) -> None:
        known = _relays.get(self._key, [])
        for pair in known:
            if pair[0] == function:
                known.remove(pair)
                self._signal.disconnect(pair[1])
                return
        raise ValueError("this function is not connected to the signal")

    def __call__(self, *arguments: Any) -> None:
        self.emit(*arguments)

    def emit(self, *arguments: Any) -> None:
        self._signal.emit(*(unwrap(argument) for argument in arguments))


@cache
def class_names(kind: type) -> tuple[str, ...]:
    """The names of a class of QObjects and of those that it inherits, the nearest first.

    Not by QMetaObject.superClass: what that gives is gone with the object that was asked, for all who hold it.
    """
    return tuple(owner.__name__ for owner in kind.__mro__ if hasattr(owner, "staticMetaObject"))


def module_of(name: str) -> str:
    """Where Slicer's Python finds a class: qt, ctk or slicer."""
    if name.startswith("ctk"):
        return "ctk"
    return "slicer" if name.startswith(("qMRML", "qSlicer")) else "qt"


@cache
def _listed(classes: tuple[str, ...], name: str) -> bool:
    return any(api.listed(f"{module_of(owner)}.{owner}.{name}") for owner in classes)


@cache
def _refused(classes: tuple[str, ...], name: str) -> bool:
    return any(name in NEWER.get(owner, ()) or name in AVOIDED.get(owner, ()) for owner in classes)


class StrictObject:
    """A QObject as PythonQt shows it: its properties, signals and slots, and nothing else that is not listed."""

    def __init__(self, wrapped: Any) -> None:
        object.__setattr__(self, "wrapped", wrapped)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        wrapped = self.wrapped
        meta = wrapped.metaObject()
        classes = class_names(type(self.wrapped))
        if _refused(classes, name):
            raise AttributeError(f"{classes[0]} has no {name!r} in Slicer's Qt 5.15, or PythonQt gives something else")
        if meta.indexOfProperty(name) >= 0:
            return wrap(_property(wrapped, name))
        kind = _kind(meta, name)
        if kind == "signal":
            return StrictSignal(wrapped, name)
        if kind == "slot" or _listed(classes, name):
            return StrictMethod(getattr(wrapped, name), f"{classes[0]}.{name}")
        raise api.missing(f"{module_of(classes[0])}.{classes[0]}.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        meta = self.wrapped.metaObject()
        classes = class_names(type(self.wrapped))
        index = meta.indexOfProperty(name)
        if index < 0 or not meta.property(index).isWritable() or _refused(classes, name):
            raise AttributeError(f"{classes[0]} has no property {name!r} that can be set")
        if not self.wrapped.setProperty(name, unwrap(value)):
            raise ValueError(f"the property {name!r} of {classes[0]} does not take {value!r}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StrictObject) and self.wrapped is other.wrapped

    def __hash__(self) -> int:
        return hash(self.wrapped)

    def __repr__(self) -> str:
        return f"<{self.wrapped.metaObject().className()} {self.wrapped.objectName()!r} of PythonQt>"


def _property(wrapped: Any, name: str) -> Any:
    try:
        return wrapped.property(name)
    except RuntimeError:
        # PySide6 cannot convert some enumerations that it returns from their own functions.
        return getattr(wrapped, name)()


def _kind(meta: Any, name: str) -> str | None:
    """ "signal" or "slot" if the meta-object has a public one of that name."""
    return _kinds(meta.className(), meta.methodCount(), meta).get(name)


_known: dict[tuple[str, int], dict[str, str]] = {}


def _kinds(owner: str, count: int, meta: Any) -> dict[str, str]:
    from PySide6 import QtCore

    key = (owner, count)
    if key not in _known:
        methods = [meta.method(index) for index in range(count)]
        _known[key] = {
            method.name().data().decode(): "signal"
            if method.methodType() == QtCore.QMetaMethod.MethodType.Signal
            else "slot"
            for method in methods
            if method.access() == QtCore.QMetaMethod.Access.Public
        }
    return _known[key]


@cache
def members(kind: type) -> tuple[frozenset[str], frozenset[str]]:
    """The properties of a class of widgets, and its signals and public slots.

    Read from a widget: PySide6 forgets a class's own meta-object when the first widget that was asked for it goes.
    """
    widget = kind()
    meta = widget.metaObject()
    properties = frozenset(meta.property(index).name() for index in range(meta.propertyCount()))
    return properties, frozenset(_kinds(meta.className(), meta.methodCount(), meta))


def knows(kind: type, name: str) -> bool:
    """True if a StrictObject of a class has a name."""
    if _refused(class_names(kind), name):
        return False
    return any(name in known for known in members(kind)) or is_listed(kind, name)


def is_listed(kind: type, name: str) -> bool:
    """True if a name of a class, or of one that it inherits, stands in the list."""
    return _listed(class_names(kind), name)


class StrictValue:
    """A Qt value that is no QObject, such as a QModelIndex or a QStandardItem: its listed methods."""

    def __init__(self, wrapped: Any) -> None:
        object.__setattr__(self, "wrapped", wrapped)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if not _listed(_mro(type(self.wrapped)), name):
            raise api.missing(f"qt.{type(self.wrapped).__name__}.{name}")
        value = getattr(self.wrapped, name)
        return StrictMethod(value, name) if callable(value) else wrap(value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self.wrapped).__name__} has no property {name!r} in PythonQt")

    def __eq__(self, other: object) -> bool:
        return self.wrapped == unwrap(other)

    def __hash__(self) -> int:
        return hash(self.wrapped)


@cache
def _mro(kind: type) -> tuple[str, ...]:
    return tuple(owner.__name__ for owner in kind.__mro__)


class StrictClass:
    """A class of qt, ctk or Slicer's widgets; it has the static functions and values that are listed for it."""

    def __init__(self, wrapped: type, name: str) -> None:
        self.__dict__.update(wrapped=wrapped, _name=name)

    def __call__(self, *arguments: Any) -> Any:
        return wrap(self.wrapped(*(unwrap(argument) for argument in arguments)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if not _listed(_mro(self.wrapped), name):
            raise api.missing(f"{self._name}.{name}")
        value = getattr(self.wrapped, name)
        return value if isinstance(value, enum.Enum) or not callable(value) else StrictMethod(value, name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self._name}.{name} cannot be set")

    def __instancecheck__(self, other: object) -> bool:
        return isinstance(unwrap(other), self.wrapped)

    def __repr__(self) -> str:
        return self._name
