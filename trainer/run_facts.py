"""What a run knows of itself: its stage and how long each took, its memory, the commit it is of."""

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Which stage a run is in, and how long each took."""

    stage: str = "connect"
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        self.stage = stage
        began = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - began


def git_commit() -> str | None:
    """Of the checkout a run stands in; None outside of one."""
    try:
        said = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()


def peak_memory_mb() -> float:
    """Of this process so far; Linux counts in kilobytes, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
