"""Bundles on disk: found by name or folder, checked file by file, opened as data alone."""

from __future__ import annotations

from .exporting import export

__all__ = ["export"]
