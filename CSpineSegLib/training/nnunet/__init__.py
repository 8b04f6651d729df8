"""Training nnU-Net on one's own data: the export of a dataset, folds by patient, and nnU-Net's own commands.

Everything here is files and processes: nnU-Net runs as it is installed, in a process of its own, and is never imported.
"""

from .exporting import Exported, export
from .places import Folders

__all__ = ["Exported", "Folders", "export"]
