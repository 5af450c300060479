"""Lines to CSV records one by one, where a quote may hold a line break, stay open, or be out of place."""

import csv
from collections.abc import Iterator

from trainer.input_file import MAX_LINE_BYTES

UNCLOSED_QUOTE = "a quote that is never closed"
CARRIAGE_RETURN = "a carriage return inside the line"


def csv_records(lines: list[str], is_last: bool) -> Iterator[tuple[int, list[str], str | None]]:
    """(place after the record, its fields, why it cannot be read) of each record that ends in these lines."""
    place = 0
    while place < len(lines):
        feed = _Feed(lines[place:])
        reader = csv.reader(feed)
        begin = place
        try:
            for record in reader:
                end = begin + reader.line_num
                is_long = sum(map(len, lines[place:end])) > MAX_LINE_BYTES if end > place + 1 else False
                if feed.is_exhausted and not is_last and not is_long:
                    return  # goes on in the next block
                if feed.is_exhausted or is_long:
                    place += 1
                    yield place, [], UNCLOSED_QUOTE
                    break
                place = end
                yield place, record, None
        except csv.Error:
            place = begin + reader.line_num
            yield place, [], CARRIAGE_RETURN


class _Feed:
    """Lines one by one; knows when the csv module asked for more than there are: then its record is open."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = iter(lines)
        self.is_exhausted = False

    def __iter__(self) -> Iterator[str]:
        yield from self.lines
        self.is_exhausted = True
