"""Makes a provider's words fit for a log: no secrets, no echo of the prompt or the answer, no more than a few lines.

Providers quote what they were sent: the key they refuse, the value that does not validate, the text that their
template or parser choked on. A quoted name of a parameter or model stays, since it says what to mend; quoted prose,
JSON, and whatever follows a phrase that introduces an echo go.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

LONGEST_MESSAGE: Final = 300
"""Characters of `Failure.message`, the ellipsis included."""
LONGEST_WORDS: Final = 4_000
"""Characters that rules look at; longer bodies repeat themselves."""
_GAP: Final = "\N{HORIZONTAL ELLIPSIS}"
_SECRET: Final = "***"

_KNOWN_KEYS: Final = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|pplx|hf|fw|csk|nvapi|tgp|r8|ghp|gho|github_pat|glpat|dapi|ya29|key|bce|whsec)"
    r"[-_.](?=[\w.-]*[\d*])[\w.*-]{6,}"
    r"|\bA(?:KIA|SIA)[A-Z0-9]{8,}|\bAIza[\w-]{8,}|\beyJ[\w-]{8,}(?:\.[\w-]+)*"
)
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+(?!token|auth|scheme|realm|error)[\w.~+/=*-]{6,}")
_NAMED: Final = re.compile(
    r"(?i)((?:api|access|secret|auth\w*)?[ _-]?(?:key|token|secret|password|authorization|credential)\b"
    r"(?:\s+provided|\s+is)?\s*[:=]\s*[\"'`]?)(?!\s)[^\s\"'`,;&]{4,}"
)
_TOKEN: Final = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
_RUN: Final = re.compile(r"[a-z]+|[A-Z]+|[0-9]+")

_ECHO: Final = re.compile(
    r"(?is)(\binput_value|\braw|\bgot(?: an?)?|\breceived|\bprovided value|\bat pos \d+|\bfailed_generation"
    r"|\byour (?:input|prompt|message) (?:was|is)|\b(?:user|assistant|system) message|\bprompt|\boutput|\bgenerated(?: text)?"
    r"|\bbody|\bdocument|\bcontent|\btext|\bJSON|\binput)\s*[:=]\s*(?=\S)(?!\d+\b)(.+?)(?=,\s*input_type|\s\|\s|$)"
)
_QUOTED: Final = re.compile(r"\\?\"(?P<d>[^\"]*)\\?\"|(?<![A-Za-z0-9])'(?P<s>[^']*)'(?![A-Za-z0-9])|`(?P<b>[^`]*)`|“(?P<c>[^”]*)”")
_JSON: Final = re.compile(r"(?s)\{[^{}]*[\"':][^{}]*\}|\[[^\[\]]*\{[^\[\]]*\]")


def mask(words: str) -> str:
    """Returns the words on one line, with secrets and echoes of the request replaced, at most `LONGEST_WORDS` long."""
    text = words[: 2 * LONGEST_WORDS]
    text = _KNOWN_KEYS.sub(_SECRET, text)
    text = _BEARER.sub(rf"\1 {_SECRET}", text)
    text = _NAMED.sub(rf"\1{_SECRET}", text)
    text = _TOKEN.sub(lambda m: _SECRET if _looks_random(m[0]) else m[0], text)
    text = _QUOTED.sub(_quote, text)
    text = _JSON.sub(_GAP, text)
    text = _ECHO.sub(lambda m: f"{m[1]}: {_GAP}" if " " in m[2].strip() or len(m[2]) > 40 else m[0], text)  # noqa: PLR2004 - a name's length
    return " ".join(text.split())[:LONGEST_WORDS]


def shorten(words: str) -> str:
    """Returns at most `LONGEST_MESSAGE` characters of the words, marked where cut."""
    return words if len(words) <= LONGEST_MESSAGE else words[: LONGEST_MESSAGE - 1].rstrip() + _GAP


def _quote(match: re.Match[str]) -> str:
    """A quoted name stays; quoted prose goes."""
    inner = next(g for g in match.groups() if g is not None)
    is_name = len(inner) <= 80 and len(inner.split()) <= 1  # noqa: PLR2004 - the longest ids of models, with room
    return match[0] if is_name else f"{match[0][0]}{_GAP}{match[0][-1]}"


def _looks_random(token: str) -> bool:
    """Whether letters, capitals and digits alternate as in a key, a hash or base64, and not as in a name.

    Random hex changes between letters and digits every two characters, base64 more often; names of models and
    parameters once in seven or more.
    """
    runs = [r for part in re.split(r"[-_/+=]", token) for r in pairwise(_RUN.findall(part))]
    return len(runs) > 0.2 * len(token)
