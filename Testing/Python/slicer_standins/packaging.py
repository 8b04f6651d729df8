"""Slicer 5.12's packaging with its own signatures; `Slicer.missing` names what is not installed."""

from __future__ import annotations

import re
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .state import Slicer


class Requirement(SimpleNamespace):
    def __str__(self) -> str:
        return self.line


def packaging(slicer: Slicer) -> types.ModuleType:
    def load_requirements(path: Any) -> list[SimpleNamespace]:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
        names = [line for line in lines if line and not line.startswith(("#", "-"))]
        return [Requirement(name=re.split("[><=]", line)[0], line=line) for line in names]

    def pip_check(req: Any, _seen: Any = None) -> bool:
        return not {item.name for item in (req if isinstance(req, list) else [req])} & slicer.missing

    def pip_ensure(
        requirements: Any,
        constraints: Any = None,
        skip_packages: Any = None,
        prompt_install: bool = True,
        prompt_restart: bool = True,
        requester: str | None = None,
        skip_in_testing: bool = True,
        show_progress: bool = True,
    ) -> None:
        names = [item.name for item in requirements if item.name in slicer.missing]
        text = Path(constraints).read_text(encoding="utf-8")
        slicer.installed.append(
            SimpleNamespace(names=names, constraints=text, asked=prompt_install, path=Path(constraints))
        )
        if slicer.declines:
            raise RuntimeError("User declined package installation")
        slicer.missing -= set(names)

    module = types.ModuleType("slicer.packaging")
    module.load_requirements, module.pip_check, module.pip_ensure = load_requirements, pip_check, pip_ensure
    return module
