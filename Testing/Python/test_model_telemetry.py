"""OpenVINO's telemetry package is installed with it, and nothing is sent: the sockets of all processes are watched."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

for _name in ("openvino", "openvino_telemetry"):
    # Not by importorskip, which imports it: OpenVINO's own import would report itself over the network.
    if importlib.util.find_spec(_name) is None:
        pytest.skip(f"{_name} is not installed", allow_module_level=True)

# Every Python that finds this on its path notes where it wants to send something, and may not; forked ones do the same.
WATCH = """
import os, sys
SENDING = {"urllib.Request", *(f"socket.{name}" for name in (
    "connect", "sendto", "sendmsg", "getaddrinfo", "getnameinfo", "gethostbyname", "gethostbyaddr"))}
_note = os.open(os.environ["WATCHED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def _watch(event, arguments):
    if event in SENDING:
        os.write(_note, f"{event} {arguments[1:]!r}\\n".encode())
        raise PermissionError(f"{event} is refused by a test")
sys.addaudithook(_watch)
"""


@pytest.fixture
def watched(tmp_path):
    """Runs Python code, and returns what it and its children tried over the network, and left in the home folder."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    home = tmp_path / "home"
    home.mkdir()

    def run(code: str) -> tuple[list[str], list[Path]]:
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        # As on somebody's own computer: telemetry keeps quiet in many test environments.
        quiet = ("CI", "TF_BUILD", "JENKINS_URL")
        environment = {name: value for name, value in os.environ.items() if name not in quiet}
        environment |= {"HOME": str(home), "USERPROFILE": str(home), "LOCALAPPDATA": str(home), "OMP_NUM_THREADS": "1"}
        environment |= {"WATCHED": str(log), "PYTHONPATH": os.pathsep.join([str(tmp_path / "path"), str(ROOT)])}
        done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        left = [path for path in home.rglob("*") if "intel" in str(path.relative_to(home)).lower()]
        return log.read_text(encoding="utf-8").splitlines(), left

    return run


def test_the_watch_sees_what_openvino_sends_when_it_is_imported_plainly(watched):
    # The other tests would prove nothing if the telemetry were silent here anyway.
    tried, left = watched("import openvino")
    assert any("socket.getaddrinfo" in line or "urllib.Request" in line for line in tried), tried
    assert left, "it keeps a number for this person"


@pytest.mark.parametrize(
    "code",
    [
        "from CSpineSegLib.model import devices; devices.import_openvino()",
        "from CSpineSegLib.model import devices; devices.choose('cpu', 'openvino')",
        "from CSpineSegLib.jobs import doctor; doctor.main(['openvino'])",
        "from CSpineSegLib.jobs.trying import Check; assert Check(names=['openvino']).wait() == {'broken': {}}",
    ],
)
def test_nothing_is_sent_or_kept_when_the_library_imports_it(watched, code):
    assert watched(code) == ([], [])


def test_nothing_is_sent_by_the_worker_that_segments(watched, tmp_path):
    code = (
        "import numpy as np\n"
        "from CSpineSegLib import volume\n"
        "from CSpineSegLib.jobs import Worker\n"
        f"image, mask = {str(tmp_path / 'image.nii.gz')!r}, {str(tmp_path / 'mask.nii.gz')!r}\n"
        "volume.write(volume.from_array(np.ones((2, 32, 32), np.int16), np.diag([4, .7, .7, 1])), image)\n"
        "with Worker() as worker:\n"
        "    job = worker.segment_file(image, mask, 'cspine-phantom', device='cpu', anyway=True)\n"
        "    job.result()\n"
    )
    assert watched(code) == ([], [])
    assert (tmp_path / "mask.nii.gz").exists()


def imports_of_openvino(source: str) -> list[tuple[int, bool]]:
    """Line of each import of openvino, and whether the same function had called import_openvino before."""
    found: dict[int, bool] = {}
    for function in ast.walk(ast.parse(source)) if "openvino" in source else ():
        if not isinstance(function, ast.FunctionDef | ast.Module):
            continue
        nodes = list(ast.walk(function))
        calls = [node.lineno for node in nodes if isinstance(node, ast.Call) and _name(node.func) == "import_openvino"]
        for node in nodes:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if any(name.split(".")[0] == "openvino" for name in names):
                # A function's import is seen from its module too.
                safe = isinstance(function, ast.FunctionDef) and any(line < node.lineno for line in calls)
                found[node.lineno] = found.get(node.lineno, False) or safe
    return sorted(found.items())


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def test_the_library_never_imports_openvino_by_itself():
    wrong = []
    for path in sorted((ROOT / "CSpineSegLib").rglob("*.py")):
        name = path.relative_to(ROOT / "CSpineSegLib").as_posix()
        found = imports_of_openvino(path.read_text(encoding="utf-8"))
        wrong += [f"{name}:{line}" for line, safe in found if not safe and name != "model/devices.py"]
    assert wrong == []
    # The check finds what it is for.
    assert imports_of_openvino("def f():\n import openvino as ov") == [(2, False)]
    assert imports_of_openvino("from openvino import opset13") == [(1, False)]
    assert imports_of_openvino("def f():\n import_openvino()\n from openvino import opset13") == [(3, True)]
