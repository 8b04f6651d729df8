"""slicer.parameterNodeWrapper for the simple types: values in a real node, bound to widgets both ways.

As in Slicer, an integer without WithinRange opens its spin box to any number, and connectGui returns no tag, so that
disconnectGui does nothing and what is bound stays bound, while connectParametersToGui returns one; see Slicer's
Base/Python/slicer/parameterNodeWrapper.
"""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from typing import Any

from .strict import StrictObject, unwrap

NAME = "SlicerParameterName"


@dataclass(frozen=True)
class WithinRange:
    minimum: float
    maximum: float


class _Parameter:
    """One value of a node: how it is written, what it may be."""

    def __init__(self, name: str, kind: Any, default: Any) -> None:
        self.name, self.notes = name, ()
        if typing.get_origin(kind) is typing.Annotated:
            kind, *notes = typing.get_args(kind)
            self.notes = tuple(notes)
        if kind not in (str, int, float, bool):
            raise TypeError(f"the stand-in of parameterNodeWrapper has no {kind} for {name!r}")
        self.kind = kind
        self.default = default if default is not None else kind()

    def note(self, kind: type) -> Any:
        return next((note for note in self.notes if isinstance(note, kind)), None)

    def read(self, node: Any) -> Any:
        if not node.GetParameterNames() or self.name not in node.GetParameterNames():
            self.write(node, self.default)
        text = node.GetParameter(self.name)
        return text == "True" if self.kind is bool else self.kind(text)

    def write(self, node: Any, value: Any) -> None:
        if type(value) is not self.kind and not (self.kind is float and type(value) is int):
            raise TypeError(f"{self.name} is of type {self.kind.__name__}, not {value!r}")
        limits = self.note(WithinRange)
        if limits is not None and not limits.minimum <= value <= limits.maximum:
            raise ValueError(f"{self.name} has to lie between {limits.minimum} and {limits.maximum}, not be {value!r}")
        node.SetParameter(self.name, str(value))


class _Binding:
    """A widget that shows a parameter and sets it."""

    SIGNALS = {  # noqa: RUF012
        ("QCheckBox", bool): ("stateChanged", "checked"),
        ("QPushButton", bool): ("toggled", "checked"),
        ("QSpinBox", int): ("valueChanged", "value"),
        ("QSlider", int): ("valueChanged", "value"),
        ("QDoubleSpinBox", float): ("valueChanged", "value"),
        ("QLineEdit", str): ("textChanged", "text"),
    }

    def __init__(self, widget: StrictObject, parameter: _Parameter) -> None:
        owner = widget.wrapped.metaObject().className()
        if (owner, parameter.kind) not in self.SIGNALS:
            raise RuntimeError(f"Unable to create GUI connector from {parameter.kind} to {owner} ({parameter.name})")
        signal, self._property = self.SIGNALS[owner, parameter.kind]
        self._widget, self._signal = widget, getattr(widget, signal)
        if owner in ("QSpinBox", "QSlider"):
            limits = parameter.note(WithinRange) or WithinRange(-(2**31), 2**31 - 1)
            widget.wrapped.setRange(limits.minimum, limits.maximum)

    def read(self) -> Any:
        return getattr(self._widget, self._property)

    def write(self, value: Any) -> None:
        import shiboken6

        if not shiboken6.isValid(self._widget.wrapped):
            return
        setattr(self._widget, self._property, value)

    def connect(self, function: Any) -> None:
        self._function = function
        self._signal.connect(function)

    def disconnect(self) -> None:
        self._signal.disconnect(self._function)


def parameterNodeWrapper(owner: type) -> type:
    """Decorate a class whose annotated members become parameters of the node that it is made with."""
    hints = typing.get_type_hints(owner, include_extras=True)
    known = {name: _Parameter(name, kind, getattr(owner, name, None)) for name, kind in hints.items()}

    def init(self: Any, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._bindings, self._showing = {}, False
        for parameter in known.values():
            parameter.read(parameterNode)

    def show(self: Any) -> None:
        if not self._showing:
            self._showing = True
            try:
                for bindings in self._bindings.values():
                    for name, binding in bindings.items():
                        binding.write(known[name].read(self.parameterNode))
            finally:
                self._showing = False

    def connectGui(self: Any, gui: Any) -> None:
        from PySide6 import QtWidgets

        widgets = (
            [StrictObject(child) for child in unwrap(gui).findChildren(QtWidgets.QWidget)]
            if isinstance(gui, StrictObject)
            else list(vars(gui).values())
        )
        self.connectParametersToGui({name: widget for widget in widgets if (name := widget.wrapped.property(NAME))})

    def connectParametersToGui(self: Any, mapping: dict[str, StrictObject]) -> int:
        for name in mapping:
            if name not in known:
                raise ValueError(f"Cannot find a param with the given name: {name}")
        bindings = {name: _Binding(widget, known[name]) for name, widget in mapping.items()}
        tag = self._next = getattr(self, "_next", -1) + 1
        self._bindings[tag] = bindings
        for name, binding in bindings.items():
            binding.write(known[name].read(self.parameterNode))

            def changed(*, name: str = name, binding: _Binding = binding) -> None:
                if not self._showing:
                    known[name].write(self.parameterNode, binding.read())

            binding.connect(changed)
        self.parameterNode.AddObserver("ModifiedEvent", lambda caller, event: show(self))
        return tag

    def disconnectGui(self: Any, tag: int | None) -> None:
        for binding in self._bindings.pop(tag, {}).values():
            binding.disconnect()

    def _property(parameter: _Parameter) -> property:
        return property(
            lambda self: parameter.read(self.parameterNode),
            lambda self, value: parameter.write(self.parameterNode, value),
        )

    for name, parameter in known.items():
        setattr(owner, name, _property(parameter))
    owner.__init__, owner.connectGui, owner.disconnectGui = init, connectGui, disconnectGui
    owner.connectParametersToGui = connectParametersToGui
    owner.getValue = lambda self, name: known[name].read(self.parameterNode)
    owner.setValue = lambda self, name, value: known[name].write(self.parameterNode, value)
    owner.AddObserver = lambda self, event, call, priority=0.0: self.parameterNode.AddObserver(event, call, priority)
    owner.RemoveObserver = lambda self, tag: self.parameterNode.RemoveObserver(tag)
    return owner


def module() -> types.ModuleType:
    made = types.ModuleType("slicer.parameterNodeWrapper")
    for kind in (WithinRange, parameterNodeWrapper):
        setattr(made, kind.__name__, kind)
    return made
