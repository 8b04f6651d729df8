"""The command line: `cspineseg list | show | segment | correct | levels | export | metrics | doctor | demo`."""

from .main import main

__all__ = ["main"]
