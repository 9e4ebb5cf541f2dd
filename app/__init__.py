"""Headway's control plane: the API, the scheduler and the command line."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("headway")
except PackageNotFoundError:  # a checkout that was not installed
    __version__ = "0.0.0"
