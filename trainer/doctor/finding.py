"""One line of the doctor's answer."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from trainer.database import Connection

OK, WARN, FAIL = "ok", "warn", "fail"
MIGRATE = "run `python -m trainer db migrate`"


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is (ok, warn, fail), what to do about it."""

    check: str
    status: str
    fact: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.status:4}  {self.check}: {self.fact}{f' -> {self.remedy}' if self.remedy else ''}"


Check = Callable[[Connection], Iterator[Finding]]


def judged(check: str, is_well: bool, fact: str, remedy: str, worst: str = WARN) -> Finding:
    """ok without a remedy, or `worst` with it."""
    return Finding(check, OK, fact) if is_well else Finding(check, worst, fact, remedy)


def value(connection: Connection, query: str, *parameters: object) -> int:
    """The one value of a query that returns one row."""
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None  # every query here returns one row
    return row[0]  # type: ignore[no-any-return]  # a scalar whose type the query decides
