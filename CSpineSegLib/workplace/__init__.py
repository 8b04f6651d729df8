"""What a reviewer has in hand, without widgets: one dataset, one open exam, one worker, and what is to be said of them.

Each panel of the Slicer module shows the file of the same name here. Importing this room loads nothing heavy.
"""

from .desk import Workplace

__all__ = ["Workplace"]
