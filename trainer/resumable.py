"""Resumable upload as Supabase Storage speaks it (TUS 1.0.0), over the storage client's own HTTP session.

The protocol: POST creates an upload and answers its address; HEAD on it says how much has arrived; PATCH
sends the next piece. Nothing is sent twice after a broken connection.
"""

import base64

import httpx
from storage3.exceptions import StorageApiError

# Supabase takes pieces of exactly this size (the last may be shorter); larger files are not sent in one go.
CHUNK_BYTES = 6 * 1024 * 1024
PROTOCOL = {"Tus-Resumable": "1.0.0"}


def create(
    session: httpx.Client, endpoint: str, headers: dict[str, str], size: int, metadata: dict[str, str]
) -> str:
    """Announce `size` bytes; the address to send them to. `metadata` names bucket, object and type."""
    described = ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in metadata.items())
    answer = session.post(
        endpoint, headers={**headers, **PROTOCOL, "Upload-Length": str(size), "Upload-Metadata": described}
    )
    _accept(answer)
    # the host in `location` is the one the service believes to have, which behind a proxy is not ours
    return f"{endpoint}/{answer.headers['location'].rsplit('/', 1)[-1]}"


def send_next(session: httpx.Client, location: str, headers: dict[str, str], content: bytes) -> int:
    """Ask how much has arrived, send the piece after it; how much has arrived then."""
    asked = session.head(location, headers={**headers, **PROTOCOL})
    _accept(asked)
    offset = int(asked.headers["upload-offset"])
    if offset >= len(content):
        return offset
    answer = session.patch(
        location,
        content=content[offset : offset + CHUNK_BYTES],
        headers={
            **headers,
            **PROTOCOL,
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
        },
    )
    _accept(answer)
    return int(answer.headers["upload-offset"])


def _accept(answer: httpx.Response) -> None:
    if not answer.is_error:
        return
    if answer.headers.get("content-type", "").startswith("application/json"):  # the gate before the protocol
        said = answer.json()
        raise StorageApiError(said["message"], said["error"], said["statusCode"])
    raise StorageApiError(answer.text.strip()[:300], "TusError", answer.status_code)
