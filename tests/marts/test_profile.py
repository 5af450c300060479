"""dbt itself, without the trainer in between, finds the database that one DATABASE_URL names."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from trainer.database import Address, connect

USER, PASSWORD = "some one", "p@ss:/w%rd#?語"


@pytest.mark.parametrize(("password", "is_right"), [(PASSWORD, True), ("p@ss", False)])
def test_dbt_connects_by_a_url(
    database: Address, repository: Path, tmp_path: Path, password: str, is_right: bool
) -> None:
    """User and password need percent-encoding; sslmode comes along. Another password finds no way in."""
    with connect(database, autocommit=True) as admin:
        admin.execute(f'drop role if exists "{USER}"'.encode())
        admin.execute(f"create role \"{USER}\" login password '{PASSWORD}'".encode())
    at = database.parameters
    url = f"postgresql://{quote(USER, safe='')}:{quote(password, safe='')}@{at['host']}:{at['port']}/"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment["DATABASE_URL"] = f"{url}{quote(at['dbname'])}?sslmode=prefer"
    folders = ["--log-path", str(tmp_path)]
    program = str(Path(sys.executable).with_name("dbt"))
    found = subprocess.run(
        [program, "debug", "--connection", "--project-dir", "dbt_project", "--profiles-dir", ".", *folders],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode == 0) is is_right, found.stdout
    assert password not in found.stdout + found.stderr
