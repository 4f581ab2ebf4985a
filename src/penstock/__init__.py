"""Penstock: a streaming LLM gateway. One address and one key for every model."""

from importlib.metadata import version

__version__ = version("penstock")
