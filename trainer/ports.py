"""Who listens on a port of this machine: nobody, a Postgres, or something else."""

import socket

LOOPBACK = "127.0.0.1"
PROBE_TIMEOUT_S = 3  # a Postgres answers in milliseconds; this is for a machine under full load
SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])  # protocol 1234.5679; every Postgres answers it with S or N


def listens(port: int) -> bool:
    """Whether anything accepts connections on this port of 127.0.0.1."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=PROBE_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def speaks_postgres(port: int) -> bool:
    """Whether what listens there answers like a Postgres."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=PROBE_TIMEOUT_S) as probe:
            probe.sendall(SSL_REQUEST)
            return probe.recv(1) in (b"S", b"N")
    except OSError:
        return False


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
