"""Whether a model's plan pairs rows with rows: what takes hours at a million shows at thousands."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.database import Address, connect

FEW = 100  # rows a nested loop may go through for each of as many others


def quadratic_plans(where: Address, target: Path) -> list[str]:
    """Models whose plan, on the data as it is now, pairs rows with rows in a nested loop without an index."""
    found = []
    with connect(where, autocommit=True) as connection:
        for path in sorted((target / "target" / "compiled" / "martello" / "models").rglob("*.sql")):
            statement = path.read_text(encoding="utf-8").strip()
            if not re.match(r"(--|with|select|\()", statement):
                continue
            [(plan,)] = connection.execute(f"explain (format json) {statement}".encode()).fetchall()
            if any(pairs_rows(node) for node in nodes(plan[0]["Plan"])):
                found.append(path.stem)
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def pairs_rows(node: dict[str, Any]) -> bool:
    """A nested loop that reads all of its inner side for every outer row, where both are more than a few."""
    if node["Node Type"] != "Nested Loop":
        return False
    outer, inner = node["Plans"][:2]
    is_looked_up = any("Index" in part["Node Type"] for part in nodes(inner))
    return not is_looked_up and min(outer["Plan Rows"], inner["Plan Rows"]) > FEW
