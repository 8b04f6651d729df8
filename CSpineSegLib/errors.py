"""The errors that a user is meant to read: each message is one sentence saying what, where and what to do."""

from __future__ import annotations


class CSpineSegError(ValueError):
    """Base of all expected failures; the command line prints the message alone and exits with 2."""


class InputError(CSpineSegError):
    """Something that was given cannot be used: a name, a folder, a table, a file."""


class Refused(InputError):
    """An image that does not look like a cervical spine exam, and that may be segmented anyway."""


class GeometryError(InputError):
    """Two grids, or the two descriptions of one grid, do not fit together."""


class ModelError(CSpineSegError):
    """A model is unknown or damaged, or the device that was asked for cannot run it."""


class GraphicsMemoryError(ModelError):
    """A graphics card has too little memory; the processor, with the main memory, may do."""


class OrientationError(ModelError):
    """A model does not tell how the images lay that it was trained on, so that somebody has to."""


class WriteError(CSpineSegError):
    """A file could not be written, or did not read back as it was written; nothing was left behind."""


class Cancelled(Exception):
    """The user cancelled; nothing was written."""
