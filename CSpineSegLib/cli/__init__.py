"""The command line: `cspineseg list | show | segment | correct | export | metrics | doctor | demo`."""

from .main import main

__all__ = ["main"]
