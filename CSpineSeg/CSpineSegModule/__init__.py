"""What the Slicer module is made of, apart from its widgets: logic, installation, headless runs.

Installed, the library lies beside this package. In a clone it lies one folder above, so that is searched as well.
"""

from __future__ import annotations

import sys
from pathlib import Path

_here = Path(__file__).resolve().parents[1]
for _folder in (_here, _here.parent):
    if (_folder / "CSpineSegLib").is_dir():
        if str(_folder) not in sys.path:
            sys.path.append(str(_folder))
        break
