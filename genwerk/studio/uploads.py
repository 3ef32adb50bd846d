"""Files that a person hands in: bounded, kept in a private folder, and looked at in a process of their own.

Run as ``python -m genwerk.studio.uploads FOLDER PIXELS``, it prints what the files in a folder are, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from secrets import token_hex
from typing import Any

from genwerk.core.errors import BadInput
from genwerk.studio.places import UPLOADS

MEMORY, SECONDS = 2 * 2**30, 30
"""Bytes of memory and seconds in which files that were handed in are looked at."""
PIXELS = 50_000_000
"""Pixels of an image, at most."""
KINDS = {
    "image": (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2"),
    "sound": (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff"),
    "table": (".csv", ".tsv", ".parquet"),
    "text": (".txt", ".json", ".jsonl", ".gz"),
    "array": (".npy", ".npz"),
    "archive": (".zip",),
}
"""What is taken, by the ends of names."""
FILES, THUMBNAILS, SIDE, DEEPEST = 20_000, 12, 128, 3
"""Files of one upload, pictures of them that are shown, their side in pixels, and folders that a file's name keeps."""
BYTES = 200
"""Bytes of the name of a file, and of a folder, that are kept: file systems end at 255."""
AGE = 12 * 3600
"""Seconds for which an upload is kept."""


@dataclass(frozen=True)
class Upload:
    """Files that were handed in together."""

    id: str
    folder: Path
    names: tuple[str, ...]
    about: dict[str, Any]
    made: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> Path:
        """What a command is given: the file, or the folder of several."""
        files = self.folder / "files"
        if len(self.names) == 1:
            return files / self.names[0]
        first = {name.partition("/")[0] for name in self.names}
        return files / first.pop() if len(first) == 1 else files

    def kept(self, root: Path) -> Path:
        """Where it stands below ``root``, copied there the first time, so that a run that learns from it can go on."""
        marker = self.folder / "kept"
        if marker.exists() and (found := Path(marker.read_text("utf-8"))).exists():
            return found
        path = self.path
        names = chain([path.name], (f"{path.stem}-{i}{path.suffix}" for i in count(2)))
        place = next(each for name in names if not (each := root / UPLOADS / name).exists())
        place.parent.mkdir(exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, place)
        marker.write_text(str(place), "utf-8")
        return place


def safe(name: str) -> str:
    """The name of a file as it is stored, with the last folders that it is in: letters, digits and a few signs; a
    BadInput for a kind that is not taken."""
    *folders, last = re.split(r"[/\\]", name)
    stem, dot, end = last.rpartition(".")
    if f"{dot}{end.lower()}" not in {each for ends in KINDS.values() for each in ends}:
        kinds = ", ".join(each for ends in KINDS.values() for each in ends)
        raise BadInput(f"{last[:60]!r} is of no kind that is taken; expected {kinds}")
    parts = [*folders[-DEEPEST:], stem]
    cleaned = [re.sub(r"[^\w.+-]+", "_", part).lstrip(".")[:80] for part in parts]
    cleaned = [part.encode()[:BYTES].decode(errors="ignore") for part in cleaned]
    return "/".join([*filter(None, cleaned[:-1]), f"{cleaned[-1] or 'file'}.{end.lower()}"])


class Uploads:
    """What was handed in, by its id."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder / "uploads", most
        self.every: dict[str, Upload] = {}

    async def take(self, files: AsyncIterator[tuple[str, AsyncIterator[bytes]]]) -> Upload:
        """Store files, given with their names, and say what they are; a BadInput where they cannot be used."""
        self._forget()
        id, names, refused = token_hex(8), list[str](), list[str]()
        folder = self.folder / id
        (folder / "files").mkdir(parents=True)
        try:
            async for name, content in files:
                try:
                    names.append(self._free(safe(name), names))
                except BadInput as error:
                    refused.append(str(error))
                    continue
                path = folder / "files" / names[-1]
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    async for block in content:
                        await asyncio.to_thread(file.write, block)
                if len(names) > FILES:
                    raise BadInput(f"more than {FILES:,} files were handed in; put them into a zip")
            if not names:
                raise BadInput(refused[0] if refused else "no file was handed in")
            about = await looked_at(folder)
            names = [name for name in names if (folder / "files" / name).exists()]
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        about["skipped"] = [*refused, *about["skipped"]]
        self.every[id] = Upload(id, folder, tuple(names), about)
        return self.every[id]

    @staticmethod
    def _free(name: str, taken: list[str]) -> str:
        files = set(taken)
        folders = {str(folder) for each in taken for folder in Path(each).parents}
        if name in folders or any(str(folder) in files for folder in Path(name).parents):  # a file and a folder
            name = name.replace("/", "_")
        stem, _, end = name.rpartition(".")
        names = (name, *(f"{stem}-{i}.{end}" for i in range(2, len(taken) + 3)))
        return next(each for each in names if each not in files and each not in folders)

    def _forget(self) -> None:
        total = sum(each.about["bytes"] for each in self.every.values())
        for each in list(self.every.values()):
            if time.monotonic() - each.made > AGE or total > 10 * self.most:
                total -= each.about["bytes"]
                shutil.rmtree(each.folder, ignore_errors=True)
                del self.every[each.id]

    def get(self, id: str) -> Upload:
        """The upload of that id."""
        if id not in self.every:
            raise BadInput("these files are not there any more; hand them in again")
        return self.every[id]


async def looked_at(folder: Path) -> dict[str, Any]:
    """What the files in a folder are, found out in a process whose memory and time are bounded."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "genwerk.studio.uploads",
        str(folder),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(SECONDS):
            out, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise BadInput("it takes too long to look at these files") from None
    if process.returncode:
        raise BadInput("these files cannot be read: they are damaged, or too large when they are unpacked")
    found: dict[str, Any] = json.loads(out)
    if "error" in found:
        raise BadInput(found["error"])
    return found


# --- in a process of its own ------------------------------------------------------------------------------------------


def look(folder: Path) -> dict[str, Any]:
    """What the files are: their kind, how many, bytes, and names of the small pictures that were made of some.

    Of several those that cannot be read are removed, and told as ``skipped``; one alone is a BadInput.
    """
    files, skipped = sorted(path for path in (folder / "files").rglob("*") if path.is_file()), list[str]()
    pictures, shown = list[str](), 0
    for each in list(files):
        try:
            if each.suffix in KINDS["image"]:
                name = _picture(each, folder, shown)
                pictures, shown = [*pictures, *([name] if name else [])], shown + 1
            elif each.suffix in KINDS["sound"]:
                _sound(each)
            elif each.suffix in KINDS["archive"]:
                _archive(each)
            elif not each.stat().st_size:
                raise BadInput(f"{each.name} is empty")
        except BadInput as error:
            skipped.append(str(error))
            each.unlink()
            files.remove(each)
            if not files:
                raise
    kinds = Counter(next(kind for kind, ends in KINDS.items() if each.suffix in ends) for each in files)
    kind = kinds.most_common(1)[0][0]
    size = sum(each.stat().st_size for each in files)
    return {"kind": kind, "files": len(files), "bytes": size, "thumbnails": pictures, "skipped": skipped}


def _picture(path: Path, folder: Path, number: int) -> str | None:
    """The name of a small picture of an image; none beyond the first ones."""
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = PIXELS
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height * getattr(image, "n_frames", 1) > PIXELS:
                raise BadInput(f"{path.name} has more than the {PIXELS:,} pixels that an image may have")
            if number >= THUMBNAILS:
                return None
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            small = ImageOps.exif_transpose(image).convert("RGBA")
    except BadInput:
        raise
    except MemoryError:
        raise
    except Image.DecompressionBombError:
        raise BadInput(f"{path.name} has more than the {PIXELS:,} pixels that an image may have") from None
    except Exception:
        raise BadInput(f"{path.name} cannot be read as an image; it is damaged, or of another kind") from None
    small.thumbnail((SIDE, SIDE))
    small.save(folder / f"small-{number}.png")
    return f"small-{number}.png"


def _sound(path: Path) -> None:
    import soundfile

    try:
        soundfile.info(path)
    except Exception:
        raise BadInput(f"{path.name} cannot be read as a sound; it is damaged, or of another kind") from None


def _archive(path: Path) -> None:
    from zipfile import ZipFile

    try:
        with ZipFile(path) as archive:
            members = archive.infolist()
    except Exception:
        raise BadInput(f"{path.name} cannot be read as a zip; it is damaged, or of another kind") from None
    unpacked, packed = sum(each.file_size for each in members), path.stat().st_size
    if len(members) > 10 * FILES or unpacked > 20 * 2**30 or unpacked > 200 * max(packed, 2**20):
        raise BadInput(f"{path.name} is far larger when it is unpacked; unpack it, and hand in what you need")


def main() -> None:
    """Print what the files in a folder are."""
    try:
        import resource

        os.nice(5)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    except ImportError:  # not on Windows
        pass
    try:
        found = look(Path(sys.argv[1]))
    except BadInput as error:
        found = {"error": str(error)}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
