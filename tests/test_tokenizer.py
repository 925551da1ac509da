from __future__ import annotations

import os
import shutil
import signal
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import RouterWarning
from router.tokenizer import Tokenizer, bundled_vocabularies

TOKENIZER = Tokenizer()


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("hello world", 2), ("中文", 1), ("😀", 1), ("a" * 80, 10)])
def test_known_texts(text: str, tokens: int) -> None:
    """o200k_base, as tiktoken counts it."""
    assert TOKENIZER.count(text) == tokens


@given(
    st.lists(st.sampled_from(["word", "two words", "12345", "x = 1;\n", "\n\n    ", "  ", "中文", "é"]), max_size=30)
)
def test_a_long_text_is_counted_in_pieces(words: list[str]) -> None:
    """What is counted in pieces is what is counted at once, but for a token or two at each cut."""
    text = " ".join(words) * 2_000
    encoding = TOKENIZER.load()
    counted = TOKENIZER.count(text)
    assert encoding is not None
    assert counted is not None
    assert abs(counted - len(encoding.encode_ordinary(text))) <= 2 * (len(text) // 65_536 + 1)


@pytest.mark.parametrize(
    "text", [" " * 1_000_000, "a" * 200_000, "ab1-" * 100_000, "\ud800"], ids=["blanks", "letters", "ids", "half"]
)
def test_odd_texts_are_counted(text: str) -> None:
    """The library panics on a million blanks in one piece; pieces are counted."""
    assert TOKENIZER.count(text)


def test_threads_share_one_vocabulary() -> None:
    """It is loaded once, whoever comes first."""
    tokenizer = Tokenizer()
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(tokenizer.count, ["hello world"] * 32))
    assert counts == [2] * 32
    assert tokenizer.load() is tokenizer.load()


def test_a_process_forked_while_another_thread_loads_counts(tmp_path: Path) -> None:
    """The lock that the thread holds is not the child's: it loads the vocabulary itself."""
    file = tmp_path / "fb374d419588a4632f3f557e76b4b70aebbca790"
    os.mkfifo(file)
    tokenizer = Tokenizer(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(tokenizer.count, "hello world")
        with file.open("wb"):  # opens when the thread is reading, and keeps it there
            child = os.fork()
            if child == 0:
                signal.alarm(60)  # ends a child that waits for ever
                file.unlink()
                shutil.copy(bundled_vocabularies() / file.name, file)
                os._exit(0 if tokenizer.count("hello world") == 2 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert loading.result() is None


def test_loading_leaves_the_environment_as_it_was() -> None:
    """The library's cache is pointed elsewhere only while it loads."""
    before = os.environ.pop("TIKTOKEN_CACHE_DIR", None)  # litellm, where another test imported it, sets it for good
    try:
        Tokenizer().load()
        assert "TIKTOKEN_CACHE_DIR" not in os.environ
        os.environ["TIKTOKEN_CACHE_DIR"] = "/elsewhere"
        Tokenizer().load()
        assert os.environ.pop("TIKTOKEN_CACHE_DIR") == "/elsewhere"
    finally:
        if before is not None:
            os.environ["TIKTOKEN_CACHE_DIR"] = before


def test_a_missing_vocabulary_costs_no_answer(tmp_path: Path) -> None:
    """One warning, then None for every count; nothing is fetched."""
    tokenizer = Tokenizer(tmp_path)
    with pytest.warns(RouterWarning, match="tokens are estimated, not counted: o200k_base cannot be loaded") as caught:
        assert tokenizer.count("hello") is None
    assert len(caught) == 1
    assert tokenizer.count("hello") is None


def test_the_vocabularies_are_found_inside_litellm() -> None:
    """Without importing it; a package that is not there is an error, which costs a count and no answer."""
    assert (bundled_vocabularies() / "fb374d419588a4632f3f557e76b4b70aebbca790").is_file()
    with pytest.raises(FileNotFoundError, match="no_such_package is not installed"):
        bundled_vocabularies("no_such_package")


def test_a_wrong_vocabulary_is_not_used(tmp_path: Path) -> None:
    """A file with another digest is left alone: tiktoken would delete it and download another."""
    wrong = tmp_path / "fb374d419588a4632f3f557e76b4b70aebbca790"
    wrong.write_bytes(b"broken")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Tokenizer(tmp_path).count("hello") is None
    assert wrong.read_bytes() == b"broken"
