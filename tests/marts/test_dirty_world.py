"""Each line of the dirty world has the outcome written beside it, and the mart the rows that follow."""

import uuid
from collections import Counter
from datetime import UTC, datetime

from marts.dirty_world import APP, APP_USER, DECISIONS, LINKED_USER, LONG_ID, REVIEWS, SQL_ID
from marts.world import video_uuid
from trainer.database import Connection


def outcomes(dirty: Connection, source: str) -> dict[int, str]:
    rows = dirty.execute(
        "select line_number, outcome from martello_intermediate.int_line_outcomes where source = %s", [source]
    ).fetchall()
    return dict(rows)


def test_every_review_has_its_outcome(dirty: Connection) -> None:
    found = outcomes(dirty, "review")
    expected = {number: (line[0], line[-1]) for number, line in enumerate(REVIEWS, 2)}
    assert {number: (expected[number][0], outcome) for number, outcome in found.items()} == expected


def test_every_decision_has_its_outcome(dirty: Connection) -> None:
    found = outcomes(dirty, "decision")
    expected = {number: (line[0], line[-1]) for number, line in enumerate(DECISIONS, 2)}
    assert {number: (expected[number][0], outcome) for number, outcome in found.items()} == expected


def test_the_funnel_adds_up_to_the_lines(dirty: Connection) -> None:
    funnel = dirty.execute(
        "select source, outcome, n_rows, share from marts.rpt_interaction_funnel"
    ).fetchall()
    expected = Counter(("review", line[-1]) for line in REVIEWS)
    expected += Counter(("decision", line[-1]) for line in DECISIONS)
    expected += Counter(("app", line[-1]) for line in APP)
    expected += Counter({("review", "rejected_line"): 1, ("decision", "rejected_line"): 1})
    assert {(source, outcome): n for source, outcome, n, _ in funnel} == dict(expected)
    for source, lines in (("review", len(REVIEWS) + 1), ("decision", len(DECISIONS) + 1), ("app", len(APP))):
        assert sum(n for s, _, n, _ in funnel if s == source) == lines
        assert all(abs(share - n / lines) < 1e-12 for s, _, n, share in funnel if s == source)
    [(n_mart,)] = dirty.execute("select count(*) from marts.fct_interactions").fetchall()
    assert n_mart == sum(n for _, outcome, n, _ in funnel if outcome in ("used", "seen_only"))


def interactions(dirty: Connection, user: str) -> dict[uuid.UUID, tuple[object, ...]]:
    rows = dirty.execute(
        "select video_id, label, source, match_rule, occurred_at from marts.fct_interactions"
        " where user_key = %s",
        [user],
    ).fetchall()
    return {row[0]: tuple(row[1:]) for row in rows}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_ann(dirty: Connection) -> None:
    assert interactions(dirty, "review:ann") == {
        video_uuid("sone00864"): (1, "review", "external_id", at("2024-01-02T03:04:05")),
        video_uuid("abc00001"): (1, "review", "external_id", None),
        video_uuid("abc00002"): (1, "review", "external_id", None),
        video_uuid("abc00003"): (0, "review", "external_id", None),
        video_uuid("abc00004"): (None, "review", "external_id", None),
        video_uuid("abc00006"): (1, "review", "external_id", None),
        video_uuid("abc00007"): (1, "review", "alias_padding", None),
        video_uuid("abc00008"): (1, "review", "alias_prefix", None),
        video_uuid("abc00009"): (1, "review", "alias_padding_prefix", None),
        video_uuid("url only"): (1, "review", "product_url", None),
        video_uuid("あ_10"): (1, "review", "external_id", None),
    }


def test_the_latest_opinion_decides(dirty: Connection) -> None:
    assert interactions(dirty, "review:cid") == {
        video_uuid("sone00864"): (0, "review", "alias_padding", at("2024-01-02")),
        video_uuid("abc00001"): (0, "review", "external_id", at("2023-11-14T22:13:20")),
        video_uuid("abc00002"): (0, "review", "external_id", None),
        video_uuid("abc00003"): (None, "review", "external_id", at("2024-01-01T00:00:01")),
        video_uuid("abc00004"): (1, "review", "external_id", at("2024-01-01")),
    }


def test_a_decision_overrides_a_review_and_a_skip_does_not(dirty: Connection) -> None:
    assert interactions(dirty, "review:eve") == {
        video_uuid("abc00001"): (0, "decision", "external_id", at("2024-02-01")),
        video_uuid("abc00002"): (0, "decision", "alias_padding", at("2024-02-01")),
        video_uuid("abc00003"): (1, "review", "external_id", at("2024-01-01")),
        video_uuid("abc00004"): (1, "review", "external_id", at("2024-01-01")),
    }


def test_app_users(dirty: Connection) -> None:
    assert interactions(dirty, f"app:{APP_USER}") == {
        video_uuid("abc00001"): (0, "app", "app", at("2024-02-01")),
        video_uuid("abc00002"): (1, "decision", "external_id", at("2024-03-01")),
        video_uuid("abc00003"): (1, "app", "app", at("2024-02-01")),
        video_uuid("abc00005"): (1, "decision", "video_id", None),
    }
    assert interactions(dirty, f"app:{LINKED_USER}") == {
        video_uuid("abc00001"): (0, "app", "app", at("2023-01-01"))
    }


def test_ids_are_trimmed_and_otherwise_kept(dirty: Connection) -> None:
    users = {row[0] for row in dirty.execute("select user_key from marts.dim_users").fetchall()}
    reviewers = ("ann", "bob smith", LONG_ID, SQL_ID, "cid", "eve", "u-17", "fay")
    assert users == {f"review:{name}" for name in reviewers} | {f"app:{APP_USER}", f"app:{LINKED_USER}"}


def test_the_raw_table_is_still_there(dirty: Connection) -> None:
    assert dirty.execute("select count(*) from raw.reviews").fetchone() == (len(REVIEWS),)
