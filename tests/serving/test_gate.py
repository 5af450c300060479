"""The gate: what it lets pass, what it refuses and says, on evaluations written by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
from psycopg import DatabaseError

from serving.conftest import FIRST
from serving.world import World
from trainer import gate, release
from trainer.database import Connection
from trainer.errors import GateRefusedError, ReleaseError
from trainer.evaluation import Evaluation

SECOND = "202601020000"
Row = tuple[str, str, str, str, float, float | None, float | None, int]


def measured(
    values: dict[str, float], metric: str = "ndcg@20", slice_name: str = "all", n: int = 500
) -> list[Row]:
    """Rows of recsys.evaluations: model -> value."""
    return [(model, "val", slice_name, metric, value, None, None, n) for model, value in values.items()]


def paired(
    values: dict[str, Sequence[float]], metric: str = "ndcg@20", slice_name: str = "all"
) -> list[gate.PairedRow]:
    """What the trainer makes of values per user of two models, the version itself first."""
    own, other = (
        Evaluation(name, {}, {metric: np.array(v, float)}, np.arange(len(v)), {}, np.empty((0, 0), np.int32))
        for name, v in values.items()
    )
    return [row._replace(slice=slice_name) for row in gate.paired_rows([own, other])]


def both(own: float, popularity: float, champion: float | None = None, n: int = 500) -> list[Row]:
    models = {"two_tower": own, "popularity": popularity} | (
        {} if champion is None else {"champion": champion}
    )
    return measured(models, n=n) + measured(models, "recall@20", n=n)


def write(connection: Connection, world: World, rows: list[Row], pairs: object = ()) -> None:
    release.write_version(connection, world.bundle(SECOND, evaluations=rows, paired_differences=pairs))


def failed(connection: Connection) -> set[str]:
    return {rule for rule, _ in gate.why_rejected(connection, SECOND)}


def test_better_than_everything_passes(serving: Connection, world: World) -> None:
    write(serving, world, both(0.2, 0.1, 0.19))
    gate.decide(serving, SECOND)
    assert failed(serving) == set()
    assert release.promote(serving, SECOND)["changed"]
    assert serving.execute("select bool_and(passed), count(*) > 5 from recsys.gate_results").fetchone() == (
        True,
        True,
    )


def test_refused_stays_out_until_forced(serving: Connection, world: World) -> None:
    write(serving, world, both(0.09, 0.1))
    with pytest.raises(
        GateRefusedError, match=r"beats_popularity_ndcg: ndcg@20 is 0\.0900, popularity 0\.1000"
    ):
        gate.decide(serving, SECOND)
    assert failed(serving) == {"beats_popularity_ndcg", "beats_popularity_recall"}
    with pytest.raises(GateRefusedError, match="the gate refused version 202601020000"):
        release.promote(serving, SECOND)
    assert serving.execute("select recsys.active_version()").fetchone() == (FIRST,)
    assert serving.execute("select distinct model_version from public.video_embeddings").fetchall() == [
        (FIRST,)
    ]
    release.promote(serving, SECOND, force=True)
    log = serving.execute(
        "select action, model_version, is_forced from recsys.release_log order by id desc limit 2"
    ).fetchall()
    assert log == [("promote", SECOND, True), ("refuse", SECOND, False)]
    assert release.rollback(serving)["version"] == FIRST


def test_a_candidate_nobody_judged_is_judged_at_promotion(serving: Connection, world: World) -> None:
    write(serving, world, both(0.09, 0.1))
    with pytest.raises(DatabaseError) as refusal:
        serving.execute("select recsys.promote(%s)", (SECOND,))
    assert refusal.value.sqlstate == "MT003"


def test_a_version_nobody_measured_is_refused(serving: Connection, world: World) -> None:
    write(serving, world, [])
    with pytest.raises(GateRefusedError, match="not measured"):
        gate.decide(serving, SECOND)


def test_not_a_number_is_refused(serving: Connection, world: World) -> None:
    write(serving, world, both(float("nan"), 0.1))
    with pytest.raises(GateRefusedError, match="is_measured"):
        gate.decide(serving, SECOND)


def test_the_first_version_has_no_champion_to_lose_to(connection: Connection, world: World) -> None:
    write(connection, world, both(0.2, 0.1))
    gate.decide(connection, SECOND)
    assert release.promote(connection, SECOND)["previous_version"] is None


def test_a_tie_on_a_dozen_users_is_no_refusal(serving: Connection, world: World) -> None:
    noise = np.random.default_rng(0).normal(size=12)
    users = paired({"two_tower": 0.1 + noise * 0.1, "popularity": 0.11 - noise * 0.1})
    users += [row._replace(metric="recall@20") for row in users]
    write(serving, world, both(0.10, 0.11, n=12), users)
    gate.decide(serving, SECOND)


def test_clearly_worse_on_a_dozen_users_is(serving: Connection, world: World) -> None:
    noise = np.random.default_rng(0).normal(size=12) * 0.001
    users = paired({"two_tower": 0.1 + noise, "popularity": np.full(12, 0.3)})
    write(serving, world, both(0.1, 0.3, n=12), users)
    with pytest.raises(GateRefusedError, match="beats_popularity_ndcg"):
        gate.decide(serving, SECOND)


@pytest.mark.parametrize(
    ("loss", "spread", "refused"), [(0.01, 0.001, False), (0.1, 0.001, True), (0.1, 3, False)]
)
def test_losing_to_the_champion(
    serving: Connection, world: World, loss: float, spread: float, refused: bool
) -> None:
    """A small loss is allowed; a large one is not, unless it may be chance."""
    noise = np.random.default_rng(1).normal(size=500) * spread
    own = 0.2 * (1 - loss)
    users = paired({"two_tower": own + noise - noise.mean(), "champion": np.full(500, 0.2)})
    users += [row._replace(metric="recall@20") for row in users]
    write(serving, world, both(own, 0.1, 0.2), users)
    if refused:
        with pytest.raises(
            GateRefusedError, match=r"keeps_ndcg: .*difference per user -0\.02.*500 users.*2\.0 %"
        ):
            gate.decide(serving, SECOND)
    else:
        gate.decide(serving, SECOND)


@pytest.mark.parametrize(("spread", "refused"), [(0.001, True), (3, False)])
@pytest.mark.parametrize(
    ("metric", "slice_name", "rule", "sign"),
    [
        ("recall@20", "users: 1-2 likes", "keeps_new_users", -1),
        ("recall@20", "items: tail", "keeps_tail", -1),
        ("dislike@20", "all", "keeps_dislikes_low", 1),
    ],
)
def test_slices_are_paired(
    serving: Connection, world: World, *, metric: str, slice_name: str, rule: str, sign: int, spread: float,
    refused: bool,
) -> None:  # fmt: skip
    """The same loss, once beyond chance and once not, in slices and where less is better."""
    noise = np.random.default_rng(1).normal(size=300) * spread
    own = 0.2 * (1 + sign * 0.5)
    pairs = paired(
        {"two_tower": own + noise - noise.mean(), "champion": np.full(300, 0.2)}, metric, slice_name
    )
    rows = measured({"two_tower": own, "champion": 0.2}, metric, slice_name)
    write(serving, world, both(0.2, 0.1, 0.2) + rows, pairs)
    if refused:
        with pytest.raises(GateRefusedError, match=f"{rule}: .*difference per user .*300 users"):
            gate.decide(serving, SECOND)
    else:
        gate.decide(serving, SECOND)


def test_pairs_are_taken_in_every_slice() -> None:
    """Users 3, 5, 7, 9; in the slice 5 and 9; one of them has no value of the champion's."""
    lists = np.empty((0, 0), np.int32)

    def scored(name: str, values: list[float]) -> Evaluation:
        rows, v = np.array([3, 5, 7, 9]), np.array(values)
        part = Evaluation(name, {}, {"recall@20": v[[1, 3]]}, rows[[1, 3]], {}, lists)
        return Evaluation(name, {}, {"recall@20": v}, rows, {}, lists, {"users: 1-2 likes": part})

    champion = scored("champion", [0.1, 0.1, 0.1, np.nan])
    whole, part = gate.paired_rows([scored("two_tower", [0.2, 0.4, 0.1, 0.9]), champion])
    assert (whole.slice, whole.n_users, whole.mean) == ("all", 3, pytest.approx((0.1 + 0.3 + 0) / 3))
    assert 0 <= whole.low < whole.mean < whole.high <= 0.3 + 1e-9
    assert part == ("champion", "users: 1-2 likes", "recall@20", 1, *[pytest.approx(0.3)] * 3)
    assert gate.paired_rows([champion]) == []
    other = Evaluation("ease", {}, {"recall@20": np.zeros(2)}, np.array([3, 5]), {}, lists)
    with pytest.raises(ReleaseError, match="scored on other users"):
        gate.paired_rows([champion, other])


@pytest.mark.parametrize(
    ("metric", "slice_name", "values", "rule"),
    [
        ("recall@20", "users: 1-2 likes", (0.05, 0.1), "keeps_new_users"),
        ("recall@20", "items: tail", (0.05, 0.1), "keeps_tail"),
        ("coverage@20", "all", (0.1, 0.3), "keeps_coverage"),
        ("dislike@20", "all", (0.3, 0.1), "keeps_dislikes_low"),  # more of it is worse
        ("largest_maker_share@20", "all", (0.9, 0.5), "keeps_makers_mixed"),
    ],
)
def test_slices(
    serving: Connection, world: World, *, metric: str, slice_name: str, values: tuple[float, float], rule: str
) -> None:
    for (own, champion), wrong in ((values[::-1], set()), (values, {rule})):
        sliced = measured({"two_tower": own, "champion": champion}, metric, slice_name)
        write(serving, world, both(0.2, 0.1, 0.2) + sliced)
        if wrong:
            with pytest.raises(GateRefusedError):
                gate.decide(serving, SECOND)
        else:
            gate.decide(serving, SECOND)
        assert failed(serving) == wrong
        serving.execute("select recsys.drop_version(%s)", (SECOND,))


def test_rules_are_rows(serving: Connection, world: World) -> None:
    write(serving, world, both(0.2, 0.1))
    change = "update recsys.gate_rules set is_enabled = %s, threshold = 0.5 where rule = 'recall_floor'"
    serving.execute(change, (True,))
    with pytest.raises(
        GateRefusedError, match=r"recall_floor: recall@20 is 0\.2000; at least 0\.5 is asked for"
    ):
        gate.decide(serving, SECOND)
    serving.execute(change, (False,))
    gate.decide(serving, SECOND)


def test_test_counts_before_val(serving: Connection, world: World) -> None:
    rows = both(0.01, 0.1) + [(m, "test", *rest) for m, _, *rest in both(0.2, 0.1)]
    write(serving, world, rows)
    gate.decide(serving, SECOND)
