"""`pip install .` brings everything: what an installed copy without a checkout needs is in the wheel."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

BUNDLED = ("sql/", "dbt_project/", "profiles.yml")


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), "."]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    if done.returncode and "hatchling" in done.stderr + done.stdout:
        pytest.skip("no package index here to bring hatchling, which builds the wheel")
    assert done.returncode == 0, done.stderr
    (packed,) = folder.glob("*.whl")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_every_file_of_the_program_is_in_it(repository: Path, wheel: Path) -> None:
    """Templates, style, sample, SQL, models and seeds as well as modules; nothing made by running."""
    listed = subprocess.run(
        ["git", "ls-files", "trainer", *BUNDLED], cwd=repository, capture_output=True, text=True, check=False
    ).stdout.split("\n")
    if len(listed) < 2:
        pytest.skip("this is no git checkout")
    wanted = {
        f"trainer/_bundled/{name}" if name.startswith(BUNDLED) else name
        for name in listed
        if name and (repository / name).exists() and not name.endswith(".gitignore")
    }
    found = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    assert wanted <= found
    assert not [name for name in found if "/target/" in name or "/logs/" in name or "__pycache__" in name]


def test_an_installed_copy_finds_its_sql_without_a_checkout(wheel: Path, tmp_path: Path) -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "from trainer.settings import resource; from trainer.demo_data import VIDEOS_FILE;"
            "print(resource('sql'), resource('dbt_project'), VIDEOS_FILE.exists())",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    bundled = wheel / "trainer" / "_bundled"
    assert said.split() == [str(bundled / "sql"), str(bundled / "dbt_project"), "True"]
