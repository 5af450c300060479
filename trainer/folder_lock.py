"""One start or stop at a time per data directory, whoever asks and from whichever process."""

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from trainer.errors import ServerError

# seconds; longer than initdb and a recovery, so that a second start waits and finds the first one's server
LOCK_TIMEOUT_S = 180


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Waits until nobody else starts or stops the server of this data directory; released even by a crash.

    Raises ServerError when the folder cannot be written, or another one does not end.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        handle = folder.with_name(folder.name + ".lock").open("w")
    except OSError as error:
        raise ServerError(
            f"{folder.parent} cannot be written: {error.strerror}", "start it in a folder of yours"
        ) from None
    with handle:
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while not _locked(handle.fileno()):
            if time.monotonic() > deadline:
                raise ServerError(
                    f"another start or stop in {folder.parent} takes longer than {LOCK_TIMEOUT_S} s",
                    "end that process and try again",
                )
            time.sleep(0.2)
        yield


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
