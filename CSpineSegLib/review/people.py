"""Who works: the name that provenance is written under."""

from __future__ import annotations

import getpass

from ..errors import InputError


def annotator_name(given: str | None) -> str:
    """The annotator as it is written to JSON: what was given, or the login name of this computer's user.

    "unknown" where the system has no login name. InputError for an empty name or one of several lines.
    """
    if given is None:
        try:
            return getpass.getuser()
        # Python 3.13 raises OSError; before, KeyError (no such user) or ImportError (Windows without variables).
        except (OSError, KeyError, ImportError):
            return "unknown"
    name = given.strip()
    if not name or not name.isprintable():
        raise InputError(f"The annotator's name {given!r} cannot be used; give one line of text.")
    return name
