"""A whole small installation: files loaded, marts built by dbt, one version serving, one refused."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from socketserver import BaseServer
from typing import Generic, TypeVar

import pytest

from conftest import drop_database
from serving.world import EPOCH, World, app_user, fill_catalogue, make_world
from tests.marts.world import World as Pen
from trainer import gate, release
from trainer.database import Address, Connection, connect
from trainer.errors import GateRefusedError
from trainer.evaluation import EvaluationRow
from trainer.transform import dbt_build

SERVED, REFUSED = "202601010000", "202601080000"
EVIL_TITLE = """<script>alert("1")</script> & 'quotes'"""
WORST_URL = "https://shop.example/no/such/shape"
CURVE = [{"epoch": k, "loss": 2.0 / k, "val_ndcg": 0.1 * k} for k in (1, 2, 3)]


def evaluations(own: float, popularity: float, champion: float | None = None) -> list[EvaluationRow]:
    """Every metric the pages show, each model at its own level; two slices."""
    levels = {"two_tower": own, "popularity": popularity} | ({"champion": champion} if champion else {})
    metrics = ["recall@20", "recall@50", "ndcg@20", "ndcg@10", "precision@10", "coverage@20", "coverage@50"]
    rows = [
        EvaluationRow(model, "val", part, metric, level, level - 0.01, level + 0.01, 500)
        for model, level in levels.items()
        for part in ("all", "users: 1-2 likes", "users: 21+ likes")
        for metric in metrics
    ]
    return [*rows, EvaluationRow("two_tower", "val", "all", "entropy@20", 4.5, None, None, 500)]


@pytest.fixture(autouse=True)
def no_run_on_github(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests run there too; messages then end with the address of the run."""
    monkeypatch.delenv("GITHUB_RUN_ID", raising=False)


@pytest.fixture(scope="session")
def small_world() -> World:
    return make_world()


@pytest.fixture(scope="session")
def installed_template(
    small_world: World,
    migrated_template: Address,
    new_database: Callable[..., Address],
    tmp_path_factory: pytest.TempPathFactory,
) -> Address:
    address = new_database(migrated_template.parameters["dbname"])
    with connect(address, autocommit=True) as connection:
        fill_catalogue(connection, small_world)
        connection.execute(
            "update public.videos set title = %s where id = %s", (EVIL_TITLE, small_world.video_ids[0])
        )
    _load(Pen(address), small_world)
    dbt_build(address, target=tmp_path_factory.mktemp("dbt"))
    with connect(address, autocommit=True) as connection:
        config = small_world.config | {"curve": CURVE, "run": {"seconds": {"train": 12.3}}}
        good = small_world.bundle(SERVED, config=config, evaluations=evaluations(0.4, 0.3))
        release.write_version(connection, good)
        gate.decide(connection, SERVED)
        release.promote(connection, SERVED)
        bad = small_world.bundle(
            REFUSED,
            evaluations=evaluations(0.2, 0.3, 0.4),
            feature_importance={"history": 0.2, "maker": 0.05},
        )
        release.write_version(connection, bad)
        with pytest.raises(GateRefusedError):
            gate.decide(connection, REFUSED)
    return address


def _load(pen: Pen, world: World) -> None:
    """The world's events as a decisions file (reviewers) and in the app's own table (app users)."""
    lines, decisions = [], []
    for event in world.events:
        when = None if event.day is None else EPOCH - timedelta(days=300 - event.day)
        word = {1: "like", 0: "nope", None: "skip"}[event.label]
        if event.user_key.startswith("app:"):
            decisions.append(
                {
                    "user_id": event.user_key[4:],
                    "video_id": world.video_ids[event.video],
                    "decision_type": word,
                    "created_at": when or EPOCH,
                }
            )
        else:
            lines.append(
                {
                    "reviewer_id": event.user_key[7:],
                    "item": f"ext-{event.video}",
                    "decision": word,
                    "decided_at": when and when.isoformat(),
                }
            )
    lines += [{"reviewer_id": str(n), "item": WORST_URL, "decision": "like"} for n in range(20)]
    pen.app_decisions(*decisions)
    pen.decisions(*lines)


@pytest.fixture
def installed(
    server_address: Address, installed_template: Address, new_database: Callable[..., Address]
) -> Iterator[Address]:
    """A copy of that installation, for one test."""
    address = new_database(installed_template.parameters["dbname"])
    yield address
    drop_database(server_address, address)


@pytest.fixture
def reader(installed_template: Address) -> Iterator[Connection]:
    """A connection to the installation itself, for tests that only look."""
    with connect(installed_template) as connection:
        connection.execute("set transaction read only")
        yield connection


@pytest.fixture(scope="session")
def somebody() -> str:
    """The user_key of an app user of the world."""
    return f"app:{app_user(0)}"


@pytest.fixture(scope="session")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, str]]:
    """`browse(url)`: (the page as a real browser has it, what the browser complained of); else skipped."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium on this machine")

    def run(url: str) -> tuple[str, str]:
        profile: Path = tmp_path_factory.mktemp("chromium")
        done = subprocess.run(
            [
                *(program, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
                *(f"--user-data-dir={profile}", "--window-size=390,844", "--dump-dom", url),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout, "\n".join(line for line in done.stderr.splitlines() if ":CONSOLE" in line)

    return run


Serving = TypeVar("Serving", bound=BaseServer)


class Background(Generic[Serving]):
    """Something that serves until the block ends."""

    def __init__(self, server: Serving) -> None:
        self.server = server

    def __enter__(self) -> Serving:
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self.server

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
