"""The towers of CLIP: equal to the transformers library's with the same weights, causal, and of the published sizes."""

from importlib.util import find_spec
from math import sqrt

import pytest
import torch
from torch import nn

from genwerk.nn.clip import ConvTower, Encoder, TextTower, ViT, at_end

TEXTS = {
    "tiny": {"size": 1000, "width": 8, "layers": 2, "heads": 2, "hidden": 16, "gelu": "quick_gelu"},
    "medium": {"size": 1000, "width": 32, "layers": 3, "heads": 8, "hidden": 64, "gelu": "quick_gelu"},
    "gelu": {"size": 500, "width": 48, "layers": 4, "heads": 3, "hidden": 100, "gelu": "gelu", "length": 20},
}
IMAGES = {
    "tiny": {
        "channels": 3,
        "side": 8,
        "patch": 4,
        "width": 8,
        "layers": 2,
        "heads": 2,
        "hidden": 16,
        "gelu": "quick_gelu",
    },
    "medium": {
        "channels": 1,
        "side": 30,
        "patch": 6,
        "width": 48,
        "layers": 4,
        "heads": 3,
        "hidden": 100,
        "gelu": "gelu",
    },
}


@pytest.fixture
def transformers():
    if find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    return pytest.importorskip("transformers.models.clip")


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def shaken(module: nn.Module) -> nn.Module:
    """``module`` with every weight moved by noise, so that no bias is 0 and no normalisation plain."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in module.parameters():
            p += 0.3 * p.std(correction=0).clamp(min=0.1) * torch.randn(p.shape, generator=generator)
    return module.eval()


def text_config(transformers, size, width, layers, heads, hidden, gelu, length=77, **others):
    return transformers.CLIPTextConfig(
        vocab_size=size,
        hidden_size=width,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=length,
        hidden_act=gelu,
        **others,
    )


def ids(size: int, length: int = 77, n: int = 3) -> torch.Tensor:
    """Texts whose end, the greatest id, comes early and again in the padding."""
    tokens = torch.randint(0, size - 1, (n, length), generator=torch.Generator().manual_seed(1))
    for i in range(n):
        tokens[i, 3 + 5 * i :] = size - 1
    return tokens


@pytest.mark.parametrize("name", TEXTS)
def test_text_tower_equals_transformers(transformers, name):
    sizes = TEXTS[name]
    theirs = shaken(transformers.CLIPTextModel(text_config(transformers, **sizes, eos_token_id=sizes["size"] - 1)))
    ours = TextTower(**sizes)
    ours.load_state_dict(theirs.state_dict())
    tokens = ids(sizes["size"], sizes.get("length", 77))
    with torch.no_grad():
        expected = theirs(tokens, output_hidden_states=True)
        states = ours(tokens)
        assert (states - expected.last_hidden_state).abs().max() < 1e-5
        assert (at_end(states, tokens, sizes["size"] - 1) - expected.pooler_output).abs().max() < 1e-5
        penultimate = theirs.final_layer_norm(expected.hidden_states[-2])
        assert (ours(tokens, skip=1) - penultimate).abs().max() < 1e-5
        assert (penultimate - expected.last_hidden_state).abs().max() > 0.1


@pytest.mark.parametrize("eos", [2, 700])
def test_pooling_by_either_rule_equals_transformers(transformers, eos):
    """With eos 2 it is at the greatest id; with another where that id first is, though greater ones may follow."""
    sizes = TEXTS["medium"]
    config = text_config(transformers, **sizes, eos_token_id=eos, projection_dim=24)
    theirs = shaken(transformers.CLIPTextModelWithProjection(config))
    ours = TextTower(**sizes)
    ours.load_state_dict(theirs.text_model.state_dict())
    tokens = torch.randint(0, 600, (4, 77), generator=torch.Generator().manual_seed(2))
    for i, place in enumerate((5, 17, 30, 76)):
        tokens[i, place] = 700
    tokens[0, 9], tokens[1, 21:] = 999, 700
    with torch.no_grad():
        pooled = at_end(ours(tokens), tokens, None if eos == 2 else eos)
        ours_embedded = pooled @ theirs.text_projection.weight.T
        assert (ours_embedded - theirs(tokens).text_embeds).abs().max() < 1e-5
    assert torch.equal(at_end(tokens[:, :, None], tokens).squeeze(1), torch.tensor([999, 700, 700, 700]))


@pytest.mark.parametrize("name", IMAGES)
def test_vision_transformer_equals_transformers(transformers, name):
    sizes = IMAGES[name]
    config = transformers.CLIPVisionConfig(
        hidden_size=sizes["width"],
        intermediate_size=sizes["hidden"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        num_channels=sizes["channels"],
        image_size=sizes["side"],
        patch_size=sizes["patch"],
        hidden_act=sizes["gelu"],
    )
    theirs = shaken(transformers.CLIPVisionModel(config))
    ours = ViT(**sizes)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, sizes["channels"], sizes["side"], sizes["side"], generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert (ours(x) - theirs(x).pooler_output).abs().max() < 1e-5


def test_a_place_knows_of_none_that_comes_later():
    tower = shaken(TextTower(50, 16, 2, 4, length=9))
    embedded = tower.embeddings(torch.arange(9)[None]).detach().requires_grad_()
    states = tower.final_layer_norm(tower.encoder(embedded))
    for place in range(9):
        (gradient,) = torch.autograd.grad(states[0, place].sum() + states[0, place, 0], embedded, retain_graph=True)
        known = gradient[0].abs().sum(1) > 0
        assert known.tolist() == [i <= place for i in range(9)]


def test_what_follows_the_end_does_not_change_it():
    tower = shaken(TextTower(50, 16, 2, 4, length=9))
    tokens = torch.tensor([[48, 3, 4, 49, 49, 49, 49, 49, 49]])
    whole, cut = at_end(tower(tokens), tokens), at_end(tower(tokens[:, :4]), tokens[:, :4])
    assert torch.allclose(whole, cut, atol=1e-6)


def test_published_sizes():
    with torch.device("meta"):
        l14_text = TextTower(49408, 768, 12, 12)
        b32_text, b32_image = TextTower(49408, 512, 12, 8), ViT(3, 224, 32, 768, 12, 12)
        projections = nn.Linear(512, 512, bias=False), nn.Linear(768, 512, bias=False)
    assert parameters(l14_text) == 123_060_480
    assert len(l14_text.state_dict()) == 196
    assert sum(map(parameters, (b32_text, b32_image, *projections))) + 1 == 151_277_313


@pytest.mark.parametrize("width", [64, 256])
def test_weights_begin_with_the_deviations_of_clip(width):
    torch.manual_seed(0)
    layers = 3
    encoder = Encoder(width, layers, 4, 4 * width, "gelu")
    expected = {
        "self_attn.q_proj": 1 / sqrt(width),
        "self_attn.k_proj": 1 / sqrt(width),
        "self_attn.v_proj": 1 / sqrt(width),
        "self_attn.out_proj": 1 / sqrt(width * 2 * layers),
        "mlp.fc1": 1 / sqrt(2 * width),
        "mlp.fc2": 1 / sqrt(width * 2 * layers),
    }
    for name, std in expected.items():
        layer = encoder.layers[1].get_submodule(name)
        assert layer.weight.std().item() == pytest.approx(std, rel=0.05)
        assert not layer.bias.any()
    tower = TextTower(2000, width, 1, 4)
    assert tower.embeddings.token_embedding.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert tower.embeddings.position_embedding.weight.std().item() == pytest.approx(0.01, rel=0.05)
    image = ViT(3, 32, 4, width, 1, 4)
    assert image.embeddings.position_embedding.weight.std().item() == pytest.approx(width**-0.5, rel=0.1)


def test_the_residual_stream_does_not_grow_with_depth():
    """By the last deviation: 2 layers terms of variance 1 / (2 layers) each, whatever the number of layers."""
    torch.manual_seed(0)
    x = torch.randn(4, 10, 128)
    grown = [(Encoder(128, layers, 4, 512, "gelu")(x) - x).std().item() for layers in (2, 8, 32)]
    assert max(grown) < 1.5 * min(grown)


@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 64, 64), (1, 33, 50)])
def test_convolutional_tower_sees_the_whole_picture_and_where_things_are(shape):
    torch.manual_seed(0)
    tower = ConvTower(shape, (16, 24, 32), 40).double()
    x = torch.randn(2, *shape, dtype=torch.float64, requires_grad=True)
    features = tower(x)
    assert features.shape == (2, 40)
    weights = torch.randn(40, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(features[0] @ weights, x)
    assert (gradient[0] != 0).all()
    assert not gradient[1].any()
    moved = tower(x.roll(8, dims=3))
    assert (moved - features).abs().max() > 0.01 * features.std()


def test_impossible_sizes_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="30 channels do not fall into 4 equal"):
        TextTower(50, 30, 1, 4)
    with pytest.raises(ValueError, match="32x32 pixels is not cut evenly into patches of 5"):
        ViT(3, 32, 5, 32, 1, 4)
    tower = TextTower(50, 16, 2, 4, length=9)
    with pytest.raises(ValueError, match="10 tokens and the text tower room for 9"):
        tower(torch.zeros(1, 10, dtype=torch.long))
    with pytest.raises(ValueError, match="0 to 2"):
        tower(torch.zeros(1, 4, dtype=torch.long), skip=3)
