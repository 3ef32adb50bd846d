"""What people pass to models in Python: arrays, tensors, pictures and class names are what batches and indices are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import genwerk
from genwerk.core.errors import BadInput
from genwerk.core.model import Model, build
from genwerk.core.spec import Batch, DataSpec
from genwerk.data import DataConfig, open_data
from genwerk.tasks import decode
from genwerk.tasks.inputs import batch_of, condition_of, mask_of

DIGITS = open_data(DataConfig(source="digits"))
BATCH = DIGITS.test.batch(slice(6))
TABLE = DataSpec(kind="table", shape=(2,), columns=("height", "weight"), covariates=("age",))


@pytest.fixture(scope="module")
def vae() -> Model:
    torch.manual_seed(0)
    return build(genwerk.recipe("cvae", DIGITS.spec).model, DIGITS.spec).eval()


@pytest.fixture(scope="module")
def flow() -> Model:
    return build(genwerk.recipe("cmaf", TABLE).model, TABLE).eval()


def names(labels: Any) -> list[str]:
    return [DIGITS.spec.classes[i] for i in labels]


def forms(x: torch.Tensor) -> dict[str, Any]:
    labels = names(BATCH.condition)
    stored = DIGITS.test.x[:6]
    pictures = [Image.fromarray((each[0] * 255).round().byte().numpy()) for each in x]
    return {
        "a batch": Batch(x, BATCH.condition),
        "a pair": (x, labels),
        "an array": (x.numpy(), np.array(labels)),
        "stored levels": (stored, BATCH.condition),
        "a data set": DIGITS.test.select(torch.arange(6)),
        "pictures": (pictures, labels),
    }


@pytest.mark.parametrize("form", forms(BATCH.x))
def test_all_forms_are_the_same_batch(vae: Model, form: str) -> None:
    found = batch_of(vae, forms(BATCH.x)[form])
    torch.testing.assert_close(found.x, BATCH.x, atol=0.002 if form == "pictures" else 0, rtol=0)
    assert found.condition is not None
    assert torch.equal(found.condition.long(), BATCH.condition)


def test_verbs_take_them(vae: Model) -> None:
    z = genwerk.encode(vae, BATCH)
    one = genwerk.encode(vae, BATCH.x[0].numpy(), names(BATCH.condition)[0])
    torch.testing.assert_close(one, z[:1])
    torch.testing.assert_close(decode(vae, z, BATCH.condition), genwerk.reconstruct(vae, BATCH))
    assert genwerk.interpolate(vae, BATCH.x[:1], BATCH.x[1:2], 3, condition="7").shape == (1, 3, 1, 8, 8)
    likely = genwerk.log_likelihood(vae, BATCH.x, condition=BATCH.condition, importance_samples=2)
    assert likely.each.shape == (6,)
    rows = genwerk.nearest(BATCH.x.numpy(), DIGITS.test).rows[:, 0]
    assert rows.tolist() == list(range(6))


def test_a_class_is_asked_for_by_its_name(vae: Model) -> None:
    seven = genwerk.sample(vae, 3, torch.tensor([7]), seed=1)
    for told in ("7", 7, ["7"], np.array([7])):
        assert torch.equal(genwerk.sample(vae, 3, told, seed=1).x, seven.x)
    with pytest.raises(BadInput, match="there is no class 'cat'; the classes are 0, 1"):
        genwerk.sample(vae, 3, "cat")


def test_covariates_are_numbers_or_rows_of_them(flow: Model) -> None:
    wanted = torch.tensor([[40.0]], dtype=torch.float64)
    for told in (40, 40.0, "40", [40], [[40]], np.array([[40.0]])):
        assert torch.equal(condition_of(flow, told), wanted)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"expected 1 covariate \(age\)"):
        condition_of(flow, [[None]])


def test_columns_are_known_by_their_names(flow: Model) -> None:
    from test_data_memory import Frame

    frame = Frame(age=[30.0, 40.0], weight=[70.0, 80.0], height=[1.7, 1.8])
    found = batch_of(flow, frame)
    assert found.x.tolist() == [[1.7, 70.0], [1.8, 80.0]]
    assert found.condition is not None
    assert found.condition.tolist() == [[30.0], [40.0]]


def test_a_part_is_known_by_its_name_or_as_a_mask(vae: Model, flow: Model) -> None:
    half = torch.zeros(8, 8, dtype=torch.bool)
    half[:4] = True
    assert torch.equal(mask_of(vae, "top-half")[0, 0], half)
    assert torch.equal(mask_of(vae, half.numpy().astype(int)), half)
    assert mask_of(flow, ["weight"]).tolist() == [[False, True]]
    with pytest.raises(BadInput, match="other values than True and False"):
        mask_of(vae, torch.rand(8, 8))


@pytest.mark.parametrize(
    "given, message",
    [
        (5, "of the type int"),
        (torch.rand(3, 4), "the examples are a table of 4 columns, and this VAE was trained on images of 8x8x1"),
        ((BATCH.x, ["1"]), "there are 6 examples and 1 labels"),
        (BATCH.x, "conditioned on the class"),
    ],
)
def test_what_is_no_example_is_refused_in_a_sentence(vae: Model, given: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        genwerk.encode(vae, given)
