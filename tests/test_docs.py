"""The README knows every command, option, variable and dial; its Japanese twin has the same headings."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from trainer.cli import trainer
from trainer.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[1]
# Said once for all commands: --help, and the address, which every command takes.
COMMON = {"--help", "-h"}


def readme(name: str = "README.md") -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def levels(text: str) -> list[int]:
    """The level of each heading in order, code blocks left out."""
    without_code = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [len(marks) for marks in re.findall(r"^(#{1,6}) ", without_code, flags=re.MULTILINE)]


def walk(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """(words, command) of every command that does something."""
    if isinstance(command, click.Group):
        for part, inner in command.commands.items():
            yield from walk(inner, f"{name} {part}".strip())
    else:
        yield name, command


@pytest.mark.parametrize("name", [name for name, _ in walk(trainer)])
def test_every_command(name: str) -> None:
    *group, last = name.split()
    said = readme()
    # `db start|stop|status` names three
    named = rf"(?:trainer |`){' '.join([*group, ''])}(?:[\w|]*\|)?{last}\b"
    assert re.search(named, said), f"README.md lacks `{name}`"


def test_every_option() -> None:
    said = readme()
    options = {
        option
        for command in [trainer, *(command for _, command in walk(trainer))]
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }
    assert sorted(option for option in options - COMMON if option not in said) == []


def test_every_variable() -> None:
    said = readme()
    names = {name.upper() for name in Settings.model_fields}
    for path in [*(REPOSITORY / "trainer").rglob("*.py"), REPOSITORY / "tests" / "conftest.py"]:
        names |= set(re.findall(r"[\"'](MARTELLO_[A-Z_]+[A-Z])[\"']", path.read_text(encoding="utf-8")))
    names |= set(re.findall(r"env_var\('([A-Z_]+)'", readme("profiles.yml")))
    assert sorted(name for name in names if name not in said) == []


def test_every_dial_of_the_marts() -> None:
    said = readme()
    dials = yaml.safe_load(readme("dbt_project/dbt_project.yml"))["vars"]
    assert sorted(name for name in dials if f"`{name}`" not in said) == []


def test_the_japanese_twin_has_the_same_headings() -> None:
    assert levels(readme("README.ja.md")) == levels(readme())
