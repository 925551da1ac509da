"""The schema of a ledger's file."""

from __future__ import annotations

from typing import Final

from router.state.sqlite_file import FileKind

LEDGER_FILE: Final = FileKind(
    table="state",
    application=0x6C_6F_77_6C,  # "lowl"
    version=2,  # counts every change of the schema
    schema="""
-- No id is given twice: a claim may outlive its account.
CREATE TABLE accounts (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, limit_nano INTEGER NOT NULL, until REAL NOT NULL
);
CREATE INDEX by_end ON accounts (until);

CREATE TABLE cells (
  account INTEGER NOT NULL, bucket INTEGER NOT NULL, spent INTEGER NOT NULL, reserved INTEGER NOT NULL,
  lapsed INTEGER NOT NULL, PRIMARY KEY (account, bucket),
  CHECK (typeof(spent) = 'integer' AND typeof(reserved) = 'integer' AND typeof(lapsed) = 'integer'),
  CHECK (spent >= 0 AND reserved >= 0 AND lapsed >= 0)
) WITHOUT ROWID;
CREATE TRIGGER gone AFTER DELETE ON accounts BEGIN DELETE FROM cells WHERE account = OLD.id; END;

-- `places` is JSON: [[account, bucket], ...]. `lapses` is when the owner's time is over, `due` when it lapses or goes.
CREATE TABLE claims (
  id TEXT PRIMARY KEY, stage TEXT NOT NULL, amount INTEGER NOT NULL, lapses REAL NOT NULL, due REAL NOT NULL,
  places TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX by_due ON claims (due);

-- When the log was read that was rebuilt from last; no row where there was no rebuild.
CREATE TABLE rebuilt (at REAL NOT NULL);
""",
    # A commit waits for no disk, and is in the kernel's hands: who kills the process loses nothing. After a power cut
    # the last commits may be missing, but the file is sound; the log may lack its last records just so.
    synchronous="NORMAL",
    loss="budgets count from nothing: run `lowfare budget rebuild`",
    lasting=True,
)
