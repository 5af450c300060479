"""Where a statement ends: a semicolon, unless something hides it."""

import pytest

from trainer.migrations import migrations
from trainer.statements import first_line, split_statements


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("select 1; select 2", ["select 1", "select 2"]),
        ("select ';'; select 'it''s;'", ["select ';'", "select 'it''s;'"]),
        (r"select E'a\';b'; select 1", [r"select E'a\';b'", "select 1"]),
        ('select 1 as "a;b"; select 2', ['select 1 as "a;b"', "select 2"]),
        ("do $$ begin null; end $$; select 1", ["do $$ begin null; end $$", "select 1"]),
        ("do $a$ x := $b$;$b$; $a$; select $1", ["do $a$ x := $b$;$b$; $a$", "select $1"]),
        ("-- one; two\nselect 1; -- three;\n", ["-- one; two\nselect 1"]),
        ("/* a; b */ select 1;; ;\n-- only a comment", ["/* a; b */ select 1"]),
        ("select 1 - -1 / 2; select e", ["select 1 - -1 / 2", "select e"]),
        ("", []),
    ],
)
def test_split(sql: str, statements: list[str]) -> None:
    assert split_statements(sql) == statements


def test_nothing_of_our_own_files_is_lost() -> None:
    for migration in migrations():
        text = migration.path.read_text(encoding="utf-8")
        kept = "".join(migration.statements)
        assert migration.statements
        assert "".join(kept.split()).replace(";", "") == "".join(text.split()).replace(";", "")


def test_first_line_skips_comments() -> None:
    assert first_line("-- why\n/* more */\n  create table t (\n n int)") == "create table t ("
