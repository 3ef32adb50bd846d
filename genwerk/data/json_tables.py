"""JSON files as columns: of labels, or of texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from genwerk.core.errors import BadFile
from genwerk.core.files import open_regular, parse_json

SUFFIXES = (".json", ".jsonl")
LARGEST = 2**28
"""Greatest size in bytes of such a file."""
FILE, LABEL = "file_name", "label"
"""What columns without a name of their own are called."""


def json_columns(path: Path, called: str = LABEL) -> dict[str, list[object]]:
    """A list of values (the column ``called`` so), of objects or of pairs, or an object of a value for each name; of a
    .jsonl, a line each."""
    with open_regular(path) as file:
        if len(content := file.read(LARGEST + 1)) > LARGEST:
            raise BadFile(f"{path} has more than {LARGEST:,} bytes; save it as .csv or .parquet")
    text = content.decode("utf-8-sig", "replace").strip()
    if path.suffix.lower() == ".jsonl":
        text = f"[{','.join(filter(str.strip, text.splitlines()))}]"
    value: object = parse_json(f'{{"value": {text}}}', str(path))["value"]
    if isinstance(value, Mapping):
        value = list(value.items()) if not isinstance(value.get("labels"), list) else value["labels"]
    rows: Iterable[object] = value if isinstance(value, list) else ()
    if rows and all(isinstance(row, Mapping) for row in rows):
        names = dict.fromkeys(name for row in rows for name in row)  # type: ignore[attr-defined]
        return {name: [row.get(name) for row in rows] for name in names}  # type: ignore[attr-defined]
    if rows and all(isinstance(row, Sequence) and not isinstance(row, str) and len(row) == 2 for row in rows):
        return {FILE: [row[0] for row in rows], called: [row[1] for row in rows]}  # type: ignore[index]
    if any(isinstance(row, (Mapping, Sequence)) and not isinstance(row, str) for row in rows):
        raise BadFile(
            f"{path} mixes {called}s with other things; expected {called}s, objects, or pairs of a name and a {called}"
        )
    return {called: list(rows)}
