# ruff: noqa: RUF001  # punctuation of Chinese
"""What the page shows in Chinese: every help text is translated, and so is every sentence of the studio's server."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import genwerk
from genwerk.commands import COMMANDS
from genwerk.commands.command import options
from genwerk.comparison.advice import RULES, suggestions
from genwerk.core.component import Component
from genwerk.core.errors import BadInput, naming
from genwerk.core.options import SamplingOptions
from genwerk.data import DataConfig, open_data
from genwerk.gallery.figures import FIGURES
from genwerk.studio.forms import field as field_of
from genwerk.studio.offered import TERMINALS
from genwerk.studio.questions import Questions
from genwerk.studio.showing import spoken
from genwerk.studio.wording import page_said, said, worded
from genwerk.tasks.fitting import offers

STUDIO = Path(genwerk.__file__).parent / "studio"
WORDS = STUDIO / "static" / "words"
HIDDEN = {"recipe", "out", "resume", "config", "from_run", "data.source", "tensorboard"}
"""Settings of a training that its form leaves out."""
RAISED = {"BadInput", "Refused", "Denied", "Full", "Misnamed"}
OF_THE_TERMINAL = {"command.py"}
"""Files whose sentences are told before there is a page."""


def ours(kind: type) -> bool:
    """Whether ``kind`` is the library's: other tests in this process define commands and options of their own."""
    return kind.__module__.startswith("genwerk.")


def commands(questions: Questions) -> list[dict[str, Any]]:
    return [form for form in questions.commands() if ours(COMMANDS[form["name"]])]


def helped(root: Path) -> Iterator[str]:
    """Summaries and help texts of all commands, recipes and sampling options that the page offers."""
    questions = Questions(root)

    def of(sections: list[dict[str, Any]], hidden: Collection[str] = ()) -> Iterator[str]:
        for section in sections:
            yield section["about"]
            yield from (field["help"] for field in section["fields"] if field["name"] not in hidden)

    def kinds(of_options: type[SamplingOptions]) -> Iterator[type[SamplingOptions]]:
        for kind in of_options.__subclasses__():
            yield from (kind, *kinds(kind))

    for command in commands(questions):
        assert command["name"] not in TERMINALS
        yield command["summary"]
        yield from of(command["sections"])
    for offer in offers():
        yield spoken(offer.entry.summary)
        yield from of(questions.recipe(offer.entry.name)["sections"], HIDDEN)
    for kind in filter(ours, kinds(SamplingOptions)):
        yield from (spoken(option.help) for option in options(kind))


def test_every_help_text_of_the_page_is_in_chinese(tmp_path: Path) -> None:
    known = json.loads((WORDS / "zh.json").read_text("utf-8")) | json.loads((WORDS / "zh-help.json").read_text("utf-8"))
    texts = {text for text in helped(tmp_path) if text}
    assert len(texts) > 500
    assert [text for text in texts if text not in known] == []


def test_no_translation_is_of_a_text_that_is_gone(tmp_path: Path) -> None:
    known = json.loads((WORDS / "zh-help.json").read_text("utf-8"))
    helps = {text: words for text, words in known.items() if not text.startswith("field:")}
    assert all(re.search("[\u4e00-\u9fff]", words) or "alpha" in words for words in helps.values())
    assert not helps.keys() - set(helped(tmp_path))


def test_every_field_of_the_page_has_a_chinese_name(tmp_path: Path) -> None:
    known = json.loads((WORDS / "zh.json").read_text("utf-8")) | json.loads((WORDS / "zh-help.json").read_text("utf-8"))
    questions = Questions(tmp_path)
    forms = [*commands(questions), *(questions.recipe(offer.entry.name) for offer in offers())]
    names = {field["name"] for form in forms for section in form["sections"] for field in section["fields"]}
    assert len(names) > 400

    def named(name: str) -> bool:
        last = name.rpartition(".")[2]
        spelt = re.sub("[-_]+", " ", last)
        return bool({f"field:{name}", f"field:{last}", spelt[:1].upper() + spelt[1:]} & known.keys())

    assert not [name for name in names - HIDDEN if not named(name)]


def texts(node: ast.expr) -> list[str]:
    """What an expression of text may be, with braces where a value is put in."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values)]
    if isinstance(node, ast.IfExp):
        return [*texts(node.body), *texts(node.orelse)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [left + right for left in texts(node.left) for right in texts(node.right)]
    return ["{}"]


def sentences(path: Path, errors: Collection[str]) -> Iterator[str]:
    """The sentences of the ``errors`` that a file raises, of which something is known before it runs."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in errors and node.args:
            first, *others = (texts(argument) for argument in node.args)
            if node.func.id == "BadSetting":
                first = [f"‹{name}› {why}" for name in first for why in (others[0] if others else ())]
            yield from (text for text in first if len(re.sub(r"\{\}|‹.*?›|\W", "", text)) > 4)


def test_every_sentence_of_the_server_is_in_chinese() -> None:
    files = [path for path in STUDIO.glob("*.py") if path.name not in OF_THE_TERMINAL]
    found = [text.replace("{}", "17") for path in files for text in sentences(path, RAISED)]
    assert len(found) > 40
    assert not [text for text in map(spoken, found) if said(text, "zh") == text]


def test_every_sentence_that_the_library_raises_is_in_chinese() -> None:
    errors = {error.__name__ for error in kinds_of(BadInput)} - {"MissingCondition"} | {"Caution", "ValueError"}
    typed = (STUDIO.parent / "cli" / name for name in ("components.py", "parsing.py", "training.py"))
    apart = {STUDIO, *typed}  # what is typed wrongly is told in the terminal
    files = [path for path in STUDIO.parent.rglob("*.py") if not apart & {path, *path.parents}]
    found = {text for path in files for text in sentences(path, errors)}
    known = json.loads((STUDIO / "words" / "errors.zh.json").read_text("utf-8"))
    assert len(found) > 700
    assert sorted(found - known.keys()) == []
    assert sorted(known.keys() - found) == []


def kinds_of(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for each in kind.__subclasses__():
        yield from kinds_of(each)


def test_values_stand_in_a_translation_as_they_are() -> None:
    """Each value once, but for those that only English needs."""
    known = json.loads((STUDIO / "words" / "errors.zh.json").read_text("utf-8"))
    for sentence, words in known.items():
        values = [f"value{i}" for i in range(sentence.count("{}"))]
        text = sentence
        for value in values:
            text = text.replace("{}", value, 1)
        told = said(spoken(text), "zh")
        assert told != spoken(text), sentence
        assert "{" not in told or "{" in text, (sentence, told)
        kept = len(re.findall(r"\{\d*[wsn]?\}", words))
        assert sum(value in told for value in values) >= kept, (sentence, told)


@pytest.mark.parametrize("file", sorted((STUDIO / "words").glob("*.zh.json")), ids=lambda path: path.stem)
def test_a_translation_has_no_value_that_its_sentence_lacks(file: Path) -> None:
    """Values are numbered, all or none of them; without numbers they stand in the order of the sentence."""
    for sentence, words in json.loads(file.read_text("utf-8")).items():
        given, numbers = len(re.findall(r"\{\w*\}", sentence)), re.findall(r"\{(\d*)[wsn]?\}", words)
        assert len(numbers) <= given or all(numbers), sentence
        assert all(numbers) or not any(numbers), sentence
        assert all(1 <= int(number) <= given for number in filter(None, numbers)), sentence


def test_what_is_said_of_built_in_data_and_recipes_is_in_chinese() -> None:
    for name in ("digits", "ring"):
        splits = open_data(DataConfig(source=name))
        told = [naming(note, str) for note in splits.notes] + [str(splits.spec)]
        told += [each.why for each in suggestions(splits.spec, len(splits.train))]
        assert len(told) > 5
        assert [text for text in told if worded({"why": text}, "zh")["why"] == text] == []


def test_an_answer_has_its_sentences_in_chinese_and_what_is_a_users_as_it_is() -> None:
    own = {
        "run": "runs/training",
        "classes": ["test", "image"],
        "examples": {"columns": ["value"], "rows": [["close"]]},
    }
    answer = {
        "data": own | {"spec": "images of 8x8x1, 2 classes", "notes": ["The 2 sub-folders are the classes."]},
        "recipes": [{"name": "vae", "why": "Fréchet distance 5.64 (floor 1.58) on digits, place 3 to 10 of 11"}],
        "report": {
            "columns": ["figure", "value", "verdict"],
            "rows": [["recall", "0.9", "all of the variety"], ["recall", "0.9", "see coverage"]],
            "notes": ["precision, recall: 5 neighbours, 175 of each."],
        },
    }
    told = worded(answer, "zh")
    assert told["data"] == own | {"spec": "8x8x1 的图像，2 个类别", "notes": ["2 个子文件夹就是类别。"]}
    assert told["recipes"][0] == {
        "name": "vae",
        "why": "Fréchet 距离 5.64（下限 1.58），数据 digits，第 3 至 10 名，共 11 个",
    }
    assert told["report"]["columns"] == ["指标", "值", "评语"]
    assert told["report"]["rows"] == [["召回率", "0.9", "全部多样性"], ["召回率", "0.9", "见覆盖度"]]
    assert told["report"]["notes"] == ["精度、召回率：5 个近邻，各 175 个。"]
    assert worded(answer, "en") == answer
    table = {"type": "table", "columns": ["recipe", "completion"], "rows": [["mixture", "coverage of the sea"]]}
    assert worded(table, "zh") == table | {"columns": ["配方", "补全"]}
    raw = {"values": {"runs": [{"report": {"figures": {}, "notes": ["recall: 5 neighbours."]}}], "report": None}}
    assert worded(raw, "zh")["values"]["runs"][0]["report"]["figures"] == {}
    assert worded({"type": "table", "rows": None}, "zh") == {"type": "table", "rows": None}
    assert worded({"text": "recall: 5 neighbours."}, "zh") == {"text": "召回率：5 个近邻。"}
    assert said("images cannot be read: the disk is full", "zh") == "无法读取 images：磁盘已满"
    assert said("data.size is 0; expected a number 1 or more", "zh") == "“图像边长”为 0；应不小于 1"
    assert said("what nobody has said", "zh") == "what nobody has said"


def test_lists_tables_and_notes_are_in_chinese_as_a_whole() -> None:
    has = "17,998 training examples and not 80, 40 test examples and not 5"
    told = said(spoken(f"b is of other data: it has {has}; choose another folder with ‹out›"), "zh")
    assert "（有训练样例 17,998 个而不是 80 个，测试样例 40 个而不是 5 个）" in told
    notes = {
        "Files of other kinds are left unused: 6 with .a, 1 with .b.": "其他类型的文件不用：6 个 .a，1 个 .b。",
        "2 texts, each of them a file; with ‹data.unit› line, every line is one.": (
            "2 篇文本，每个文件一篇；“文本单位”取 line 时，以行为一篇。"
        ),
        "Every image is cropped to its middle and resized to 8 x 9 pixels.": "每幅图像裁取中部并缩放到 8 x 9 像素。",
        "row 4: label 7: log-likelihood -60.2, -50.4 nats": "第 4 行，标签 7：对数似然 -60.2, -50.4 nat",
        "zdt3, gmoea: IGD 0.3, hypervolume 0.4, SBX 30%": "zdt3、gmoea：IGD 0.3，超体积 0.4，SBX 30%",
        "sample, encode (references)": "采样，编码（基准设置）",
        "photos/broken.jpg: Truncated File Read": "photos/broken.jpg：文件不完整",
    }
    assert worded({"notes": [*notes]}, "zh")["notes"] == [*notes.values()]
    compared = {
        "type": "table",
        "columns": ["contestant", "Quality: Fréchet distance ↓", "Likelihood: NLL ↓ (nats)"],
        "rows": [
            ["vae", "0.5; one training seed", "≤ 3.2; bound of binary pixels; 1 of 5"],
            ["gan", "like noise", "none"],
        ],
    }
    assert worded(compared, "zh") == compared | {
        "columns": ["参比模型", "质量：Fréchet 距离 ↓", "似然：NLL（负对数似然） ↓（nat）"],
        "rows": [
            ["vae", "0.5；只有一个训练种子", "≤ 3.2；界，针对二值像素；第 1 名，共 5 个"],
            ["gan", "与噪声一样", "无"],
        ],
    }
    measured = {"columns": ["zdt3 by gmoea, 1 run of 600 evaluations"], "rows": [["task 1 IGD"], ["share of SBX"]]}
    assert worded({"type": "table", **measured}, "zh")["columns"] == ["zdt3，算法 gmoea，1 次运行，评价 600 次"]
    assert worded({"type": "table", **measured}, "zh")["rows"] == [["任务 1 的 IGD"], ["占比：SBX"]]
    assert said("“reference” is 'a'; expected a number", "zh").startswith("“参考点”")


def test_every_figure_of_the_gallery_is_described_in_chinese() -> None:
    assert [text for text in FIGURES.values() if said(text, "zh") == text] == []


PROPER = {
    *("adagrad", "adam", "adamax", "adamw", "rmsprop", "sgd"),
    *("elu", "gelu", "leaky_relu", "quick_gelu", "relu", "sigmoid", "silu", "softplus", "tanh"),
    *("ddim", "ddpm", "dpmpp2m", "dpmpp2m-sde", "euler", "euler-ancestral", "heun", "karras", "pndm", "unipc"),
    *("dcgan", "diffaugment", "edsr", "lstm", "transformer", "unet", "wasserstein"),
    *("NFC", "NFD", "NFKC", "NFKD", "bfloat16", "float32", "w", "w+", "z"),
}
"""Values of settings that are names in every language."""


def test_every_value_to_choose_is_explained_in_chinese_or_is_a_name(tmp_path: Path) -> None:
    known = json.loads((WORDS / "zh.json").read_text("utf-8"))
    questions = Questions(tmp_path)
    forms = [*commands(questions), *(questions.recipe(offer.entry.name) for offer in offers())]
    fields = [field for form in forms for section in form["sections"] for field in section["fields"]]
    fields += [field_of(option) for kind in filter(ours, kinds_of(SamplingOptions)) for option in options(kind)]
    theirs = {kind.kind for kind in kinds_of(Component) if kind.kind and not ours(kind)}
    choices = [(field["name"].rpartition(".")[2], field["choices"] or ()) for field in fields]
    values = {(name, each) for name, of in choices for each in of if each not in theirs}
    assert len(values) > 150
    told = {(name, each) for name, each in values if {f"choice:{name}.{each}", f"choice:{each}"} & known.keys()}
    assert {each for _, each in values - told} <= PROPER | set("1245") | {"8", "16"}


ENGLISH = re.compile(r"(?<![‹“\w./-])[a-z]{2,}(?: [a-z]{2,})+")
"""Words of English one after the other, which a Chinese sentence has none of."""


PHRASES = (ast.JoinedStr, ast.IfExp, ast.Constant, ast.Call)
UNLIKE = re.compile(r"1 \w+ has .* are |17 \w+ have .* is laid")
"""A sentence that nobody says: singular here and plural there."""


def expanded(node: ast.expr, known: Mapping[str, ast.expr]) -> list[str]:
    """Like :func:`texts`, where what is put in may be one of several phrases, ``known`` by a name or not, or how many
    there are of something."""
    if isinstance(node, ast.JoinedStr):
        found = [""]
        for each in node.values:
            more = expanded(each.value, known) if isinstance(each, ast.FormattedValue) else texts(each)
            found = [begun + end for begun in found for end in more]
        return found
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_count":
        return ["1 recording is", "17 recordings are"]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "count":
        noun, *plural = (expanded(each, known)[0] for each in node.args[1:])
        return [f"1 {noun}", f"17 {plural[0] if plural else noun + 's'}"]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return ["", *expanded(node.left, known)]
    if isinstance(node, ast.IfExp):
        return [*expanded(node.body, known), *expanded(node.orelse, known)]
    if isinstance(node, ast.Name) and node.id in known:
        return expanded(known[node.id], {name: of for name, of in known.items() if name != node.id})
    return [text.replace("{}", "17") for text in texts(node)]


def left_in_english(sentence: str) -> str:
    """``sentence`` in Chinese where English words are left in that; else nothing."""
    told: str = worded({"why": sentence}, "zh")["why"]
    return told if told == sentence or ENGLISH.search(told) else ""


def notes_of(function: ast.FunctionDef) -> Iterator[str]:
    """Sentences with a full stop that a function yields, returns, appends to notes, or tells of recordings."""
    known = {}
    for node in ast.walk(function):
        if isinstance(node, ast.NamedExpr) or (isinstance(node, ast.Assign) and len(node.targets) == 1):
            target = node.target if isinstance(node, ast.NamedExpr) else node.targets[0]
            if isinstance(target, ast.Name) and isinstance(node.value, PHRASES):
                known[target.id] = node.value
    for node in ast.walk(function):
        values: Sequence[ast.expr] = ()
        if isinstance(node, ast.Yield | ast.Return) and node.value is not None:
            values = [node.value]
        elif isinstance(node, ast.Tuple | ast.List):
            values = node.elts
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("notes.append"):
            values = node.args
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "tell":
            told = (text for each in node.args[1:2] for text in expanded(each, known))
            yield from (f"17 recordings are {text.replace('{first}', 'the first is a.wav')}" for text in told)
        for each in values:
            if isinstance(each, ast.Constant | ast.JoinedStr | ast.IfExp):
                yield from (text for text in expanded(each, known) if re.search(r"[a-z]{3,} [a-z]{2,}.*\.$", text))


def test_notes_on_data_are_in_chinese_as_a_whole() -> None:
    """Sentences that a source of data, or what divides them, tells: what was dropped, filled up, cut, left out."""
    found = set[str]()
    for path in sorted((STUDIO.parent / "data").rglob("*.py")):
        functions = (each for each in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(each, ast.FunctionDef))
        found |= {naming(each, str) for function in functions for each in notes_of(function)}
    found = {text for text in found if not UNLIKE.match(text)}
    assert len(found) > 90
    left = [told for told in map(left_in_english, sorted(found)) if told]
    assert not left, "\n".join(left)


def test_rules_of_thumb_are_in_chinese_as_a_whole() -> None:
    told = [left_in_english(f"rule of thumb: {rule.why}") for rule in RULES]
    assert len(told) > 10
    assert [each for each in told if each] == []


@pytest.mark.parametrize(
    "said_of",
    [
        "≤ bits/dim: 42.85 nats / (64 dimensions x ln 2), of the stored pixels.",
        "bits/dim: 4.2 nats / (64 dimensions x ln 2), of the stored levels (variational dequantisation).",
        "NLL: bound, K = 100, effective sample size 64.9; 175 held-out; pixel means: 27.01 nats.",
        "bits/character: of 840 characters, ends counted; perplexity 12.33.",
        "KL of codes: by dimension: 0.021 0.015 and 11 lower.",
        "feature likelihood divergence: 744 samples, 1,488 training and 175 held-out examples.",
        "sampling latency: processor time, least of 9 trials; least, median and most by the clock 1, 2, 3 ms, of the "
        "processor 1, 2, 3 ms.",
    ],
)
def test_how_a_figure_is_measured_is_in_chinese_as_a_whole(said_of: str) -> None:
    assert not left_in_english(said_of)


def test_units_have_one_name_in_chinese() -> None:
    rows = [["NLL", "42.85 ± 0.022 nats"], ["bits/dim", "0.9 bits"], ["modes", "8 of 8"], ["LM score", "3 nats a word"]]
    told = worded({"report": {"columns": ["figure", "value"], "rows": rows, "notes": []}}, "zh")["report"]["rows"]
    assert told[0][1] == "42.85 ± 0.022 nat"
    assert told[1] == ["比特/维", "0.9 比特"]
    assert [value for _, value in told[2:]] == ["8（共 8 个）", "3 nat/词"]
    shown = json.loads((WORDS / "zh.json").read_text("utf-8"))
    assert shown["bits per dim"] == "比特/维"
    assert not [words for words in shown.values() if re.search("每维比特|奈特", words)]


def test_a_report_is_in_chinese_down_to_its_lists() -> None:
    page = (
        "<p>images of 8x8x1, 10 classes; 1,488 train</p><p>of that error</p><td>744 samples, 1,488 training and 175 "
        "held-out examples</td><p>Nothing tells how far another training would move the figures of a contestant with "
        "one training seed, so it is not ranked: vae and pixelcnn.</p><p>Shares of the classes among the samples of "
        "vae: 0 0.0% (among real examples 6.3%), cat 2.1% (among real examples 9.7%)</p>"
    )
    told = page_said(page, "zh")
    assert "8x8x1 的图像，10 个类别；训练 1,488 个" in told
    assert "不排名：vae、pixelcnn。" in told
    assert "0 占 0.0%（真实数据中 6.3%），cat 占 2.1%（真实数据中 9.7%）" in told
    assert not ENGLISH.search(re.sub("<[^>]*>", "", told))
