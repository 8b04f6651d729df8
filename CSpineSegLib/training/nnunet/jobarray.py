"""Job arrays for clusters, one job per fold: the templates of `Resources/Cluster`, filled in."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from ... import resources
from ...errors import InputError

TEMPLATES = {"slurm": "nnunet_train.sbatch", "lsf": "nnunet_train.lsf"}


def template(cluster: str) -> Path:
    """The template of a cluster's scheduler; InputError for an unknown one."""
    if cluster not in TEMPLATES:
        raise InputError(f"{cluster!r} is not a scheduler that is known here; choose one of {', '.join(TEMPLATES)}.")
    return resources.path("Cluster", TEMPLATES[cluster])


def filled(cluster: str, values: Mapping[str, object]) -> str:
    """A template with its variables set, for instance {"WORK": folder, "CONFIGURATION": "2d"}.

    Raises
    ------
    InputError : the scheduler is unknown, or the template has no such variable.
    """
    path = template(cluster)
    text = path.read_text(encoding="utf-8")
    for name, value in values.items():
        line = f"{name}={shlex.quote(str(value))}"
        text, count = re.subn(rf"(?m)^{re.escape(name)}=.*$", lambda _, line=line: line, text)
        if count != 1:
            raise InputError(f"{path} has {count} lines that set {name} instead of one; restore the template.")
    return text


def command_line() -> str:
    """The executable `cspineseg` of this Python, or its bare name if it is not there."""
    return shutil.which("cspineseg", path=str(Path(sys.executable).parent)) or shutil.which("cspineseg") or "cspineseg"
