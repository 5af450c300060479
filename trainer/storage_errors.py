"""What Supabase Storage's answers mean: which are worth a second try, and which remedy the others have.

An answer's HTTP status is often 400 while its body says 404, 409 or 413, so only the body's status counts. A
wrong key can look like a missing bucket. Both were seen on the real server.
"""

import base64
import json

import httpx
from storage3.exceptions import StorageApiError

from trainer.errors import StorageError

PASSING = frozenset({408, 423, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 544})
KEY_REMEDY = "put the project's secret key (sb_secret_…) into SUPABASE_SECRET_KEY"


def status_of(error: BaseException) -> int:
    """The status an answer means; 0 when there was no answer."""
    if not isinstance(error, StorageApiError):
        return 0
    text = str(error.status)
    return int(text) if text.isdigit() else 0


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed a moment later: too many, a server fault, a broken line."""
    return isinstance(error, httpx.TransportError) or status_of(error) in PASSING


def is_missing_object(error: StorageApiError) -> bool:
    """Whether the bucket is there and the object is not."""
    return status_of(error) == 404 and "bucket" not in f"{error.code} {error.message}".lower()


def misplaced_key(key: str) -> str | None:
    """What kind of key this is when it is one that may not write; None when it may."""
    if key.startswith("sb_publishable_"):
        return "the publishable key"
    try:
        payload = key.split(".")[1]
        role = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get("role")
    except (IndexError, ValueError, AttributeError):
        return None  # not a JWT: the new secret keys are not
    return None if role == "service_role" else f"a key of role {role}"


# A word of the answer, or its status -> what to do; the first that fits. {bucket} is filled in.
REMEDIES: tuple[tuple[tuple[int, ...], tuple[str, ...], str], ...] = (
    (
        (),
        ("bucket not found", "nosuchbucket"),
        "create a private bucket named {bucket} (Storage, New bucket); if it exists, this key cannot see it: "
        + KEY_REMEDY,
    ),
    ((402,), ("quota", "spend cap"), "the project's quota is used up: free space, or raise the plan's limit"),
    (
        (413,),
        ("maximum allowed size",),
        "raise the file size limit of bucket {bucket} (Storage settings) to 50 MB or more",
    ),
    ((415,), ("mime",), "let bucket {bucket} take application/octet-stream and application/json"),
    ((401, 403), ("jws", "jwt", "signature", "unauthorized"), f"the key is refused: {KEY_REMEDY}"),
    (tuple(PASSING), (), "run the command again later: what has arrived is not sent twice"),
)


def stated(
    error: StorageApiError | httpx.TransportError, doing: str, place: str, bucket: str
) -> StorageError:
    """The failure in one line: what was being done where, what was answered, what to do."""
    if isinstance(error, httpx.TimeoutException):
        return StorageError(
            f"{place} did not answer in time while {doing}",
            "check SUPABASE_URL and the network, then run the command again: what arrived is not sent twice",
        )
    if isinstance(error, httpx.TransportError):
        fact = f"{place} cannot be reached while {doing}: {error or type(error).__name__}"
        return StorageError(fact, "check SUPABASE_URL and the network")
    status, words = status_of(error), f"{error.code} {error.message}".lower()
    remedy = next(
        (
            remedy.format(bucket=bucket)
            for statuses, hints, remedy in REMEDIES
            if status in statuses or any(hint in words for hint in hints)
        ),
        "",
    )
    return StorageError(f"{place} answered {status} {error.message!r} while {doing}", remedy)
