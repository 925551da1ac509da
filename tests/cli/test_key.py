from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from router import Router
from tests.cli.command import COMMAND, environment, lowfare, parsed, words, write_config

CAREFUL = '[policies.careful]\nkind = "min_quality"\nquality = 0.8\n'
RULES = """
[cache]
backend = "memory"

[per_policy.default.cache]
drop_params = ["x_session"]
drop_text = ['(?m)^Now: .*\\n']
"""
BODY: dict[str, Any] = {
    "messages": [{"role": "system", "content": "Now: 9:00\nBe brief."}, {"role": "user", "content": "Grüezi"}],
    "temperature": 0.0,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"maximum": 1.0}}}],
    "stream": True,
    "x_session": "a",
}


def written(folder: Path, body: Any = BODY, name: str = "body.json") -> Path:
    """Writes a request and returns its path."""
    path = folder / name
    path.write_text(body if isinstance(body, str) else json.dumps(body))
    return path


def planned(config: Path, **options: Any) -> str:
    """Returns the key in the decision on `BODY`, as a router plans it."""
    with Router.from_toml(config) as router:
        key: str = router.plan(**{**BODY, "stream": None, **options}).to_dict()["key"]
    return key


def test_the_form_and_its_hash(tmp_path: Path) -> None:
    """The first line is the canonical form, the second the SHA-256 of its bytes; `--hash-only` prints that alone."""
    config = write_config(tmp_path)
    result = lowfare("key", written(tmp_path), "--config", config)
    form, key, end = result.stdout_bytes.split(b"\n")
    assert (result.exit_code, result.stderr, end) == (0, "", b"")
    assert hashlib.sha256(form).hexdigest() == key.decode()
    document = json.loads(form)
    assert document["messages"] == BODY["messages"]
    assert "Grüezi".encode() in form
    assert b'"maximum":1}' in form
    assert (document["policy"], document["tenant"]) == ("default", None)
    alone = lowfare("key", written(tmp_path), "--config", config, "--hash-only")
    assert alone.stdout == f"{key.decode()}\n"


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (["--policy", "careful"], {"policy": "careful"}),
        (["--model", "large"], {"model": "large"}),
        (["--model", "large", "--policy", "default"], {"model": "large", "policy": "default"}),
        (["--tenant", "acme"], {"tenant": "acme"}),
        (["--param", "seed=7", "--param", "tags={}"], {"seed": 7}),
    ],
    ids=str,
)
@pytest.mark.parametrize("rules", ["", RULES])
def test_it_is_the_key_of_the_decision(
    tmp_path: Path, arguments: list[str], options: dict[str, Any], rules: str
) -> None:
    """Whatever the request says, and whatever the rules leave out: the router's own key for it."""
    config = write_config(tmp_path, CAREFUL + rules)
    found = lowfare("key", written(tmp_path), "--config", config, "--hash-only", *arguments)
    assert found.stdout.strip() == planned(config, **options)


def test_what_rules_left_out_is_told(tmp_path: Path) -> None:
    """On stderr, by the names that a decision has; of a policy without rules nothing is."""
    config = write_config(tmp_path, CAREFUL + RULES)
    result = lowfare("key", written(tmp_path), "--config", config)
    assert "by the rules of policy default: params.x_session, text[0]" in words(result.stderr)
    assert "9:00" not in result.stdout
    assert result.stdout.count("\n") == 2
    other = lowfare("key", written(tmp_path), "--config", config, "--policy", "careful")
    assert other.stderr == ""
    assert "9:00" in other.stdout


def test_json(tmp_path: Path) -> None:
    """`--json` prints key, policy, form and rules, and the note stays on stderr."""
    config = write_config(tmp_path, RULES)
    out = parsed(lowfare("key", written(tmp_path), "--json", "--config", config, "--model", "small"))
    assert (out["policy"], out["dropped"]) == ("none", [])
    out = parsed(lowfare("key", written(tmp_path), "--json", "--config", config))
    assert (out["policy"], out["dropped"]) == ("default", ["params.x_session", "text[0]"])
    assert hashlib.sha256(out["canonical"].encode()).hexdigest() == out["key"]


def test_requests_from_elsewhere(tmp_path: Path) -> None:
    """A text file, messages, a body and standard input that say the same have the same key."""
    config = write_config(tmp_path)
    messages = [{"content": "Hi", "role": "user"}]
    files = [
        written(tmp_path, "Hi", "prompt.txt"),
        written(tmp_path, messages),
        written(tmp_path, {"messages": messages}, "b.json"),
    ]
    found = [lowfare("key", file, "--config", config).stdout for file in files]
    found.append(lowfare("key", "-", "--config", config, text="Hi").stdout)
    assert len(set(found)) == 1


def test_a_terminal_is_not_driven(tmp_path: Path) -> None:
    """Control characters of a prompt, which JSON lets stand from 0x7f on, reach a pipe and no terminal."""
    command: list[str | Path] = [
        COMMAND,
        "key",
        written(tmp_path, "a\x9b31mb", "p.txt"),
        "--config",
        write_config(tmp_path),
    ]
    piped = subprocess.run(command, env=environment(), capture_output=True, check=True)
    assert "\x9b".encode() in piped.stdout
    ours, theirs = os.openpty()
    subprocess.run(command, env=environment(), stdout=theirs, check=True)
    shown = os.read(ours, 10_000)
    os.close(theirs)
    os.close(ours)
    assert b"31mb" in shown
    assert "\x9b".encode() not in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["missing.json"], "missing.json: the prompt cannot be read"),
        (["{file}", "--policy", "carefull"], "policy 'carefull' is not configured"),
        (["{file}", "--model", "big"], "model 'big' is not configured"),
        (["{file}", "--param", "x"], "write it as NAME=VALUE"),
        (["{file}", "--config", "none.toml"], "none.toml"),
        ([], "Missing argument 'FILE'"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], told: str) -> None:
    """What the caller got wrong exits with 2 and is told on stderr."""
    given = [argument.format(file=written(tmp_path)) for argument in arguments]
    result = lowfare("key", "--config", write_config(tmp_path, CAREFUL), *given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in words(result.stderr)
