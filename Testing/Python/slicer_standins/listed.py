"""Objects of Slicer that are no QObjects, with the names that they have and no others."""

from __future__ import annotations

from typing import Any

from . import api


class Strict:
    """Only the given names exist; others cannot be read or set."""

    def __init__(self, /, **names: Any) -> None:
        self.__dict__.update(names)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dict__:
            raise AttributeError(f"there is no {name!r} here")
        self.__dict__[name] = value


class Listed:
    """Of the given names, those that are listed as `scope.name`.

    Parameters
    ----------
    own : names that Slicer's own Python uses, which are there too.
    """

    def __init__(self, scope: str, own: tuple[str, ...] = (), /, **names: Any) -> None:
        self.__dict__.update(_scope=scope, _own=own, _names=names)

    def __getattr__(self, name: str) -> Any:
        # Python itself asks for these, for instance copy and pytest.
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"{self._scope}.{name}"
        if name not in self._own and not api.listed(full):
            raise api.missing(full)
        if name not in self._names:
            raise AttributeError(f"the stand-ins have no {full} yet")
        return self._names[name]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self._scope}.{name} cannot be set")
