"""Martello: marts in Postgres, two towers in PyTorch, recommendations in SQL."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("martello")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"
