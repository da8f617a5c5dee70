"""A PostgreSQL server of the tests' own: Debian's binaries, a fresh folder, a free port of loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import psycopg

OWNER, SECRET = "propensity", "s3cret"


def find_binaries() -> Path | None:
    """Return the folder of the newest server that Debian has installed."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return max((path.parent for path in found), key=lambda path: float(path.parent.name), default=None)


class Server:
    """A server, from `start` to `stop`; `restart` ends all sessions and keeps the port.

    PostgreSQL refuses to run as root; then it runs as the user that Debian makes for it.
    """

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder, self._binaries = folder, binaries
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            self._user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[str] | None = None

    def initialise(self) -> None:
        command = [self._binaries / "initdb", "-D", self._data, "-U", OWNER, "--auth=trust", "--no-sync"]
        command += ["--encoding=UTF8", "--locale=C"]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, **self._user)
        rules = self._data / "pg_hba.conf"
        known = "host all guarded 127.0.0.1/32 scram-sha-256\n"
        rules.write_text(known + rules.read_text(encoding="utf-8"), encoding="utf-8")

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": "20",
        }
        command = [self._binaries / "postgres", "-D", self._data, "-p", str(self.port)]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            command, cwd=self.folder, stderr=subprocess.PIPE, text=True, **self._user
        )
        assert self._process.stderr is not None
        told = []
        for line in self._process.stderr:
            told.append(line)
            if "ready to accept connections" in line:
                return
        raise AssertionError("".join(told))

    def stop(self) -> None:
        """End all sessions and the server at once, as a restart of the machine does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.communicate()
        self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def url(self, database: str, *, user: str = OWNER) -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def make_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as session:
            session.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            session.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    @property
    def _data(self) -> Path:
        return self.folder / "data"


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as session:
        for statement in statements:
            session.execute(statement)


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as session:
        return session.execute(query).fetchall()


def fill_table(url: str, name: str, text: str, columns: dict[str, str]) -> None:
    """Make a table and copy CSV text with a header into it."""
    listed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
    with psycopg.connect(url) as session:
        session.execute(f"CREATE TABLE {name} ({listed})")
        with session.cursor().copy(f"COPY {name} FROM STDIN (FORMAT csv, HEADER)") as copy:
            copy.write(text)
