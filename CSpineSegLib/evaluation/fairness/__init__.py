"""Does a model serve all groups of patients equally well, and does the ruler that says so?"""

from .auditing import audit
from .rulers import two_rulers

__all__ = ["audit", "two_rulers"]
