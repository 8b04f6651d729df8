"""Which people and scans the sample dataset holds. Nobody in it is real: IDs start at 900001, beyond the release's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..volume import Grid
from .names import ExamName, exam_stem


@dataclass(frozen=True)
class Person:
    """A patient as the table `case` describes one; `age` None means over 89."""

    patient_id: str
    age: int | None
    sex: str
    race: str
    ethnicity: str = "Not Hispanic or Latino"


@dataclass(frozen=True)
class Scanner:
    """A scanner as the table `mr_series` describes one, in the spelling that it writes into its files."""

    manufacturer: str
    model: str
    tesla: str
    software: str


@dataclass(frozen=True)
class Protocol:
    """Shape and spacing (mm) along the array axes, and their orientation."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    orientation: str = "PSR"
    kind: str = "2D"


@dataclass(frozen=True)
class Plan:
    """One exam: `seed` draws the anatomy, `tilt` (degrees) turns the patient's head, `fused` joins vertebrae."""

    name: ExamName
    person: Person
    scanner: Scanner
    protocol: Protocol
    seed: int
    gold: bool
    fused: tuple[tuple[str, str], ...] = ()
    tilt: float = 0.0
    days: int = 0

    def grid(self, tiny: bool = False) -> Grid:
        """The voxel grid, centred on the origin; `tiny` has the same field of view in voxels four times as large."""
        shape, spacing = np.array(self.protocol.shape), np.array(self.protocol.spacing)
        if tiny:
            across = self.protocol.orientation.index("R")
            factor = np.full(3, 4)
            factor[across] = 2 if self.protocol.kind == "3D" else 1
            shape, spacing = shape // factor, spacing * factor
        affine = np.eye(4)
        affine[:3, :3] = _rotation(self.tilt) @ _axes(self.protocol.orientation) * spacing
        affine[:3, 3] = -affine[:3, :3] @ ((shape - 1) / 2)
        return Grid(tuple(int(size) for size in shape), affine)


def plan_of(name: str) -> Plan:
    """The plan of an exam of the sample by stem or file name; InputError for another."""
    for plan in PLANS:
        if plan.name.stem == exam_stem(name):
            return plan
    raise InputError(f"{name} is not an exam of the sample dataset, which holds {PLANS[0].name.stem} and others.")


def _axes(orientation: str) -> np.ndarray:
    """(3, 3) direction of each array axis in RAS, as columns."""
    directions = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    return np.array([directions[letter] for letter in orientation], float).T


def _rotation(degrees: float) -> np.ndarray:
    """A turn about the long axis, as when a head does not lie straight."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


_SIEMENS_15 = Scanner("SIEMENS", "Aera", "1.5", "syngo MR E11")
_SIEMENS_3 = Scanner("Siemens", "MAGNETOM Vida", "3.0", "syngo MR XA20")
_GE = Scanner("GE MEDICAL SYSTEMS", "Optima MR450w", "1.5", "25")

_P320 = Protocol((320, 320, 15), (0.6875, 0.6875, 4.0))
_P512 = Protocol((512, 512, 13), (0.4297, 0.4297, 4.0))
_P3D = Protocol((56, 256, 256), (1.0, 0.9, 0.9), "RAS", "3D")

_FIRST = Person("593973-900001", 54, "Female", "White")
_SECOND = Person("593973-900002", 71, "Male", "Black or African American")
_THRICE = Person("593973-900003", 47, "Female", "White", "Hispanic or Latino")
_FOURTH = Person("593973-900004", 33, "Male", "Asian")
_OLDEST = Person("593973-900005", None, "Female", "Not Reported", "Not Reported")
_SIXTH = Person("593973-900006", 62, "Male", "Other")

PLANS = (
    Plan(ExamName(_FIRST.patient_id, 9001, 4), _FIRST, _SIEMENS_15, _P320, 101, True),
    Plan(ExamName(_SECOND.patient_id, 9002, 3), _SECOND, _GE, _P512, 102, True, (("C5", "C6"),)),
    Plan(ExamName(_THRICE.patient_id, 9003, 2), _THRICE, _SIEMENS_3, _P320, 103, True),
    Plan(ExamName(_THRICE.patient_id, 9004, 22), _THRICE, _GE, _P512, 103, False, days=97),
    Plan(ExamName(_THRICE.patient_id, 9005, 401), _THRICE, _SIEMENS_15, _P320, 103, False, tilt=4.0, days=194),
    Plan(ExamName(_FOURTH.patient_id, 9006, 3), _FOURTH, _SIEMENS_15, _P3D, 104, False),
    Plan(ExamName(_OLDEST.patient_id, 9007, 5), _OLDEST, _SIEMENS_3, _P320, 105, False),
    Plan(ExamName(_SIXTH.patient_id, 9008, 3), _SIXTH, _GE, _P320, 106, True, (("C3", "C4"),)),
)
