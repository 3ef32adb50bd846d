"""Files that a command's examples, values and pictures become: where they go, and in what form."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from genwerk.commands.results import Examples, Pictures, Scatter, Values
from genwerk.core.errors import BadInput, BadSetting
from genwerk.core.files import check_numbers_free, check_replaceable, check_writable, numbered

if TYPE_CHECKING:
    from genwerk.core.modality import Modality
    from genwerk.runs.opened import OpenRun

Form = Literal["output", "array", "table", "folder", "examples"]
"""What is written: a table to standard output, an array, a table, a file for each example, or one for all."""
Done = tuple[str, Path]
"""What was done with a file or folder (wrote, replaced), and which."""
OUTPUT = "-"
"""What stands for standard output."""


@dataclass
class Files:
    """Files named ``what`` in the folder ``outputs``, or those that the user named as ``out``.

    A file that is there is never replaced, unless the user named it and asked for that with ``overwrite``: names of our
    own are numbered (samples.png, samples-2.png), and :meth:`begin` refuses a name that is taken.
    """

    what: str
    outputs: Path = Path("out")
    out: str | None = None
    overwrite: bool = False
    numbers: bool = False
    """Whether they hold numbers, such as latents, and not examples."""
    animations: bool = False
    """Whether an image may be an animation."""
    loose: bool = False
    """Whether they are images of any size, which go into no table or array."""
    stdout: TextIO | None = None
    """Where a table goes that is to be printed."""
    first: int = 0
    """Number of the first example, by which files in a folder are named."""
    _begun: bool = field(default=False, init=False)

    def begin(self, modality: Modality, opened: OpenRun | None = None) -> None:
        """Refuse, before anything is computed, what cannot be written there."""
        if opened is not None:
            self.outputs = opened.outputs
        form, path = self._target(None if self.numbers else modality)
        self._begun = True
        if form == "output":
            return
        if form == "folder":
            self._check_free(path, 1)
            check_writable(path / "0")
            return
        if path.suffix.lower() == ".parquet":
            from genwerk.modalities.rows import require_parquet

            require_parquet()
        if self.out is not None:
            check_replaceable(path, self.overwrite)
        check_writable(path)

    def examples(self, found: Examples) -> list[Done]:
        """Write examples, with their origin inside where a file has room for it.

        Values and folders are written a part at a time.
        """
        from genwerk import tasks
        from genwerk.modalities import rows, writers

        modality = found.spec.modality
        if not self._begun:
            self.begin(modality)
        form, path = self._target(modality)
        origin = {k: v for k, v in found.origin.items() if v is not None}
        shown = (part.shown for part in found.parts)
        if form == "output":
            assert self.stdout is not None
            rows.write_csv(self.stdout, *found.table())
            return []
        if form == "folder":
            self._check_free(path, found.n)
            i = first = origin.pop("first", 0)
            for one in (one for part in shown for one in part):
                about = {
                    name: values[i - first] for name, values in found.known.items() if values[i - first] is not None
                }
                modality.write_one(path / numbered(i), one, {**origin, "index": i, **about})
                i += 1
            return [(f"wrote {i - first} {modality.plural} into", path)]
        path, verb = self._place(path)
        if form == "array":
            return [(verb, rows.write_array(path, shown, found.n))]
        if form == "table":
            return [(verb, rows.write_table(path, *found.table()))]
        if found.n > writers.LARGEST_SHEET and modality.one_per_file:
            raise BadInput(
                f"{found.n:,} are too many for one file, which holds {writers.LARGEST_SHEET:,}; write them into "
                f"a folder (‹out› {self.what}/) or as values (‹out› {self.what}.npz)"
            )
        batch = tasks.joined(found.parts)
        done = [(verb, modality.write(path, batch, origin, found.layout))]
        if modality.drawn:
            path, verb = self._place(self._beside(modality.drawn))
            done.append((verb, modality.draw(path, batch, origin, found.layout)))
        return done

    def pictures(self, found: Pictures) -> list[Done]:
        """Write each image where ``out`` says: the one that there is to a file of that name, or all into a folder, by
        the names of those that they were made of."""
        from genwerk.modalities.pictures import MOVING, require_held, write_animation, write_picture
        from genwerk.modalities.writers import IMAGES, end_of

        done = list[Done]()
        ends = {*IMAGES, *MOVING}
        named = self.out is not None and end_of(Path(self.out)) in ends and not Path(self.out).is_dir()
        folder = self._own if self.out is None else Path(self.out)
        first = [*islice(parts := iter(found.parts), 2 if named else 0)]
        if len(first) > 1:
            raise BadSetting("out", f"is {self.out}, one file, and there are several images; name a folder")
        for picture in chain(first, parts):
            path, verb = folder if named else folder / f"{picture.stem}{picture.moving or IMAGES[0]}", "wrote"
            own = {written for _, written in done}
            names = (path, *(path.with_name(f"{path.stem}-{i}{path.suffix}") for i in range(2, len(own) + 2)))
            path = next(each for each in names if each not in own)  # two images may be called alike
            if self.out is not None:
                check_replaceable(path, self.overwrite)
                path, verb = self._place(path)
            require_held(path, picture.size, picture.bits, bool(picture.moving))
            origin = {**found.origin, "source": picture.source, **picture.origin}
            if picture.moving:
                done.append((verb, write_animation(path, picture.frames, picture.loop, origin)))
            else:
                done.extend((verb, write_picture(path, image, origin)) for image, _ in picture.frames)
        return done

    def values(self, found: Values) -> list[Done]:
        """Write a table of numbers."""
        from genwerk.modalities import rows

        form, path = self._target(None) if self.numbers else ("table", self._beside(found.end))
        if form == "output":
            assert self.stdout is not None
            rows.write_csv(self.stdout, *found.table())
            return []
        path, verb = self._place(path)
        if form == "array":
            return [(verb, rows.write_array(path, [found.rows], len(found.rows)))]
        return [(verb, rows.write_table(path, *found.table()))]

    def scatter(self, found: Scatter) -> list[Done]:
        """Draw a picture."""
        from genwerk.modalities import writers

        path, verb = self._place(self._beside(found.end))
        return [(verb, writers.scatter(path, found.groups, found.origin, title=found.title))]

    # --- names --------------------------------------------------------------------------------------------------------

    def _target(self, modality: Modality | None) -> tuple[Form, Path]:
        """What is to be written of examples (or, without a modality, of numbers), and where."""
        from genwerk.modalities.pictures import MOVING
        from genwerk.modalities.rows import ARRAYS, TABLES
        from genwerk.modalities.writers import end_of

        own = () if modality is None else modality.endings
        own = tuple(dict.fromkeys((*own, *MOVING))) if self.animations else own
        several = modality is not None and modality.one_per_file
        form: Form = "examples" if own else "table"
        usual = (own or (".csv",))[0]
        if self.out is None:
            return form, self._own.with_name(self._own.name + usual)
        if self.out == OUTPUT:
            if several:
                assert modality is not None
                raise BadSetting(
                    "out", f"is {OUTPUT}, standard output, which takes tables; name a file, such as {self.what}{usual}"
                )
            return "output", Path(OUTPUT)
        path, end = Path(self.out), end_of(Path(self.out))
        named = self.out.endswith(("/", os.sep))
        if several and not named and path.is_dir() and any(path.iterdir()):
            assert modality is not None
            raise BadSetting(
                "out",
                f"is {self.out}, a folder that is not empty; to put {modality.plural} there, type ‹out› {self.out}/",
            )
        if named or path.is_dir():
            return ("folder", path) if several else (form, path / f"{self.what}{usual}")
        if end in own:
            return "examples", path
        tables, arrays = ((), ()) if self.loose else ((*TABLES,), ARRAYS)
        if end in tables or end in arrays:
            return ("table" if end in tables else "array"), path
        if end:
            forms = ", ".join((*own, *tables, *arrays))
            folder = f", or a folder, as in ‹out› {self.out}/" if several else ""
            raise BadSetting("out", f"is {self.out}, and {end} cannot be written; expected {forms}{folder}")
        return ("folder", path) if several else (form, path.with_name(path.name + usual))

    @cached_property
    def _own(self) -> Path:
        """The name of our own, without an end, with the first number that no file in the folder has."""
        taken = {name.partition(".")[0] for name in os.listdir(self.outputs)} if self.outputs.is_dir() else set()
        names = (f"{self.what}-{i}" if i > 1 else self.what for i in count(1))
        return self.outputs / next(name for name in names if name not in taken)

    def _beside(self, end: str) -> Path:
        """Where a file goes that is written beside the one that was asked for."""
        from genwerk.modalities.writers import named

        if self.out is None or self.out == OUTPUT:
            return self._own.with_name(self._own.name + end)
        path = Path(self.out)
        return named(path / self.what if self.out.endswith(("/", os.sep)) or path.is_dir() else path, end)

    def _place(self, path: Path) -> tuple[Path, str]:
        """``path``, or where something has come to be there, and is not to be replaced, the next that is free."""
        if not os.path.lexists(path):
            return path, "wrote"
        if self.overwrite and self.out is not None:
            return path, "replaced"
        names = (path.with_name(f"{path.stem}-{i}{path.suffix}") for i in count(2))
        return next(name for name in names if not os.path.lexists(name)), "wrote"

    def _check_free(self, folder: Path, n: int) -> None:
        """Refuse a folder that holds some of ``n`` numbered files already."""
        check_numbers_free(folder, range(self.first, self.first + n), self.overwrite)
