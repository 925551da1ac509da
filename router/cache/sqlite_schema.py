"""The schema of a cache's file, with what each write does.

A write inserts one row into a view; the view's trigger does the rest. So it is one statement to SQLite: nobody holds
the file while a thread waits for Python's lock, which may take longer than the whole write. Only where many writes are
queued do they share a transaction, which is kept short (`router.state.sqlite_thread`).
"""

from __future__ import annotations

from typing import Final

from router.state.sqlite_file import FileKind

VERSION: Final = 1
"""Counts every change of what stands below."""

APPLICATION: Final = 0x6C_6F_77_66
"""Tells our files from other programs' (`PRAGMA application_id`): "lowf"."""

SCHEMA: Final = """
-- The newest has the highest id. What is long stands last, so that the rest is read without it.
CREATE TABLE answers (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, expires REAL NOT NULL, size INTEGER NOT NULL,
  checksum INTEGER NOT NULL, label BLOB NOT NULL CHECK (typeof(label) = 'blob'),
  value BLOB NOT NULL CHECK (typeof(value) = 'blob')
);
CREATE INDEX by_expiry ON answers (expires);

CREATE TABLE total (bytes INTEGER NOT NULL);
INSERT INTO total VALUES (0);
CREATE TRIGGER came AFTER INSERT ON answers BEGIN UPDATE total SET bytes = bytes + NEW.size; END;
CREATE TRIGGER went AFTER DELETE ON answers BEGIN UPDATE total SET bytes = bytes - OLD.size; END;

-- `count` is of the pieces so far; `first` is the number of the first one of those packed together.
CREATE TABLE leases (key TEXT PRIMARY KEY, holder TEXT NOT NULL, expires REAL NOT NULL, count INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE INDEX by_lapse ON leases (expires);
CREATE TABLE pieces (key TEXT NOT NULL, first INTEGER NOT NULL, packed BLOB NOT NULL, PRIMARY KEY (key, first))
  WITHOUT ROWID;
CREATE TRIGGER ended AFTER DELETE ON leases BEGIN DELETE FROM pieces WHERE key = OLD.key; END;

-- What is inserted into these views is done by their triggers.
CREATE VIEW puts AS SELECT key, expires, size, checksum, label, value, '' AS holder, 0.0 AS now FROM answers;
CREATE TRIGGER put INSTEAD OF INSERT ON puts BEGIN
  DELETE FROM answers WHERE key = NEW.key;
  INSERT INTO answers (key, expires, size, checksum, label, value)
    VALUES (NEW.key, NEW.expires, NEW.size, NEW.checksum, NEW.label, NEW.value);
  DELETE FROM leases WHERE key = NEW.key AND holder = NEW.holder;
  -- Each put takes out two that lapsed, so that they never pile up.
  DELETE FROM answers WHERE id IN (SELECT id FROM answers WHERE expires <= NEW.now ORDER BY expires LIMIT 2);
END;

CREATE VIEW joins AS SELECT key, holder, expires, 0.0 AS now FROM leases;
CREATE TRIGGER joined INSTEAD OF INSERT ON joins BEGIN
  DELETE FROM leases WHERE expires <= NEW.now;
  INSERT INTO leases VALUES (NEW.key, NEW.holder, NEW.expires, 0)
    ON CONFLICT (key) DO UPDATE SET expires = excluded.expires WHERE holder = excluded.holder;
END;

CREATE VIEW renewals AS SELECT key, holder, expires, count, x'' AS packed, 0.0 AS now FROM leases;
CREATE TRIGGER renewed INSTEAD OF INSERT ON renewals BEGIN
  INSERT INTO pieces SELECT key, count, NEW.packed FROM leases
    WHERE key = NEW.key AND holder = NEW.holder AND expires > NEW.now AND NEW.count > 0;
  UPDATE leases SET expires = NEW.expires, count = count + NEW.count
    WHERE key = NEW.key AND holder = NEW.holder AND expires > NEW.now;
END;
"""

CACHE_FILE: Final = FileKind(
    table="cache",
    application=APPLICATION,
    version=VERSION,
    schema=SCHEMA,
    # A power cut may garble the file, and then a checksum tells.
    synchronous="OFF",
    loss="the cache starts empty",
)
