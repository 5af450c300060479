"""The command line says what is true, and fails in one line with the right status."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from trainer.cli.training import DIALS
from trainer.database import Address
from trainer.training import TrainingConfig


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m trainer …` as a person would start it, from an empty folder."""
    return subprocess.run(
        [sys.executable, "-m", "trainer", *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(Path.cwd()), **environment},
    )


def test_the_dials_say_their_true_defaults() -> None:
    defaults = {field.name: field.default for field in fields(TrainingConfig)}
    assert {name: said for name, (_, said, _) in DIALS.items()} == {
        name: str(defaults[name]) for name in DIALS
    }


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--epochs", "many"], 2, "'many' is not a valid integer"),
        (["no-such-command"], 2, "No such command 'no-such-command'"),
        (["evaluate", "--baselines", "magic"], 2, "there is no baseline 'magic'"),
        (["load", "reviews", "nowhere.csv"], 1, "no connection to postgres@127.0.0.1:1/postgres"),
        (["--database-url", "mysql://x"], 2, "DATABASE_URL does not begin with postgresql://"),
    ],
)
def test_a_failure_is_one_line_with_its_status(words: list[str], status: int, said: str) -> None:
    done = run(*words, PGPORT="1")
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_no_password_is_shown(server_address: Address) -> None:
    secret = "p%40ss-word-7"
    host = f"{server_address.parameters['host']}:{server_address.parameters['port']}"
    done = run("doctor", DATABASE_URL=f"postgresql://postgres:{secret}@{host}/postgres")
    assert done.returncode == 1
    assert "password authentication failed" in done.stdout
    for shown in (secret, "p@ss-word-7"):
        assert shown not in done.stdout + done.stderr


def test_an_unmigrated_database_is_named_with_its_remedy(empty_database: Address, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("product_url,reviewer_id,stars\nu,1,5\n")
    for words in (
        ["load", "reviews", "x.csv"],
        [],
        ["versions"],
        ["promote", "1"],
        ["recommend", "1"],
        ["evaluate"],
    ):
        done = run(*words, DATABASE_URL=empty_database.url(with_password=True))
        assert (words, done.returncode, done.stderr.count("\n")) == (words, 1, 1), done.stderr
        assert "run `python -m trainer db migrate`" in done.stderr


def test_help_answers_without_the_heavy_libraries() -> None:
    code = "import sys, trainer.cli; print({'torch', 'dbt', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
