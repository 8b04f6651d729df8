"""What every result carries: the versions of the software, and the time."""

from ..review.provenance import now, software

__all__ = ["now", "software"]
