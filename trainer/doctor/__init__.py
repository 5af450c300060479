"""Is this installation well? Each check is a question to the database; its answer, a line with a remedy."""

from trainer.database import Address, DriverError, connect, refusal
from trainer.doctor import data, installation, serving
from trainer.doctor.data import OUTCOME_REMEDIES, funnel
from trainer.doctor.finding import FAIL, OK, WARN, Check, Finding
from trainer.errors import DatabaseError

__all__ = ["FAIL", "OK", "OUTCOME_REMEDIES", "WARN", "Finding", "examine", "funnel"]

CHECKS: tuple[Check, ...] = (
    installation.server,
    installation.extension,
    installation.migrations,
    installation.roles,
    installation.row_level_security,
    data.marts,
    data.freshness,
    data.newest_decision,
    data.band,
    data.losses,
    serving.version,
    installation.indexes,
    serving.storage,
    serving.free_space,
)


def examine(where: Address) -> list[Finding]:
    """Every check in order; without a connection there is only that one finding.

    A check that the database refuses to answer (no right, something half made) is a finding too.
    """
    try:
        with connect(where, autocommit=True) as connection:
            found = [Finding("connection", OK, str(where))]
            for check in CHECKS:
                try:
                    found.extend(check(connection))
                except DriverError as error:
                    stated = refusal(error)
                    name = check.__name__.replace("_", " ")
                    found.append(
                        Finding(name, FAIL, stated.fact, "grant the role what it asks for, or migrate")
                    )
            return found
    except DatabaseError as error:
        return [Finding("connection", FAIL, error.fact, error.remedy)]
