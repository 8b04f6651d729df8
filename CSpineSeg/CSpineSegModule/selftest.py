"""The module's own test, for Slicer's "Reload and Test" and its test driver."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from CSpineSegLib.errors import InputError

from . import install


def open_and_accept(test: Any, logic: Any) -> None:
    """Make a sample dataset in a temporary folder, open an exam through the logic, accept it, compare the voxels.

    Parameters
    ----------
    test : the unittest.TestCase that asserts.
    logic : a CSpineSegLogic.
    """
    missing = [name for name in ("nibabel", "pandas") if install.installed(name) is None]
    if missing:
        test.skipTest(f"{' and '.join(missing)} not installed: open the module's Doctor panel, which offers to install")

    with tempfile.TemporaryDirectory(prefix="cspineseg-") as folder:
        _open_and_accept(test, logic, Path(folder))
    logic.workplace.close()


def _open_and_accept(test: Any, logic: Any, folder: Path) -> None:
    from CSpineSegLib import volume
    from CSpineSegLib.dataset import sample

    with test.assertRaises(InputError):
        logic.findExams("1")
    logic.openDataset(sample.make(folder / "sample", tiny=True).root)
    exams = logic.findExams()
    test.assertEqual(len(exams), 8)
    session = logic.openExam(exams[0])
    before = volume.read_mask(session.start.path).array
    test.assertTrue(before.any())
    test.assertTrue((session.mask().array == before).all())
    revision = logic.save("accepted", "self-test")
    test.assertEqual(revision.number, 1)
    test.assertTrue((volume.read_mask(exams[0].corrected_mask).array == before).all())
