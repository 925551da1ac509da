"""Encryption at rest: what opens, what does not, and where the key comes from."""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cache.seal import Seal, seal_from_env
from router.errors import ConfigError

KEY = bytes(range(224, 256))  # all kinds of base64 digits, - and _ among them
SEAL = Seal(KEY)


@given(data=st.binary(), about=st.binary())
def test_what_is_sealed_opens(data: bytes, about: bytes) -> None:
    """Who has the key and knows the place gets the data back; another seal with the same key opens it too."""
    sealed = SEAL.seal(data, about)
    assert len(sealed) == len(data) + 28
    assert Seal(KEY).open(sealed, about) == data


@given(data=st.binary(), about=st.binary(), other=st.binary())
def test_it_opens_in_its_place_only(data: bytes, about: bytes, other: bytes) -> None:
    """Under another place, or by another key, it stays shut."""
    sealed = SEAL.seal(data, about)
    assert (SEAL.open(sealed, other) is None) == (other != about)
    assert Seal(KEY[::-1]).open(sealed, about) is None


@given(data=st.binary(), at=st.integers(0), flipped=st.integers(1, 255))
def test_a_changed_byte_is_noticed(data: bytes, at: int, flipped: int) -> None:
    """No byte of it can be changed: not the nonce, not the text, not the tag."""
    sealed = bytearray(SEAL.seal(data, b"place"))
    sealed[at % len(sealed)] ^= flipped
    assert SEAL.open(bytes(sealed), b"place") is None


@given(data=st.binary(max_size=64))
def test_what_never_was_sealed_stays_shut(data: bytes) -> None:
    """Other bytes, too few ones included, are no error."""
    assert SEAL.open(data, b"place") is None


def test_no_two_are_alike() -> None:
    """Equal data is sealed differently each time, in forked children too: nobody sees which answers are equal."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b"".join(SEAL.seal(b"", b"")[:12] for _ in range(50)))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 600)
    os.close(read)
    os.close(write)
    nonces = {theirs[at : at + 12] for at in range(0, 600, 12)} | {SEAL.seal(b"", b"")[:12] for _ in range(50)}
    assert len(nonces) == 100


def test_threads_share_one() -> None:
    """Several threads seal and open with one seal at once."""

    def work(name: bytes) -> bool:
        return all(SEAL.open(SEAL.seal(name * 5_000, name), name) == name * 5_000 for _ in range(200))

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(work, [bytes([number]) for number in range(6)]))


def test_it_shows_no_key() -> None:
    """Neither its repr nor its attributes hold the key."""
    shown = f"{SEAL!r} {[getattr(SEAL, name) for name in vars(SEAL)]!r}"
    assert repr(KEY) not in shown
    assert KEY.hex() not in shown
    assert repr(SEAL) == "Seal(...)"


@pytest.mark.parametrize(
    "spell",
    [
        bytes.hex,
        lambda key: key.hex().upper(),
        lambda key: f"  {key.hex()}\n",
        lambda key: base64.b64encode(key).decode(),
        lambda key: base64.urlsafe_b64encode(key).decode(),
        lambda key: base64.urlsafe_b64encode(key).decode().rstrip("="),
    ],
    ids=["hex", "capitals", "blanks", "base64", "urlsafe", "unpadded"],
)
def test_a_key_from_the_environment(spell: Callable[[bytes], str]) -> None:
    """Hex and both kinds of base64 are understood, with or without padding and blanks around."""
    seal = seal_from_env("CACHE_KEY", {"CACHE_KEY": spell(KEY)})
    assert seal.open(SEAL.seal(b"data", b"place"), b"place") == b"data"


def test_the_process_environment_is_asked() -> None:
    """Without an environment given, the process's own holds the key."""
    code = "from router.cache.seal import seal_from_env; print(seal_from_env('CACHE_KEY'))"
    environ = {**os.environ, "CACHE_KEY": KEY.hex()}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "Seal(...)\n"


@pytest.mark.parametrize("environ", [{}, {"CACHE_KEY": ""}, {"CACHE_KEY": " \n"}], ids=["unset", "empty", "blank"])
def test_a_missing_key(environ: dict[str, str]) -> None:
    """Who turned encryption on without a key learns the variable's name and how to make one."""
    with pytest.raises(ConfigError) as caught:
        seal_from_env("CACHE_KEY", environ)
    message = str(caught.value)
    assert "the environment variable 'CACHE_KEY', for the key that encrypts the cache, is missing" in message
    assert "allowed: 32 random bytes in hex or base64" in message
    assert 'python -c "import secrets; print(secrets.token_hex(32))"' in message


@pytest.mark.parametrize(
    "text",
    [
        "deadbeef",
        KEY[:16].hex(),
        KEY[:31].hex(),
        KEY.hex() + "ff",
        "z" + KEY.hex()[1:],
        base64.b64encode(KEY + b"!").decode(),
        base64.b64encode(KEY).decode()[:-4],
        "not a key at all, but words",
        "schlüssel",
    ],
)
def test_a_key_that_is_none(text: str) -> None:
    """Too short, too long and malformed ones are refused, and never shown."""
    with pytest.raises(
        ConfigError, match=r"'CACHE_KEY' holds no key \(its value is not shown\); allowed: 32"
    ) as caught:
        seal_from_env("CACHE_KEY", {"CACHE_KEY": text})
    assert text not in str(caught.value)


def test_what_the_message_says_to_run_makes_a_key() -> None:
    """The command in the error message prints what is allowed."""
    with pytest.raises(ConfigError) as caught:
        seal_from_env("CACHE_KEY", {})
    _, *arguments = shlex.split(str(caught.value).partition("as this prints them: ")[2])
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)
    assert repr(seal_from_env("CACHE_KEY", {"CACHE_KEY": done.stdout})) == "Seal(...)"


def test_a_key_of_another_length() -> None:
    """A short key would be a weaker cipher without a word, so there is none but of 32 bytes."""
    with pytest.raises(ConfigError, match="found a key of 16 bytes"):
        Seal(KEY[:16])


def test_without_the_package_the_error_says_what_to_install() -> None:
    """Who encrypts nothing needs no `cryptography`; who does is told."""
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from router.cache.codec import Codec\n"
        "from router.cache.seal import Seal\n"
        "from router.errors import ConfigError\n"
        "Codec()\n"
        "try:\n    Seal(bytes(32))\n"
        "except ConfigError as error:\n    print(error, repr(error.__cause__))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'lowfare[encryption]'" in done.stdout
    assert "ModuleNotFoundError" in done.stdout
