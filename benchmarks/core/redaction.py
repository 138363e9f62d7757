"""Keys and tokens never reach a file, a log, a job script, a page or a server.

One list, for what this process knows (its environment) and what a secret looks like. Everything
that writes text which a user, a library or a file has given passes here.
"""

import os
import re
from typing import Any

__all__ = ["check_no_secret", "redacted", "redacted_values"]

HIDDEN = "[redacted]"
SHORTEST = 8  # characters; a shorter value would be found in ordinary words
PICTURE = "data:image/"  # such a URI is long, and random enough to look like anything
# every repetition is bounded, or a long text would take its length squared
WORD = r"(?:secret|passw(?:or)?d|passphrase|credentials?)"
KEY = r"(?:api|access|secret|private|ssh|wandb|account|auth)[_-]?key(?:[_-]?id)?"
NAME = rf"(?:{KEY}|{WORD}|token)"
SECRET_KEY = re.compile(rf"(?:.*[_.-])?(?:{KEY}|{WORD})|\w*{WORD}", re.IGNORECASE)
TOKEN_KEY = re.compile(r"(?:.*[_.-])?token", re.IGNORECASE)  # also a word of language models
SECRET_VARIABLE = re.compile(
    rf".*(?:{KEY}|{WORD}|token)|.+_(?:PWD|PASS|PAT|JWT|AUTH|COOKIE)|SSHPASS", re.IGNORECASE
)
KEY_VARIABLE = re.compile(r"(?:.*_)?KEY", re.IGNORECASE)  # of a secret, or of a cache
ORDINARY = r"(?:\[redacted\]|\$\{|(?:null|none|true|false|-?\.?\d[\d.]*(?:e-?\d+)?)(?![\w.-]))"
VALUE = r"(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s\"',}\]]+)"
SHAPES = (  # of tokens that their issuers mark; ordinary words have no digits
    r"wandb_v\d_\w{20,200}",
    r"hf_(?=\w{0,40}\d)\w{20,200}",
    r"gh[pousr]_\w{20,200}",
    r"github_pat_\w{20,200}",
    r"glpat-[\w.-]{16,200}",
    r"[sr]k_(?:live|test)_\w{16,200}",
    r"sk-(?=[\w-]{0,60}\d)[\w-]{20,300}",
    r"gsk_\w{20,200}",
    r"r8_\w{20,200}",
    r"SG\.[\w-]{16,100}\.[\w-]{16,100}",
    r"dckr_pat_[\w-]{20,200}",
    r"dop_v1_\w{40,200}",
    r"xox[abeoprs]-[\w-]{10,300}",
    r"npm_(?=\w{0,40}\d)\w{30,200}",
    r"pypi-[\w-]{40,400}",
    r"AIza[\w-]{30,100}",
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    r"AGE-SECRET-KEY-1\w{20,100}",
    r"local-[0-9a-f]{40}",
    r"hooks\.slack\.com/services/[\w/]{10,200}",
    r"eyJ[\w-]{8,2000}\.[\w-]{8,4000}\.[\w-]{8,2000}",
)
PATTERNS = (  # each keeps its first group
    re.compile(
        r"()-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
        r"(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
        re.DOTALL,
    ),
    re.compile(
        rf"(\b(?:\w{{0,40}}[_.-])?(?:{NAME}|\w{{0,40}}{WORD}|\w{{1,40}}_(?:pwd|pass|pat|jwt))"
        rf"[\"']?\]?[ \t]{{0,9}}[:=][ \t]{{0,9}})(?!{ORDINARY}){VALUE}",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(--(?:api-key|access-key|token|secret|password)[ \t]{{1,9}})(?!{ORDINARY}){VALUE}",
        re.IGNORECASE,
    ),
    re.compile(r"(\blogin[ \t]+\S{1,80}[ \t]+password[ \t]+)(?!\[redacted\])\S+"),  # netrc
    re.compile(r"(\bwandb login[ \t]+(?:--\S+[ \t]+){0,5})(?!\[redacted\])[\w-]{30,}"),
    re.compile(
        r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@]{0,100}:)(?!\[redacted\])\S{1,200}(?=@)",
        re.IGNORECASE,
    ),
    re.compile(
        r"(\bauthorization[\"']?[ \t]{0,9}[:=][ \t]{0,9}[\"']?\w{1,20}[ \t]{1,9})"
        r"(?!\[redacted\])[^\s\"']+",
        re.IGNORECASE,
    ),
    re.compile(
        r"(\bbearer[ \t]{1,9})(?!\[redacted\])(?=\S{0,200}[\d.])[\w.~+/=-]{8,}", re.IGNORECASE
    ),
    re.compile(rf"(\b)(?:{'|'.join(SHAPES)})"),
)


def redacted(text: str) -> str:
    """Return the text without secrets; what is redacted already stays as it is.

    Hidden are the values of this process's environment variables that are named as keys, tokens
    or passwords, values after such a name in the text, passwords in addresses, private keys, and
    the common forms of tokens.
    """
    if text.startswith(PICTURE):
        return text
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and _is_secret(name, value):
            text = text.replace(value, HIDDEN)
    for pattern in PATTERNS:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


def _is_secret(name: str, value: str) -> bool:
    """Return whether a variable is one: by its name, or as a key that looks random."""
    return bool(SECRET_VARIABLE.fullmatch(name)) or (
        bool(KEY_VARIABLE.fullmatch(name)) and _looks_random(value)
    )


def _looks_random(value: str) -> bool:
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return len(value) >= 2 * SHORTEST and mixed and not re.search(r"[\s/]", value)


def redacted_values(value: Any) -> Any:
    """Return lists and dicts without secrets: those in texts, and those that a key names.

    What names a class stays as it is, or the config could not be built again.
    """
    if isinstance(value, dict):
        return {k: _under(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_values(v) for v in value]
    return redacted(value) if isinstance(value, str) else value


def _under(key: str, value: Any) -> Any:
    if key == "_target_" or value is None or isinstance(value, bool | int | float):
        return value
    if SECRET_KEY.fullmatch(key):
        return HIDDEN
    if TOKEN_KEY.fullmatch(key) and isinstance(value, str) and _looks_random(value):
        return HIDDEN
    return redacted_values(value)


def check_no_secret(value: Any, where: str) -> None:
    """Refuse a secret where it cannot be hidden, as in a script that must run.

    Raises:
        ValueError: naming where it stands, not the secret.
    """
    if isinstance(value, dict):
        for name, part in value.items():
            if part not in (None, "") and _is_secret(str(name), str(part)):
                raise ValueError(_no_secret(f"{where}.{name}"))
            check_no_secret(part, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            check_no_secret(part, f"{where}[{i}]")
    elif isinstance(value, str) and redacted(value) != value:
        raise ValueError(_no_secret(where))


def _no_secret(where: str) -> str:
    return (
        f"{where} must hold no secret, since it is written to a file: set it in the environment "
        "that the command runs in, which its jobs inherit"
    )
