"""Linear separability where the answer is 1, 2 or a sum written out."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score
from torch import Tensor

from genwerk.metrics.separability import conditional_entropy, linear_separability, linear_svm, one_against_rest


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_what_a_plane_parts_scores_exactly_one():
    z = normal(600, 5)
    z = z[z[:, 0].abs() > 0.1]
    assert linear_separability(z, z[:, :1], keep=1.0).score == 1.0
    assert linear_separability(z, torch.stack([z[:, 0], -3 * z[:, 0]], 1)).entropies == (0.0, 0.0)


def test_what_the_latent_says_nothing_of_scores_exactly_two():
    """Each latent comes with and without the attribute, so that either side of any plane holds as many of both."""
    z = normal(200, 5).repeat_interleave(2, 0)
    verdict = torch.tensor([1.0, -1.0]).repeat(200).unsqueeze(1)
    assert linear_separability(z, verdict).score == 2.0
    assert linear_separability(z, verdict.expand(-1, 3)).score == 8.0


def test_only_the_confident_half_counts():
    z = normal(1000, 3)
    z[:, 0] += 0.3 * z[:, 0].sign()
    sure = (z[:, 0].sign() * (2 + z[:, 0].abs())).unsqueeze(1)
    unsure = normal(1000, 1, seed=1).clamp(-1, 1)
    odds = torch.cat([sure[:500], unsure[500:]])
    assert linear_separability(z, odds).score == 1.0
    assert linear_separability(z, odds, keep=1.0).score > 1.3


def test_an_attribute_that_all_have_leaves_nothing_unknown():
    assert linear_separability(normal(20, 2), torch.ones(20, 1)).score == 1.0


def test_entropy_against_scikit_learn():
    generator = np.random.default_rng(0)
    of = generator.random(500) < 0.3
    given = np.where(generator.random(500) < 0.8, of, ~of)
    of_alone = -sum(p * np.log2(p) for p in (of.mean(), 1 - of.mean()))
    truth = of_alone - mutual_info_score(of, given) / np.log(2)
    assert conditional_entropy(of, given) == pytest.approx(truth, rel=1e-12)


def test_the_plane_is_in_the_latents_own_units():
    """Two clouds mirrored at the plane 3 x + 4 y = 10, in columns of very different scale."""
    points = normal(2000, 2)
    side = normal(2000, seed=1).sign()
    normal_vector = torch.tensor([0.6, 0.8])
    along = 2.0 + side * (0.5 + normal(2000, seed=2).abs())
    z = points - (points @ normal_vector)[:, None] * normal_vector + along[:, None] * normal_vector
    found = linear_svm(z, side > 0)
    torch.testing.assert_close(found.normal, normal_vector, atol=0.03, rtol=0.0)
    assert found.offset == pytest.approx(-2.0, abs=0.05)
    assert ((found.side(z) > 0) == (side > 0)).all()
    stretch = torch.tensor([1.0, 1000.0])
    stretched = linear_svm(z * stretch, side > 0)
    expected = normal_vector / stretch
    torch.testing.assert_close(stretched.normal, expected / expected.norm(), atol=0.03, rtol=0.0)
    assert stretched.normal.norm().item() == pytest.approx(1.0)


def test_classes_against_the_rest():
    logits = normal(6, 4)
    p = logits.softmax(1)
    torch.testing.assert_close(one_against_rest(logits), (p / (1 - p)).log())
    assert one_against_rest(torch.zeros(1, 2)).tolist() == [[0.0, 0.0]]


def test_mistakes_are_one_sentence():
    with pytest.raises(ValueError, match="some with and some without"):
        linear_svm(normal(5, 2), torch.ones(5, dtype=torch.bool))
    with pytest.raises(ValueError, match="5 latents and 4 rows of log-odds"):
        linear_separability(normal(5, 2), normal(4, 1))
