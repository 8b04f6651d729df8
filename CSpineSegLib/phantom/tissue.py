"""The tissues of the phantom: one small integer each, with its usual signal on T2 turbo spin echo."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Tissue(IntEnum):
    """Tissue classes; the value is what `Atlas.classify` returns per point."""

    AIR = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    MUSCLE = 3
    FAT = 4
    LIGAMENT = 5
    BONE = 6
    CORTEX = 7
    AIRWAY = 8
    TONGUE = 9
    BRAIN = 10
    CEREBELLUM = 11
    MUCOSA = 12
    FLOW_VOID = 13
    VESSEL = 14
    LUNG = 15
    GLAND = 16
    PREVERTEBRAL = 17
    CSF = 18
    CORD = 19
    EPIDURAL = 20
    FATTY_MUSCLE = 21
    CARTILAGE = 22
    NERVE = 23
    OESOPHAGUS = 24
    MARROW = 25
    BODY_CORTEX = 26
    LESION = 27
    DENS = 28
    DENS_CORTEX = 29
    NUCLEUS = 30
    ANNULUS = 31
    ENDPLATE = 32
    ATLAS = 33
    ATLAS_CORTEX = 34
    METAL = 35
    GRAFT = 36
    HAEMANGIOMA = 37
    OEDEMA = 38


COUNT = len(Tissue)

# Arbitrary units as scanners store them; relative order after T2 and proton-density tables for 1.5 to 3 T.
_T2 = {
    Tissue.AIR: 6,
    Tissue.SKIN: 190,
    Tissue.SUBCUTANEOUS_FAT: 820,
    Tissue.MUSCLE: 125,
    Tissue.FAT: 600,
    Tissue.LIGAMENT: 55,
    Tissue.BONE: 330,
    Tissue.CORTEX: 30,
    Tissue.AIRWAY: 8,
    Tissue.TONGUE: 190,
    Tissue.BRAIN: 330,
    Tissue.CEREBELLUM: 350,
    Tissue.MUCOSA: 420,
    Tissue.FLOW_VOID: 22,
    Tissue.VESSEL: 600,
    Tissue.LUNG: 14,
    Tissue.GLAND: 290,
    Tissue.PREVERTEBRAL: 210,
    Tissue.CSF: 960,
    Tissue.CORD: 390,
    Tissue.EPIDURAL: 430,
    Tissue.FATTY_MUSCLE: 230,
    Tissue.CARTILAGE: 130,
    Tissue.NERVE: 400,
    Tissue.OESOPHAGUS: 200,
    Tissue.MARROW: 260,
    Tissue.BODY_CORTEX: 45,
    Tissue.LESION: 380,
    Tissue.DENS: 265,
    Tissue.DENS_CORTEX: 45,
    Tissue.NUCLEUS: 330,
    Tissue.ANNULUS: 85,
    Tissue.ENDPLATE: 40,
    Tissue.ATLAS: 330,
    Tissue.ATLAS_CORTEX: 30,
    Tissue.METAL: 4,
    Tissue.GRAFT: 230,
    Tissue.HAEMANGIOMA: 480,
    Tissue.OEDEMA: 420,
}
T2_SIGNAL = np.array([_T2[tissue] for tissue in Tissue], np.float32)

BODY_TISSUES = (
    Tissue.MARROW,
    Tissue.BODY_CORTEX,
    Tissue.LESION,
    Tissue.HAEMANGIOMA,
    Tissue.OEDEMA,
    Tissue.GRAFT,
    Tissue.DENS,
    Tissue.DENS_CORTEX,
)
DISC_TISSUES = (Tissue.NUCLEUS, Tissue.ANNULUS, Tissue.ENDPLATE)
# Experts differ on these: the tip of the dens, the arch of C1 before it, and what a surgeon put between two bodies.
SPARED_TISSUES = (
    Tissue.DENS,
    Tissue.DENS_CORTEX,
    Tissue.ATLAS,
    Tissue.ATLAS_CORTEX,
    Tissue.METAL,
    Tissue.GRAFT,
)


def label_table() -> np.ndarray:
    """Lookup (COUNT,) uint8 from tissue to the dataset's label: 0 background, 1 body, 2 disc."""
    table = np.zeros(COUNT, np.uint8)
    table[list(BODY_TISSUES)] = 1
    table[list(DISC_TISSUES)] = 2
    return table


def spared_table() -> np.ndarray:
    """Lookup (COUNT,) bool from tissue to whether training and scoring leave it out; see `SPARED_TISSUES`."""
    table = np.zeros(COUNT, bool)
    table[list(SPARED_TISSUES)] = True
    return table
