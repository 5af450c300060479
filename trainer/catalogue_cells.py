"""The cells of a videos file as the types their columns have; what cannot be read says so."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

LIST_COLUMNS = ("tags", "performers")
MAX_INTEGER = 2**31 - 1  # Postgres integer, the type of duration_seconds
MAX_PRICE = 10**12  # in any currency; what is above it is an id in the wrong column


def typed_cell(name: str, text: str | None) -> object:
    """A cell as its column wants it; empty is null. Raises ValueError with the reason."""
    text = (text or "").strip()
    if name in LIST_COLUMNS:
        parts = text.split("|" if "|" in text else ",")
        return list(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not text:
        if name in ("external_id", "title"):
            raise ValueError(f"{name} is empty")
        return None
    parse = PARSERS.get(name)
    try:
        return parse(text) if parse else text
    except (ValueError, ArithmeticError):
        raise ValueError(f"{name} cannot be read: {text[:100]!r}") from None


def _price(text: str) -> Decimal:
    price = Decimal(text)
    if not 0 <= price < MAX_PRICE:
        raise ValueError
    return price


def _seconds(text: str) -> int:
    seconds = Decimal(text)  # pandas writes whole numbers as 5400.0 where some are missing
    if seconds != int(seconds) or not 0 <= seconds <= MAX_INTEGER:
        raise ValueError
    return int(seconds)


def _moment(text: str) -> datetime:
    """ISO 8601, also with slashes, also a year or a month alone (then its first day); no zone means UTC."""
    text = text.replace("/", "-")
    moment = datetime.fromisoformat(
        text + "-01-01"[-3 * (3 - len(text.split("-"))) :] if len(text) < 8 else text
    )
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


PARSERS: dict[str, Callable[[str], object]] = {
    "id": UUID,
    "price": _price,
    "duration_seconds": _seconds,
    "released_on": _moment,
}
