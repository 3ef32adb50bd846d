"""The tokeniser of a CLIP text model as our vocabulary, and back.

It comes in two forms: vocab.json with merges.txt, or one tokenizer.json, the only one that newer versions of
transformers write. We write the first, which all of them read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from genwerk.core.errors import BadFile
from genwerk.core.files import read_json
from genwerk.core.tokens import END, START, CLIPVocabulary
from genwerk.interop.weights import write_json

HEADER = "#version: 0.2"
SHORTEST = 3
"""Places of a text that holds a symbol between its start and its end."""
LONGEST = 77
"""Places of a text where neither the tokeniser nor the text model says otherwise."""


def read_vocabulary(folder: Path, places: int = LONGEST) -> CLIPVocabulary:
    """The vocabulary of the tokeniser in ``folder``, for a text model with so many ``places``.

    ValueError where its ids are not in the order of CLIP's.
    """
    if (fast := folder / "tokenizer.json").is_file():
        ids, merges = _read_fast(fast)
    else:
        ids, merges = read_json(folder / "vocab.json"), _read_merges(folder / "merges.txt")
    settings = _settings(folder)
    longest = settings.get("model_max_length") or places  # 10^30 where there is none
    if not isinstance(longest, (int, float)) or longest < SHORTEST:
        raise BadFile(f"{folder} has model_max_length {str(longest)[:60]!r}; expected a number of {SHORTEST} or more")
    length = int(min(longest, places))
    vocabulary = CLIPVocabulary(merges=tuple(merges), length=length, pad=_pad(folder, settings, ids or {}))
    if ids != {symbol: i for i, symbol in enumerate(vocabulary.symbols)}:
        raise ValueError(
            f"{folder} holds a tokeniser of {len(ids or ())} ids with {len(merges)} merges, which are not numbered as "
            f"CLIP's are: 256 bytes, 256 bytes that end a word, what is merged, {START}, {END}"
        )
    return vocabulary


def write_vocabulary(vocabulary: CLIPVocabulary, folder: Path) -> None:
    """Write ``vocabulary`` as the tokeniser files of transformers' CLIPTokenizer into a new ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    pad = END if vocabulary.pad == "end" else vocabulary.symbols[0]
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": pad}
    write_json(folder / "vocab.json", {symbol: i for i, symbol in enumerate(vocabulary.symbols)})
    (folder / "merges.txt").write_text("\n".join([HEADER, *vocabulary.merges]) + "\n", encoding="utf-8")
    write_json(folder / "special_tokens_map.json", special)
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "CLIPTokenizer", "model_max_length": vocabulary.length, "do_lower_case": True, **special},
    )


def _read_fast(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Ids and merges of a tokenizer.json."""
    whole = read_json(path)
    try:
        model, added = whole["model"], whole.get("added_tokens") or []
        ids = {**model["vocab"], **{token["content"]: token["id"] for token in added}}
        merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    except (KeyError, TypeError):
        raise BadFile(f"{path} is not a tokeniser of merged pairs; expected a model with vocab and merges") from None
    return ids, merges


def _read_merges(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        raise ValueError(
            f"{path} cannot be read; a tokeniser is vocab.json with merges.txt, or tokenizer.json"
        ) from None
    return [line.strip() for line in lines if line.strip() and not line.startswith(HEADER)]


def _settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, if there is one."""
    path = folder / "tokenizer_config.json"
    return read_json(path) if path.is_file() else {}


def _pad(folder: Path, settings: dict[str, Any], ids: dict[str, int]) -> Literal["end", "zero"]:
    """Which id stands behind the end; ValueError for one that is neither the end nor 0."""
    special = folder / "special_tokens_map.json"
    named = (read_json(special) if special.is_file() else {}) | settings
    token = named.get("pad_token") or END
    token = token.get("content") if isinstance(token, dict) else token
    if not isinstance(token, str):
        raise BadFile(f"{folder} has the pad_token {str(token)[:60]!r}; expected a symbol")
    if token != END and ids.get(token) != 0:
        raise ValueError(f"{folder} pads texts with {json.dumps(token)}; Genwerk knows {END} and the token of id 0")
    return "end" if token == END else "zero"
