"""raw and the app's tables -> marts: runs dbt in this process, quietly, and says in one line what failed."""

import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.database import LIBPQ_VARIABLES, Address
from trainer.errors import DatabaseError, MartelloError, MartError
from trainer.settings import resource

TESTS = ("test", "unit_test")
REPEAT = "correct it and build again"
PASSED = ("success", "pass", "warn", "no-op", "partial success")


@dataclass(frozen=True)
class BuildSummary:
    """What a build did: nodes by kind, tests that only warned, wall seconds, and seconds per model."""

    n_models: int
    n_tests: int
    warnings: tuple[str, ...]
    seconds: float
    model_seconds: dict[str, float]

    def __str__(self) -> str:
        return f"{self.n_models} models built, {self.n_tests} tests passed in {self.seconds:.1f} s"


def dbt_build(
    where: Address,
    *,
    select: Sequence[str] | None = None,
    vars: Mapping[str, object] | None = None,
    full_refresh: bool = False,
    with_unit_tests: bool = False,
    project: Path | None = None,
    target: Path | None = None,
) -> BuildSummary:
    """`dbt build` against `where`; `project` and `target` (dbt's working folder) are for tests.

    Unit tests try the models' logic on rows of their own, whatever the database holds: they belong to a
    change of the models, not to every build. Tests of the data always run.

    Raises MartError naming the first model or test that failed with its message, DatabaseError when there is
    no connection.
    """
    project = project or resource("dbt_project")
    arguments = ["--log-level", "none", "--no-use-colors", "--no-write-json", "build"]
    arguments += ["--project-dir", str(project)]
    arguments += ["--profiles-dir", str(resource("profiles.yml").parent), *_working_folder(project, target)]
    arguments += [] if with_unit_tests else ["--exclude-resource-type", "unit_test"]
    arguments += ["--full-refresh"] if full_refresh else []
    # cautious: only tests of which every model is selected; the others may not be built yet
    arguments += ["--indirect-selection", "cautious", "--select", *select] if select else []
    arguments += ["--vars", json.dumps(dict(vars))] if vars else []
    began = time.monotonic()
    with _environment(where):
        outcome = _invoke(arguments)
    seconds = time.monotonic() - began
    results = list(getattr(outcome.result, "results", None) or [])
    failed = [result for result in results if str(result.status) not in (*PASSED, "skipped")]
    if outcome.exception is not None or failed or not outcome.success:
        raise _failure(outcome.exception, failed, where)
    if select and not results:
        raise MartError(f"nothing in the dbt project is called {' '.join(select)}", "see dbt_project/models")
    return _summary(results, seconds)


def _invoke(arguments: list[str]) -> Any:
    from dbt.cli.main import dbtRunner  # noqa: PLC0415 - seconds to import, needed by nothing else here

    return dbtRunner().invoke(arguments)


def _working_folder(project: Path, target: Path | None) -> list[str]:
    """Where dbt writes: beside the models in a checkout; never into an installed package."""
    if target is None and "_bundled" not in project.parts:
        return []
    folder = target or Path.cwd() / ".martello" / "dbt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="martello-dbt-"))
    return ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]


@contextmanager
def _environment(where: Address) -> Iterator[None]:
    """The address as libpq's variables while dbt runs; DATABASE_URL would win over them: it steps aside."""
    names = ["DATABASE_URL", *LIBPQ_VARIABLES.values()]
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ.update(where.environ())
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)


def _failure(exception: BaseException | None, failed: list[Any], where: Address) -> MartelloError:
    if failed:
        first = failed[0]
        name = getattr(first.node, "name", "a hook")
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        if _kind(first) in TESTS:
            return MartError(
                f"the test {name} failed{more}: {_fact(first.message)}", "do not train on these marts"
            )
        return MartError(f"dbt could not build {name}{more}: {_fact(first.message)}", REPEAT)
    fact = _fact(exception or "dbt gave no reason")
    if "connection to server" in fact or "connect to" in fact:
        return DatabaseError(
            f"dbt has no connection to {where}: {fact}",
            "start one with `python -m trainer db start`, or point DATABASE_URL or PG* at yours",
        )
    return MartError(f"dbt stopped: {fact}", REPEAT)


def _fact(message: object) -> str:
    """dbt's message as one line, without the names of its own macros around it."""
    text = " ".join(str(message or "").split())
    text = re.sub(r"^(Compilation|Database) Error( in operation \S+ \(\S+\))?:? ?", "", text)
    return re.split(r" > in macro | compiled code at ", text)[0].strip()


def _kind(result: Any) -> str:
    return str(getattr(result.node, "resource_type", ""))


def _summary(results: list[Any], seconds: float) -> BuildSummary:
    models = [result for result in results if _kind(result) in ("model", "seed")]
    return BuildSummary(
        n_models=len(models),
        n_tests=sum(_kind(result) in TESTS for result in results),
        warnings=tuple(str(result.node.name) for result in results if str(result.status) == "warn"),
        seconds=seconds,
        model_seconds={str(result.node.name): float(result.execution_time) for result in models},
    )
