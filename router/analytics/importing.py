"""Logs that others wrote, written as a log of ours: row by row, each exactly once.

The trace id of a record is made of the digest of the file and the number of its row. So what was imported before is
known again, and a second import of the same file is refused instead of counting everything twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Final

import orjson

from router.analytics.imported import Imported, record_of
from router.analytics.places import store_of
from router.analytics.report_prices import Prices
from router.analytics.store import read_state
from router.errors import ConfigError

FAULTS_KEPT: Final = 20
"""Faults that are told one by one; beyond, they are counted."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that could not be read.

    Attributes:
        reason: what was found and what is allowed; nothing of a prompt.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Read:
    """A row of a file, as its format's importer read it; None is a row that is no request, such as a blank line.

    Attributes:
        number: of the line, or of the row where there are no lines; from 1.
        size: bytes of the file up to its end, or about so many.
    """

    number: int
    found: Imported | Fault | None
    size: int


Importer = Callable[[Path], Iterator[Read]]
"""Reads a file of one format."""


@dataclass(slots=True, kw_only=True)
class Done:
    """What an import did.

    Attributes:
        faults: the first rows that could not be read, by number.
        refused: how many there were.
        unpriced: records whose cost nobody knows.
    """

    path: Path
    records: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)
    refused: int = 0
    unpriced: int = 0


def import_log(
    file: Path,
    into: Path,
    /,
    *,
    source: str,
    importer: Importer,
    prices: Prices,
    progress: Callable[[int, int], None] | None = None,
) -> Done:
    """Imports a file.

    Args:
        file: of another program.
        into: the folder of a log, or a file `*.jsonl` that does not exist yet.
        source: name of the format, which stands in each record.
        importer: reads it.
        progress: is told how many bytes are done, and how many there are.

    Raises:
        ConfigError: it was imported into this log before, or the log's file exists.
        OSError: something cannot be read or written.
    """
    with file.open("rb") as opened:
        digest = file_digest(opened, lambda: blake2b(digest_size=16)).digest()
    name = f"import-{source}-{digest.hex()[:16]}.jsonl"
    target = into if into.suffix == ".jsonl" else into / name
    _refuse_again(file, into, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}-{os.getpid()}.part")
    done, whole = Done(path=target), file.stat().st_size
    try:
        _write(draft, importer(file), digest, source, prices, done, progress and (lambda size: progress(size, whole)))
        if done.records:  # else the file may be tried again, by another format
            os.link(draft, target)
    except FileExistsError:
        raise ConfigError(f"{target}: somebody else imported {file} meanwhile") from None
    finally:
        draft.unlink(missing_ok=True)
    return done


def _write(
    draft: Path,
    rows: Iterator[Read],
    digest: bytes,
    source: str,
    prices: Prices,
    done: Done,
    progress: Callable[[int], None] | None,
) -> None:
    with draft.open("xb") as out:
        for row in rows:
            match row.found:
                case Imported() as found:
                    record = record_of(found, source, _trace_id(digest, row.number), prices)
                    out.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
                    done.records += 1
                    done.unpriced += record["cost_usd"] is None
                case Fault(reason):
                    done.refused += 1
                    if len(done.faults) < FAULTS_KEPT:
                        done.faults.append((row.number, reason))
                case None:
                    pass
            if progress is not None and row.number % 1000 == 0:
                progress(row.size)
        out.flush()
        os.fsync(out.fileno())


def _trace_id(digest: bytes, number: int) -> str:
    return blake2b(digest + number.to_bytes(8, "big"), digest_size=16).hexdigest()


def _refuse_again(file: Path, into: Path, target: Path) -> None:
    """Refuses what the log has already, as JSONL, or compacted, when the JSONL may be gone."""
    if into.suffix == ".jsonl":
        if into.exists():
            raise ConfigError(f"{into}: exists already; name another file, or a folder, with --into")
    elif target.exists():
        raise ConfigError(f"{file} was imported before, into {target}; to import it anew, remove that file")
    elif any(source.name == target.name for source in read_state(store_of(into)).marks):
        raise ConfigError(f"{file} was imported into {into} before, and compacted there")
