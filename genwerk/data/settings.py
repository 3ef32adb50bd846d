"""Which data, and how they are read: the settings of every reader (nothing here loads torch)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from genwerk.core.errors import ONE, SEEDS, TWO, BadSetting, check_ranges
from genwerk.core.marks import Common, File


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which data, and how they are read."""

    source: Annotated[str, Common(), File()] = ""
    """A built-in (digits, ring, grid, parabola, gaussians8, crescents, checkerboard, phases, sprites, scenes, oracle),
    a path (folder or .zip of images, sounds or .txt, a .txt or .jsonl, idx files, .npy, .npz, .csv, .tsv, .amat,
    .parquet),
    hf:NAME, or a table of the literature as power:PATH (also gas, hepmass, miniboone, bsds300)."""
    to: Annotated[str, Common(), File()] = ""
    """A second source of images, of any of these kinds: what is to be made from each image, where files of both have
    the same names, else another domain."""
    pairing: Literal["auto", "name", "none"] = "auto"
    """Whether files that are called alike in both are pairs: name leaves out those without a counterpart, none takes
    the two as domains, auto is name where all have one, and none where none has. Arrays and tables are domains; name
    pairs their rows."""
    size: Annotated[int | None, Common()] = None
    """Height and width in pixels that images are brought to; None keeps the size all images share."""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    """How an image of another shape is fitted: crop its middle, pad with its border colour, or stretch."""
    colour: Literal["auto", "grey", "rgb", "rgba"] = "auto"
    """Colour of images; auto is grey when every image is grey, else rgb; rgba keeps their transparency."""
    background: str = "white"
    """What images are laid over where they are transparent: white, black, or a colour as in #ff8800."""
    palette: int | None = None
    """Greatest number of colours that RGB images are brought to (exactly, where they have no more); None keeps all."""
    tolerance: int = 0
    """Largest difference a channel, of 255, by which colours count as one when a palette is made."""
    rate: int | None = None
    """Samples a second that sounds are brought to; None keeps the rate that most files have."""
    seconds: float | None = None
    """Length of an example of sound; None is the length that nine in ten recordings do not exceed, at most 2."""
    first_piece: bool = False
    """Whether only the first piece of each recording is used; else one longer than an example is cut into several."""
    tokens: Annotated[Literal["characters", "words", "byte-pairs"], Common()] = "characters"
    """What texts are made of: characters, words (signs of scripts without spaces count as such) or byte pairs."""
    vocabulary: int = 8_000
    """Greatest number of different tokens; of more characters or words the rarest are unknown."""
    length: int | None = None
    """Tokens of an example of text, its end among them; None is the longest text's, at most 256."""
    long: Literal["windows", "cut", "drop"] = "windows"
    """What becomes of a text that is longer: consecutive windows, its beginning alone, or nothing."""
    unit: Literal["auto", "line", "file"] = "auto"
    """What one text is: a line, or a whole file; auto is a line, but in a folder of several files a file."""
    unicode: Literal["NFC", "NFKC", "NFD", "NFKD", "none"] = "NFC"
    """Normal form of Unicode that texts are brought to; NFKC also unites full and half width; none leaves them."""
    text: str = ""
    """Name of the column of a table that holds texts, which are then what is learned (of JSON, unless you say so:
    text)."""
    label: str = "label"
    """Name of the column or array that holds the labels, where the source has one (or class, unless you say so)."""
    labels: Annotated[str, File()] = ""
    """A second file that holds the labels (csv, tsv, txt, json, jsonl, npy, npz, idx, parquet), or FILE:COLUMN of it:
    of files by their names, of the rows of an array or table in their order."""
    label_pattern: str | None = None
    """Regular expression whose first group, found in a file's name, is its label: ^([0-9])_ for 7_ann.wav."""
    attributes: str = ""
    """What images are told to have a value of, joined by commas: nouns of the captions (hair,eyes), columns of
    metadata.csv, or FILE:COLUMN,COLUMN of a second file; else found in captions such as "blue hair, red eyes"."""
    covariates: str = ""
    """Columns of a table that a model is conditioned on, by name or by number (from 0), joined by commas."""
    jitter: bool = False
    """Whether uniform noise as wide as the step of their grid is added, once, to columns of a table that take few
    values: densities stay bounded, and are those of the data with the noise."""
    holdout: float = 0.1
    """Fraction of the examples held out for testing, where the source has no test part of its own; 0 holds none out,
    nor any to choose weights by."""
    validation: float = 0.1
    """Fraction of the examples left for training that is kept apart to choose weights by, 2,000 at most; 0 keeps
    none apart."""
    test: Annotated[str, File()] = ""
    """Another source that is the test part, all of it or its own test part; nothing is held out of the first then."""
    group: str = ""
    """What must not be split among the parts (speaker, patient): a column of a table, which is then not modelled, or a
    regular expression whose first group is found in the names of files, as in ^([a-z]+)/."""
    limit: int | None = None
    """Greatest number of training examples to use, taken at random; None is all."""
    seed: int = 0
    """Seed of the held-out choice, of the limit and of built-in data."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "data",
            size=(1, 2**16),
            palette=TWO,
            tolerance=(0, 255),
            rate=(1, 10**7),
            seconds=(1e-6, 10**6),
            length=(2, 2**20),
            vocabulary=(300 if self.tokens == "byte-pairs" else 3, 10**6),
            limit=ONE,
            seed=SEEDS,
        )
        for name, part in (("holdout", self.holdout), ("validation", self.validation)):
            if not 0 <= part < 1:
                raise BadSetting(f"data.{name}", f"is {part}; expected a number from 0 to below 1")
