"""The code is formatted, linted and typed, and its SQL parses: the same tools and settings as at the desk."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKS = {
    "ruff check": ["ruff", "check", "--no-cache", "."],
    "ruff format": ["ruff", "format", "--no-cache", "--check", "."],
    "mypy": ["mypy"],
    "sqlfluff": [
        "sqlfluff",
        "lint",
        "--disable-progress-bar",
        "--processes",
        "1",
        "sql",
        "dbt_project/models",
    ],
}


@pytest.mark.parametrize("command", CHECKS.values(), ids=CHECKS.keys())
def test_clean(repository: Path, command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
