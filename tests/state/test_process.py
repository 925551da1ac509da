"""Values of one process."""

from __future__ import annotations

import os

from router.state.process import PerProcess


def test_a_child_has_its_own() -> None:
    """The process that made it sees its value; a child one that is made from it, once, and so on for its children."""
    mine = PerProcess([1], lambda parent: [*parent, 2])
    assert mine.get() == [1]
    child = os.fork()
    if child == 0:
        fine = mine.get() == [1, 2] and mine.get() is mine.get()
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(0 if mine.get() == [1, 2, 2] else 1)
        os._exit(0 if fine and os.waitpid(grandchild, 0)[1] == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mine.get() == [1]
