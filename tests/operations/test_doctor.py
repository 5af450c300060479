"""The doctor finds what is broken and says what to do; each ailment is made, then looked for."""

import json
import subprocess
import sys

import pytest

from tests.operations.conftest import SERVED, WORST_URL
from trainer.database import Address, connect
from trainer.doctor import FAIL, OK, WARN, Finding, examine


def found(where: Address, check: str) -> list[Finding]:
    return [finding for finding in examine(where) if finding.check == check]


def worst(where: Address, check: str) -> Finding:
    order = [OK, WARN, FAIL]
    return max(found(where, check), key=lambda finding: order.index(finding.status))


def test_a_whole_installation(installed_template: Address) -> None:
    findings = examine(installed_template)
    assert not [finding for finding in findings if finding.status == FAIL]
    expected = (
        "connection postgres role size pgvector migrations roles marts funnel version vectors indexes storage"
    )
    assert set(expected.split()) <= {finding.check for finding in findings}
    assert all(finding.remedy for finding in findings if finding.status != OK)


def test_the_worst_items_are_named(installed_template: Address) -> None:
    (line,) = [finding for finding in found(installed_template, "funnel") if "no_content_id" in finding.fact]
    assert line.status == WARN
    assert f"{WORST_URL!r} (20)" in line.fact
    assert "url_patterns.csv" in line.remedy


AILMENTS = {
    "migrations": (
        "delete from supabase_migrations.schema_migrations where name = 'serving'",
        FAIL,
        "20261120091000_serving",
        "db migrate",
    ),
    "roles": ("grant select on marts.dim_users to anon", FAIL, "marts.dim_users for anon", "revoke"),
    "row level security": (
        "alter table public.user_video_decisions disable row level security",
        FAIL,
        "user_video_decisions",
        "enable row level security",
    ),
    "pgvector": ("drop extension vector cascade", FAIL, "the extension vector is missing", "db migrate"),
    "marts": ("drop table marts.dim_users cascade", FAIL, "missing: dim_users", "dbt build"),
    "version": (
        "update recsys.embedding_model_versions set created_at = now() - interval '30 days' where is_active",
        WARN,
        "30 days old",
        "weekly run",
    ),
    "vectors": (
        f"delete from recsys.video_embeddings where model_version = '{SERVED}' and video_id in"
        " (select video_id from recsys.video_embeddings limit 1)",
        WARN,
        "1 videos without a vector",
        "sync",
    ),
    "freshness": (
        "insert into raw.loads (kind, file_name, sha256, n_rows, loaded_at)"
        " values ('reviews', 'x', repeat('0', 64), 1, now() + interval '1 hour')",
        WARN,
        "since then 1 loaded files",
        "dbt build",
    ),
    "indexes": (
        "update pg_index set indisvalid = false where indexrelid = 'marts.fct_interactions'::regclass::oid"
        " or indexrelid in (select indexrelid from pg_index join pg_class c on c.oid = indrelid"
        " where c.relname = 'experiments' limit 1)",
        WARN,
        "invalid: recsys.experiments",
        "reindex",
    ),
}


@pytest.mark.parametrize("check", AILMENTS)
def test_an_ailment(installed: Address, check: str) -> None:
    statement, status, fact, remedy = AILMENTS[check]
    with connect(installed, autocommit=True) as connection:
        # freshness needs the time of the build, which a copied database has forgotten
        connection.execute("analyze marts.fct_interactions")
    assert worst(installed, check).status == OK
    with connect(installed, autocommit=True) as connection:
        connection.execute(statement.encode())
    finding = worst(installed, check)
    assert finding.status == status
    assert fact in finding.fact
    assert remedy in finding.remedy


def test_vectors_without_an_index(installed: Address) -> None:
    with connect(installed, autocommit=True) as connection:
        connection.execute(
            f"update pg_class set reltuples = 50000 where relname = 'video_embeddings_{SERVED}'".encode()
        )
    assert "(50,000 rows)" in worst(installed, "indexes").fact


def test_a_full_disk(installed_template: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.doctor.serving.FREE_BYTES", 2**60)
    finding = worst(installed_template, "free space")
    assert finding.status == WARN
    assert "--out-dir" in finding.remedy


def test_an_empty_database(empty_database: Address) -> None:
    failed = {finding.check for finding in examine(empty_database) if finding.status == FAIL}
    assert {"pgvector", "migrations", "marts"} <= failed


def test_a_role_with_few_rights_gets_findings_not_a_crash(installed: Address) -> None:
    with connect(installed, autocommit=True) as connection:
        connection.execute("create role visitor login password 'visitor'")
    try:
        visitor = Address(installed.parameters | {"user": "visitor", "password": "visitor"})
        findings = examine(visitor)
        assert any("42501" in finding.fact for finding in findings if finding.status == FAIL)
    finally:
        with connect(installed, autocommit=True) as connection:
            connection.execute("drop role visitor")


def test_nobody_answers() -> None:
    nowhere = Address({"host": "127.0.0.1", "port": "9", "user": "u", "password": "pa55word", "dbname": "x"})
    (finding,) = examine(nowhere)
    assert (finding.check, finding.status) == ("connection", FAIL)
    assert "pa55word" not in str(finding)


def test_storage_that_does_not_answer(installed_template: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SUPABASE_SECRET_KEY", "sb_secret_nobody")
    monkeypatch.setattr("trainer.storage.ATTEMPTS", 1)
    finding = worst(installed_template, "storage")
    assert finding.status == FAIL
    assert "sb_secret_nobody" not in str(finding)


def test_json(installed_template: Address, empty_database: Address) -> None:
    def ask(where: Address) -> tuple[int, list[dict[str, str]]]:
        url = where.url(with_password=True)
        command = [sys.executable, "-m", "trainer", "doctor", "--json", "--database-url", url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout)

    status, findings = ask(installed_template)
    assert status == 0
    assert findings[0].keys() == {"check", "status", "fact", "remedy"}
    assert ask(empty_database)[0] == 1
