"""Supabase Storage as a place for artifacts: retries, resumable uploads, read-back, errors with a remedy.

The storage client itself has none of these: it does not retry, sends everything in one request, and reports a
missing bucket, a refused key and a server fault with one exception whose HTTP status is mostly 400.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
from storage3.exceptions import StorageApiError
from supabase import Client, ClientOptions, create_client
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from trainer import resumable
from trainer.errors import StorageError
from trainer.settings import Settings
from trainer.storage_errors import KEY_REMEDY, is_missing_object, is_passing, misplaced_key, stated, status_of
from trainer.store import other_bytes, sha256

T = TypeVar("T")

# With waits of about 1, 2, 4 and 8 s between them: a restart of the Storage service is over by then.
ATTEMPTS = 5
# Seconds without a byte from the other side. A 6-MiB piece on a 1-Mbit/s line needs 50.
TIMEOUT_S = 60.0
# `cache-control` takes seconds only: versioned keys never change, pointers and `latest` copies do.
YEAR_S, NOW_S = "31536000", "0"
PAGE = 1000


class SupabaseStorage:
    """One bucket. Every upload is verified by reading it back; what is there already is not sent again."""

    def __init__(
        self, client: Client, bucket: str, *, attempts: int = ATTEMPTS, first_wait_s: float = 1.0
    ) -> None:
        """Look for the bucket: a missing one, or a key that may not see it, is found out here."""
        self.client, self.bucket = client, bucket
        self._attempts, self._first_wait_s = attempts, first_wait_s
        self.limit_bytes: int | None = self._call(f"looking for bucket {bucket}", self._bucket_limit)

    def __str__(self) -> str:
        return f"bucket {self.bucket} at {str(self.client.supabase_url).rstrip('/')}"

    def read(self, key: str) -> bytes | None:
        """The whole object, or None where there is none."""

        def download() -> bytes | None:
            try:
                content: bytes = self._files().download(key)
                return content
            except StorageApiError as error:
                if is_missing_object(error):
                    return None
                raise

        return self._call(f"reading {key}", download)

    def write_once(self, key: str, source: Path) -> bool:
        """Upload a file under a key that is never overwritten."""
        content, there = source.read_bytes(), self.read(key)
        if there is None:
            self._upload(key, content, replace=False)
            return True
        if there != content:
            raise other_bytes(key, self)
        return False

    def replace(self, key: str, content: bytes) -> bool:
        """Put an object in the place of whatever was there."""
        if self.read(key) == content:
            return False
        self._upload(key, content, replace=True)
        return True

    def keys(self, folder: str) -> list[str]:
        """Every key under a folder, at any depth, sorted."""
        found: list[str] = []
        for entry in self._entries(folder):
            key = f"{folder}/{entry['name']}"
            found += self.keys(key) if entry.get("id") is None else [key]  # a folder has no id
        return sorted(found)

    def remove(self, keys: list[str]) -> None:
        """Delete objects; those that are not there are no error."""
        for start in range(0, len(keys), PAGE):
            some = keys[start : start + PAGE]
            self._call(f"deleting {len(some)} objects", partial(self._files().remove, some))

    def _upload(self, key: str, content: bytes, *, replace: bool) -> None:
        """Send and read back. What arrived damaged is taken away and sent once more."""
        if self.limit_bytes is not None and len(content) > self.limit_bytes:
            raise StorageError(
                f"{key} has {len(content)} bytes, {self} takes {self.limit_bytes} per file",
                f"raise the file size limit of bucket {self.bucket} (Storage settings) to 50 MB or more",
            )
        for _ in range(2):
            self._send(key, content, replace=replace)
            there = self.read(key)
            if there == content:
                return
            if not replace:  # nothing names this key yet, so no reader can meet its absence
                self.remove([key])
        raise StorageError(
            f"{self} holds {_shape(there)} under {key} after {_shape(content)} were sent",
            "run the command again; when it happens again, look at the Storage service and what is between",
        )

    def _send(self, key: str, content: bytes, *, replace: bool) -> None:
        kind = "application/json" if key.endswith(".json") else "application/octet-stream"
        options = {"content-type": kind, "cache-control": NOW_S if replace else YEAR_S}
        if len(content) > resumable.CHUNK_BYTES:
            self._send_in_pieces(key, content, kind, options["cache-control"], replace)
            return
        options["upsert"] = "true" if replace else "false"

        def send() -> None:
            try:
                self._files().upload(key, content, options)
            except StorageApiError as error:
                if status_of(error) != 409:  # an earlier try may have arrived unheard: the read-back decides
                    raise

        self._call(f"uploading {key}", send)

    def _send_in_pieces(self, key: str, content: bytes, kind: str, cache_s: str, replace: bool) -> None:
        storage = self.client.storage
        endpoint = f"{self.client.storage_url}upload/resumable"
        headers = {**self.client.options.headers, "x-upsert": "true" if replace else "false"}
        about = {"bucketName": self.bucket, "objectName": key, "contentType": kind, "cacheControl": cache_s}
        location = self._call(
            f"announcing {key}",
            lambda: resumable.create(storage.session, endpoint, headers, len(content), about),
        )
        sent = 0
        while sent < len(content):
            sent = self._call(
                f"uploading {key} from byte {sent}",
                lambda: resumable.send_next(storage.session, location, headers, content),
            )

    def _entries(self, folder: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        while True:
            options = {"limit": PAGE, "offset": len(entries)}
            page = self._call(f"listing {folder}", partial(self._files().list, folder, options))
            entries += page
            if len(page) < PAGE:
                return entries

    def _bucket_limit(self) -> int | None:
        # not get_bucket(): it insists on an owner, and a bucket made in SQL has none
        answer = self.client.storage.session.get(
            f"{self.client.storage_url}bucket/{self.bucket}", headers=self.client.options.headers
        )
        read = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else {}
        if answer.is_error:
            raise StorageApiError(
                read.get("message", answer.text[:200]),
                read.get("error", ""),
                read.get("statusCode", answer.status_code),
            )
        limit = read.get("file_size_limit")
        return None if limit is None else int(limit)

    def _files(self) -> Any:
        return self.client.storage.from_(self.bucket)

    def _call(self, doing: str, request: Callable[[], T]) -> T:
        """The request's answer, after as many tries as it takes; a stated failure when they are used up."""
        retrying = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=wait_exponential(self._first_wait_s, max=30) + wait_random(0, self._first_wait_s / 4),
            retry=retry_if_exception(is_passing),
            reraise=True,
        )
        try:
            return retrying(request)
        except (StorageApiError, httpx.TransportError) as error:
            raise stated(error, doing, str(self), self.bucket) from None


def _shape(content: bytes | None) -> str:
    return "nothing" if content is None else f"{len(content)} bytes (sha256 {sha256(content)[:12]})"


def open_storage(
    settings: Settings, *, attempts: int = ATTEMPTS, first_wait_s: float = 1.0, timeout_s: float = TIMEOUT_S
) -> SupabaseStorage | None:
    """The bucket of the settings, or None when SUPABASE_URL or the key is not set.

    Raises StorageError for a key that may not write, a missing bucket, a server that does not answer.
    """
    key = settings.supabase_key
    if not settings.supabase_url or key is None:
        return None
    wrong = misplaced_key(key.get_secret_value())
    if wrong:
        raise StorageError(f"the key for {settings.supabase_url} is {wrong}, which may not write", KEY_REMEDY)
    if not settings.supabase_url.startswith(("http://", "https://")):
        raise StorageError(
            f"SUPABASE_URL is {settings.supabase_url!r}", "write it as https://PROJECT.supabase.co"
        )
    session = httpx.Client(timeout=httpx.Timeout(timeout_s, connect=10.0), follow_redirects=True)
    options = ClientOptions(httpx_client=session, auto_refresh_token=False, persist_session=False)
    client = create_client(settings.supabase_url, key.get_secret_value(), options)
    return SupabaseStorage(client, settings.martello_bucket, attempts=attempts, first_wait_s=first_wait_s)
