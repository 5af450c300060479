"""The workflows: commands that exist, few rights, no secret where it could be read, runs that take turns."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from trainer.cli import trainer

WORKFLOWS = Path(__file__).resolve().parents[1] / ".github" / "workflows"
NAMES = sorted(path.name for path in WORKFLOWS.glob("*.yml"))
SECRETS = {"PROD_DATABASE_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "MARTELLO_NOTIFY_URLS"}
CRON = re.compile(r"^(\d{1,2}) (\*|[\d,-]+) \* \* (\*|[0-6])$")


def text(name: str) -> str:
    return (WORKFLOWS / name).read_text(encoding="utf-8")


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text(name))
    found["on"] = found.pop(True)  # YAML 1.1 takes the word `on` for a truth value
    return found


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in read(name)["jobs"].values() for step in job["steps"]]


def commands(name: str) -> Iterator[list[str]]:
    """The words of each `python -m trainer` and `dbt` call; shell variables stay as they are written."""
    for step in steps(name):
        for line in step.get("run", "").splitlines():
            if found := re.search(r"(python -m trainer|dbt)\b(.*)", line):
                yield shlex.split(re.split(r">>|\|\|", found[0])[0])


def test_they_are_there() -> None:
    assert {"ci.yml", "train.yml", "sync.yml"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_rights_are_few_and_runs_take_turns(name: str) -> None:
    found = read(name)
    assert found["permissions"] == {"contents": "read"}
    assert "group" in found["concurrency"]
    for job in found["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 360
    for step in steps(name):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
            assert re.search(rf"{step['uses']} # v\d+\.\d+\.\d+$", text(name), re.MULTILINE)
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("name", ["train.yml", "sync.yml"])
def test_what_publishes_is_never_cut_off(name: str) -> None:
    assert read(name)["concurrency"]["cancel-in-progress"] is False


@pytest.mark.parametrize("name", NAMES)
def test_secrets_stay_in_the_environment(name: str) -> None:
    assert set(re.findall(r"secrets\.(\w+)", text(name))) <= SECRETS
    for step in steps(name):
        script = step.get("run", "")
        assert "${{" not in script, "an input pasted into a script is a script"
        assert not re.search(r"echo|printenv|set -x|\benv\b", script)
        for secret in ("DATABASE_URL", "SERVICE_ROLE_KEY", "NOTIFY_URLS", "SECRET"):
            assert secret not in script
        assert "--with-password" not in script


@pytest.mark.parametrize("name", ["train.yml", "sync.yml"])
def test_the_seed_documents_secrets_are_used(name: str) -> None:
    (job,) = read(name)["jobs"].values()
    for variable, secret in {"DATABASE_URL": "PROD_DATABASE_URL", "SUPABASE_URL": "SUPABASE_URL"}.items():
        assert job["env"][variable] == f"${{{{ secrets.{secret} }}}}"
    assert "pooler" in text(name)


@pytest.mark.parametrize("name", ["train.yml", "sync.yml"])
def test_the_zone_of_every_time_is_said(name: str) -> None:
    lines = text(name).splitlines()
    crons = [entry["cron"] for entry in read(name)["on"]["schedule"]]
    assert crons
    for cron in crons:
        assert CRON.match(cron)
        place = next(k for k, line in enumerate(lines) if f'cron: "{cron}"' in line)
        before = lines[max(0, place - 3) : place]
        assert any(line.strip().startswith("#") and "UTC" in line for line in before)


def test_the_week_begins_when_the_seed_documents_say() -> None:
    assert read("train.yml")["on"]["schedule"] == [{"cron": "0 4 * * 0"}]
    assert "workflow_dispatch" in read("train.yml")["on"]


def test_every_hour_of_the_sync_is_one_of_the_two_kinds() -> None:
    hours: list[int] = []
    for entry in read("sync.yml")["on"]["schedule"]:
        for part in entry["cron"].split()[1].split(","):
            first, _, last = part.partition("-")
            hours += range(int(first), int(last or first) + 1)
        assert f"github.event.schedule == '{entry['cron']}'" in text("sync.yml")
    assert sorted(hours) == list(range(24))


@pytest.mark.parametrize("name", ["train.yml", "sync.yml"])
def test_commands_and_options_exist(name: str) -> None:
    found = list(commands(name))
    assert any(words[0] == "dbt" for words in found)
    for words in found:
        if words[0] == "dbt":
            assert words[:4] == ["dbt", "build", "--project-dir", "dbt_project"]
            continue
        command: click.Command = trainer
        rest = words[3:]
        while rest and isinstance(command, click.Group) and not rest[0].startswith(("-", "$")):
            assert rest[0] in command.commands, f"there is no command {' '.join(words)}"
            command, rest = command.commands[rest[0]], rest[1:]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known


def test_options_of_a_run_by_hand_exist() -> None:
    script = next(step["run"] for step in steps("train.yml") if step.get("id") == "train")
    known = {option for parameter in trainer.params for option in parameter.opts}
    assert set(re.findall(r"\+=\((--[a-z-]+)", script)) <= known


def test_order_of_a_weekly_run() -> None:
    words = [" ".join(words) for words in commands("train.yml")]
    wanted = [
        "python -m trainer db migrate",
        "dbt build --project-dir dbt_project",
        "python -m trainer ${options[@]}",
    ]
    assert [line for line in words if line in wanted] == wanted
    assert words.index(wanted[2]) < words.index("python -m trainer report --markdown")
