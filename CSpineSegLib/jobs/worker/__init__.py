"""The worker: a process that loads a model once and segments one exam after another, and its client."""

from .client import Job, Worker

__all__ = ["Job", "Worker"]
