"""What Slicer remembers for its next start: the dataset's folder and who works here."""

import qt

FOLDER = "CSpineSeg/DatasetFolder"
SAMPLE = "CSpineSeg/SampleFolder"
ANNOTATOR = "CSpineSeg/Annotator"


def read(key: str) -> str:
    """The remembered text; empty if there is none."""
    return str(qt.QSettings().value(key, "") or "")


def write(key: str, text: str) -> None:
    """Remember a text."""
    qt.QSettings().setValue(key, text)
