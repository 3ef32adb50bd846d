"""Texts as a user has them, English and Chinese: checked, trained on, sampled, completed, measured, compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from genwerk.cli import main

Genwerk = Callable[..., str]
ENGLISH = [" ".join(words) + "." for words in product(("a", "the"), ("cat", "dog", "bird"), ("sat", "ran", "ate"))]
CHINESE = ["".join(signs) for signs in product("春夏秋冬", "山水", "有无", "云月风")]
QUIET = ("--train.sample-every", 0, "--train.evaluate-every", 0, "--evaluate.samples", 0, "--data.holdout", 0.2)


def trained(folder: Path, lines: list[str], recipe: str, *more: object) -> Path:
    (folder / "my.txt").write_text("\n".join(10 * lines), encoding="utf-8")
    given = ("train", recipe, "--data", folder / "my.txt", "--out", folder / "run", *QUIET, *more)
    main([str(each) for each in given])
    return folder / "run"


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = ("--model.network.embedding", 12, "--model.network.width", 24, "--train.rounds", 150, "--lr", 0.02)
    return trained(tmp_path_factory.mktemp("english"), ENGLISH, "lstm-lm", "--data.tokens", "words", *small)


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = ("--model.network.width", 16, "--model.network.layers", 1, "--model.network.positions", "rotary")
    more = ("--train.rounds", 100, "--lr", 0.02)
    return trained(tmp_path_factory.mktemp("chinese"), CHINESE, "transformer-lm", *small, *more)


def test_data_check_says_what_was_understood(genwerk: Genwerk, english: Path) -> None:
    said = genwerk("data", "check", english.parent / "my.txt", "--data.tokens", "words")
    assert "180 texts, each of them a line" in said
    assert "Texts are read as words, with a vocabulary of" in said
    assert "Texts of the training part have 4 words each" in said
    assert "genwerk train transformer-lm" in said


def test_samples_are_texts_of_the_language_a_line_each(genwerk: Genwerk, english: Path, tmp_path: Path) -> None:
    said = genwerk("sample", english, "-n", 20, "--temperature", 0.5, "--out", tmp_path / "new.txt")
    lines = (tmp_path / "new.txt").read_text().splitlines()
    assert len(lines) == 20
    assert sum(line in ENGLISH for line in lines) >= 18
    assert lines[0] in said
    genwerk("sample", english, "-n", 20, "--temperature", 0.5, "--out", tmp_path / "new.jsonl")
    assert [json.loads(line)["text"] for line in (tmp_path / "new.jsonl").read_text().splitlines()] == lines


def test_samples_are_told_to_programs_and_watched(genwerk: Genwerk, english: Path) -> None:
    found = json.loads(genwerk("sample", english, "-n", 3, "--json"))
    assert found["first_texts"] == json.loads(genwerk("sample", english, "-n", 12, "--json"))["first_texts"][:3]
    genwerk("watch", english, "-n", 2, "--out", english / "watched.txt")
    lines = (english / "watched.txt").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == [f"sample {i}" for i in (0, 0, 0, 0, 0, 1, 1, 1, 1, 1)]
    assert [lines[4].split("\t")[-1], lines[9].split("\t")[-1]] == found["first_texts"][:2]


def test_a_prompt_is_gone_on_from_and_its_holes_are_filled(genwerk: Genwerk, english: Path, chinese: Path) -> None:
    found = json.loads(genwerk("complete", english, "--prompt", "the dog", "a {1} sat", "-k", 4, "--json"))
    on, filled = (example["completions"] for example in found["examples"])
    assert all(text.startswith("the dog") for text in on)
    assert sum(text in ENGLISH for text in on) >= 3
    assert all(text.split()[0] == "a" and text.split()[2].startswith("sat") for text in filled)
    said = genwerk("complete", chinese, "--prompt", "春山", "-k", 2)
    assert sum("春山" in line for line in said.splitlines()) >= 2


def test_the_likelihood_is_counted_by_words_and_characters(genwerk: Genwerk, english: Path, chinese: Path) -> None:
    said = genwerk("evaluate", english)
    assert all(name in said for name in ("NLL", "bits/word", "bits/character", "ends counted; perplexity"))
    assert "bits/character" in genwerk("evaluate", chinese)


def test_copies_are_seen(genwerk: Genwerk, english: Path) -> None:
    found = json.loads(genwerk("nearest", english, "-n", 4, "-k", 1, "--json"))
    assert any(sample["nearest"][0]["distance"] == 0 for sample in found["samples"])


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (("--prompt", "the horse"), "the prompt has ' horse', which the training texts lack"),
        (("--prompt", "the cat sat cat cat"), "nothing could follow; shorten it"),
        (("--prompt", "the cat", "--known", "first-half"), "leave one of them out"),
        ((), "nothing is said to be known; name what is with --known, or type how a text begins with --prompt"),
        (("--known", "top-half"), "there is no part 'top-half' of a text"),
    ],
)
def test_what_cannot_be_completed_is_said(
    refused: Genwerk, english: Path, typed: tuple[str, ...], sentence: str
) -> None:
    assert sentence in refused("complete", english, *typed)


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = ("--model.network.embedding", 12, "--model.network.width", 24, "--model.network.dropout", 0)
    more = ("--model.latent", 4, "--model.free-bits", 1, "--model.word-dropout", 0, "--train.rounds", 300, "--lr", 0.02)
    return trained(tmp_path_factory.mktemp("coded"), ENGLISH, "vae-text", "--data.tokens", "words", *small, *more)


def test_sentences_have_codes(genwerk: Genwerk, coded: Path, tmp_path: Path) -> None:
    said = genwerk("evaluate", coded)
    assert all(name in said for name in ("≤ NLL", "≤ bits/word", "KL of codes", "active units", "tokens rebuilt"))
    assert "reconstruction MSE" not in said
    said = genwerk("sample", coded, "-n", 20, "--temperature", 0.5, "--out", tmp_path / "new.txt")
    lines = (tmp_path / "new.txt").read_text().splitlines()
    assert sum(line in ENGLISH for line in lines) >= 15
    assert all(line in said for line in lines[:8])
    said = genwerk("reconstruct", coded, "--input", "the cat sat.")
    assert said.count("the cat sat.") == 2
    assert "4 of 4 tokens and 1 of 1 texts the same over 1 examples" in said
    assert "z0" in genwerk("traverse", coded, "--input", "the cat sat.", "--dims", 0, 1, 2)
    genwerk("encode", coded, "--out", tmp_path / "codes.csv")
    assert len((tmp_path / "codes.csv").read_text().splitlines()[0].split(",")) >= 4


def test_there_is_a_way_from_one_sentence_to_another(genwerk: Genwerk, coded: Path, tmp_path: Path) -> None:
    genwerk("interpolate", coded, "the cat sat.", "a dog ran.", "--steps", 5, "--out", tmp_path / "way.txt")
    names, lines = zip(*(line.split("\t") for line in (tmp_path / "way.txt").read_text().splitlines()), strict=True)
    assert names == ("the cat sat.", "0.25", "0.5", "0.75", "a dog ran.")
    assert (lines[0], lines[-1]) == ("the cat sat.", "a dog ran.")
    assert "test row 0" in genwerk("interpolate", coded, 0, 1, "--steps", 3)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("the horse sat.", "' horse', which the training texts lack"),
        ("the {1} sat.", "has a place to be filled in; write it out"),
        ("missing.txt", "no such path exists"),
    ],
)
def test_a_sentence_that_cannot_be_read_is_said(refused: Genwerk, coded: Path, typed: str, sentence: str) -> None:
    assert sentence in refused("reconstruct", coded, "--input", typed)


def test_scheduled_sampling_is_a_setting(genwerk: Genwerk, tmp_path: Path) -> None:
    small = ("--model.network.embedding", 4, "--model.network.width", 8, "--train.rounds", 5)
    sampling = ("--model.scheduled-sampling", "inverse-sigmoid", "--model.scheduled-sampling.sampled", 0.5)
    run = trained(tmp_path, ENGLISH, "lstm-lm", "--data.tokens", "words", *small, *sampling)
    stored = json.loads((run / "config.json").read_text())["recipe"]["model"]["scheduled_sampling"]
    assert stored == {"$type": "inverse-sigmoid", "sampled": 0.5}


def test_where_a_prompt_belongs_is_said(refused: Genwerk, english: Path) -> None:
    assert "or let `genwerk complete` go on from it" in refused("sample", english, "--prompt", "the cat")


def test_texts_of_one_symbol_have_nothing_to_learn(refused: Genwerk, tmp_path: Path) -> None:
    (tmp_path / "my.txt").write_text("aaaa\naa\na\n")
    said = refused("train", "lstm-lm", "--data", tmp_path / "my.txt", "--out", tmp_path / "run")
    assert "fewer than two different characters, so there is nothing to learn" in said


def test_weights_of_one_text_go_on_with_another(genwerk: Genwerk, english: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("\n".join(5 * ["the cat sat.", "a cat ate.", "the unicorn ran."]))
    given = ("--data", tmp_path / "other.txt", "--out", tmp_path / "run", "--train.rounds", 3, "--no-evaluate")
    assert "training lstm-lm" in genwerk("train", "--from", english, *given)


def test_samples_are_measured_at_every_temperature(genwerk: Genwerk, english: Path, chinese: Path) -> None:
    given = ("--samples", 40, "--lm-rounds", 4, "--temperatures", "0.5,2")
    found = json.loads(genwerk("evaluate", english, *given, "--json"))
    assert {"bleu_2", "self_bleu_5", "distinct_2", "copied", "reverse_lm_score"} <= found["figures"].keys()
    cold, hot = found["sweep"]
    assert (cold["temperature"], hot["temperature"]) == (0.5, 2.0)
    assert cold["figures"]["self_bleu_4"]["value"] > hot["figures"]["self_bleu_4"]["value"]
    assert json.loads((english / "report.json").read_text())["sweep"] == found["sweep"]
    assert (english / "sweep.csv").read_text().startswith("temperature,key,figure,value,")
    assert (english / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert "sweep.png" in (english / "index.html").read_text()
    said = genwerk("evaluate", chinese, *given[:4])
    assert "BLEU-2" in said
    assert "T = 0.5" not in said


def test_runs_of_texts_are_compared_and_shown_side_by_side(genwerk: Genwerk, english: Path, tmp_path: Path) -> None:
    small = ("--model.network.embedding", 8, "--model.network.width", 12, "--train.rounds", 40, "--train.seed", 1)
    other = trained(tmp_path, ENGLISH, "lstm-lm", "--data.tokens", "words", *small)
    given = ("--evaluate.samples", 40, "--evaluate.lm-rounds", 4, "--evaluate.temperatures", "0.5,1", "--common")
    genwerk("compare", english, other, *given, "--out", tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Quality against variety" in page
    assert 'class="texts"' in page
    assert any(line in page for line in ENGLISH)
    assert "one training seed tells nothing" in page
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    assert {run["pictures"].keys() >= {"samples", "completions", "nearest"} for run in found["measured"]} == {True}
    assert (tmp_path / "report" / "sweep.csv").is_file()


def test_temperatures_that_cannot_be_had_are_refused_before_training(refused: Genwerk, tmp_path: Path) -> None:
    (tmp_path / "my.txt").write_text("\n".join(ENGLISH))
    given = (
        "train",
        "lstm-lm",
        "--data",
        tmp_path / "my.txt",
        "--out",
        tmp_path / "run",
        "--evaluate.temperatures",
        "1",
    )
    assert "--samples is 0; ask for some" in refused(*given)
    assert not list((tmp_path / "run").rglob("*.safetensors"))
    assert "--temperatures are for models of texts" in refused("train", "vae", "--data", "digits", *given[4:])
