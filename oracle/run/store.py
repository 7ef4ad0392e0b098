"""Store what is finished of a run in one SQLite file, as it comes, so that an interruption loses nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis.database import DirectoryBasedExampleDatabase

from oracle.cases import Subject
from oracle.results import Trial
from oracle.trial.trial import Outcome

NAME = "run.sqlite"


class StoreError(Exception):
    """A store that cannot be used. The message is one line for the user."""


class Store:
    """The outcomes of one run in a directory.

    The file stays locked while it is open, so that a second run into the same directory is refused. A run is identified by
    its ``options``. With ``resume`` the outcomes of the same run are kept, and those of another run are refused.
    """

    def __init__(self, directory: Path, options: dict[str, Any], resume: bool) -> None:
        self.path = directory / NAME
        self._failed = DirectoryBasedExampleDatabase(directory / "failed")
        with self._clearly():
            self._connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        try:
            with self._clearly():
                self._open(options, resume)
        except StoreError:
            self.close()  # a refused store must not keep its file
            raise

    def _open(self, options: dict[str, Any], resume: bool) -> None:
        """Lock the file, and keep the outcomes of the same run or begin a new one."""
        execute = self._connection.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute("BEGIN EXCLUSIVE")
        execute("CREATE TABLE IF NOT EXISTS run (options TEXT NOT NULL, seconds REAL NOT NULL)")
        execute(
            "CREATE TABLE IF NOT EXISTS outcomes (target TEXT, layer TEXT, dtype TEXT, trial TEXT NOT NULL,"
            " failed TEXT NOT NULL, PRIMARY KEY (target, layer, dtype))"
        )
        row = execute("SELECT options FROM run").fetchone()
        if resume and row is not None:
            _refuse_another_run(self.path, json.loads(row[0]), json.loads(json.dumps(options)))
        else:
            execute("DELETE FROM run")
            execute("DELETE FROM outcomes")
            execute("INSERT INTO run VALUES (?, 0)", (json.dumps(options),))
        execute("COMMIT")

    def add(self, outcome: Outcome, seconds: float) -> None:
        """Store an outcome, and the seconds that this part of the run has taken. Once this returns, it is safe."""
        trial = outcome.trial
        failed = json.dumps([value.hex() for value in outcome.failed])
        with self._clearly():
            self._connection.execute("BEGIN")
            self._connection.execute(
                "INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?)",
                (*trial.subject, trial.model_dump_json(), failed),
            )
            self._connection.execute("UPDATE run SET seconds = seconds + ?", (seconds,))
            self._connection.execute("COMMIT")

    def trials(self) -> dict[Subject, Trial]:
        """Return the trials that are finished."""
        with self._clearly():
            rows = self._connection.execute("SELECT target, layer, dtype, trial FROM outcomes").fetchall()
        return {Subject(*subject): Trial.model_validate_json(text) for *subject, text in rows}

    def seconds(self) -> float:
        """Return how long the run has taken, without its interruptions."""
        with self._clearly():
            return float(self._connection.execute("SELECT seconds FROM run").fetchone()[0])

    def known(self, subject: Subject) -> tuple[bytes, ...]:
        """Return what failed in earlier runs into this directory."""
        return tuple(sorted(self._failed.fetch("/".join(subject).encode())))

    def complete(self) -> None:
        """End the run: what failed in it is tried first in the next run, instead of what failed before."""
        with self._clearly():
            rows = self._connection.execute("SELECT target, layer, dtype, failed FROM outcomes").fetchall()
            for target, layer, dtype, failed in rows:
                name = f"{target}/{layer}/{dtype}".encode()
                now = {bytes.fromhex(text) for text in json.loads(failed)}
                for value in set(self._failed.fetch(name)) - now:
                    self._failed.delete(name, value)
                for value in now:
                    self._failed.save(name, value)

    def close(self) -> None:
        """Close the file, which ends its lock."""
        self._connection.close()

    @contextmanager
    def _clearly(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if "locked" in str(error):
                raise StoreError(f"{self.path} is in use by another run; choose another directory with --out") from None
            raise StoreError(f"{self.path} cannot be used: {error}") from None
        except OSError as error:
            raise StoreError(f"{error.filename} cannot be written: {error.strerror}") from None


def _refuse_another_run(path: Path, stored: dict[str, Any], options: dict[str, Any]) -> None:
    for name in dict.fromkeys((*stored, *options)):
        if stored.get(name) != options.get(name):
            was, now = (json.dumps(o.get(name)) for o in (stored, options))
            raise StoreError(f"{path} holds another run: its {name} was {was} and is now {now}; leave out --resume")
