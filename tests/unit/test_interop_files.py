"""Files of weights, tokenisers and schedulers: read in all their forms, refused with one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from inspect import signature
from itertools import product
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from pipelines import MERGES, SCHEDULERS, CLIPTokenizer, saved, tokenizer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from genwerk import interop
from genwerk.core.noise import BatchNoise
from genwerk.core.tokens import CLIPVocabulary
from genwerk.diffusion.parameterisation import Estimate, Prediction, estimate
from genwerk.diffusion.sampling import Diffusion
from genwerk.diffusion.schedule import Level, Process, ScaledLinear
from genwerk.interop import scheduler, weights
from genwerk.interop.tokenizer import read_vocabulary, write_vocabulary

TEXTS = ["a  CAT!", "", "don't scatter 42 cats\n", "naïve café 貓 \U0001f408", "x" * 200]


# --- weights ----------------------------------------------------------------------------------------------------------


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def written(folder: Path, name: str = "model.safetensors", **changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Random weights of ``network`` in a file, some of them changed or, if None, left out."""
    torch.manual_seed(0)
    tensors = {**network().state_dict(), **{k.replace("_", ".", 1): v for k, v in changes.items()}}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, folder / name)
    return kept


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model.fp16.safetensors", "diffusion_pytorch_model.fp16.safetensors"]
)
def test_weights_are_found_and_read_in_the_precision_asked_for(tmp_path: Path, name: str) -> None:
    tensors = written(tmp_path, name, **{"0_bias": torch.ones(4).half() / 3})
    for precision, dtype in ((torch.float32, torch.float32), (None, torch.float16), (torch.bfloat16, torch.bfloat16)):
        module = network()
        weights.read(module, tmp_path, dtype=precision)
        assert module[0].bias.dtype == dtype
        assert all(torch.equal(v, tensors[k].to(v.dtype)) for k, v in module.state_dict().items())
        assert all(parameter.requires_grad for parameter in module.parameters())


def test_what_is_trained_does_not_change_the_file(tmp_path: Path) -> None:
    tensors, module = written(tmp_path), network()
    weights.read(module, tmp_path)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 1
    stored = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(stored[name], tensors[name]) for name in tensors)


def test_shards_are_read_together(tmp_path: Path) -> None:
    tensors = written(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    shards = {"0": "model-00001-of-00002.safetensors", "1": "model-00002-of-00002.safetensors"}
    for part, name in shards.items():
        save_file({k: v for k, v in tensors.items() if k.startswith(part)}, tmp_path / name)
    index = {"weight_map": {k: shards[k[0]] for k in tensors}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    module = network()
    weights.read(module, tmp_path)
    assert all(torch.equal(v, tensors[k]) for k, v in module.state_dict().items())
    (tmp_path / shards["1"]).unlink()
    with pytest.raises(ValueError, match=r"lists the file 'model-00002-of-00002.safetensors', which is not in its"):
        weights.read(module, tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../secret"}}))
    with pytest.raises(ValueError, match="which is not in its folder"):
        weights.read(module, tmp_path)


def test_missing_and_surplus_tensors_are_named(tmp_path: Path) -> None:
    written(tmp_path, **{"0_bias": None, "1_weight": None, "2_weight": torch.ones(1)})
    with pytest.raises(ValueError, match=r"lacks 2 tensors .*\(0.bias, 1.weight\) and has 1 .*\(2.weight\)"):
        weights.read(network(), tmp_path)


def test_at_most_ten_tensors_are_named(tmp_path: Path) -> None:
    written(tmp_path, **{f"{i}_extra": torch.ones(1) for i in range(10, 25)})
    with pytest.raises(ValueError, match=r"15 tensors .*\(10.extra, .*, 19.extra, \.\.\.\)"):
        weights.read(network(), tmp_path)


def test_a_wrong_shape_is_named(tmp_path: Path) -> None:
    written(tmp_path, **{"0_weight": torch.ones(4, 5)})
    with pytest.raises(ValueError, match=r"tensor 0.weight with shape \(4, 5\), .* asks for \(4, 3\)"):
        weights.read(network(), tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "v1-5-pruned.ckpt", "model.pt"])
def test_pickles_are_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ValueError, match=r"is a pickle, which can run code .* save_pretrained\(FOLDER\)"):
        weights.read(network(), tmp_path)


def test_a_folder_without_weights_and_a_broken_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no weights"):
        weights.read(network(), tmp_path)
    written(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="is not a safetensors file, or not all of one"):
        weights.read(network(), tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory in use as Linux tells it")
def test_weights_are_not_held_twice(tmp_path: Path) -> None:
    """100 MB of weights are opened within 50 MB, for what is mapped is read when it is used."""
    save_file({"weight": torch.zeros(5_000, 5_000)}, tmp_path / "model.safetensors")
    code = f"""
import resource, torch
from pathlib import Path
from genwerk.interop import weights
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with weights.Unfilled():
    module = torch.nn.Linear(5_000, 5_000, bias=False)
weights.read(module, Path({str(tmp_path)!r}))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50_000


# --- tokenisers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pad, ours", [("<|endoftext|>", "end"), ("!", "zero")])
@pytest.mark.parametrize("form", ["two files", "one file"])
def test_both_forms_of_a_tokeniser_give_the_same_ids(tmp_path: Path, form: str, pad: str, ours: str) -> None:
    theirs = tokenizer(tmp_path / "made", pad_token=pad)
    folder = tmp_path / "made"
    if form == "one file":
        folder = tmp_path / "saved"
        theirs.save_pretrained(folder)
        assert not (folder / "vocab.json").exists()
    else:
        (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": {"content": pad}}))
    vocabulary = read_vocabulary(folder)
    assert vocabulary == CLIPVocabulary(merges=MERGES, pad=ours)
    compare(vocabulary, theirs)


def compare(vocabulary: CLIPVocabulary, theirs: Any) -> None:
    """Where "!" fills texts up, transformers also takes it for filling inside of them, unlike OpenCLIP and us."""
    texts = TEXTS if vocabulary.pad == "end" else [text.replace("!", "") for text in TEXTS]
    expected = theirs(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
    assert torch.equal(vocabulary.encode(texts), expected)


@pytest.mark.parametrize("pad", ["end", "zero"])
def test_transformers_reads_our_tokeniser(tmp_path: Path, pad: Any) -> None:
    vocabulary = CLIPVocabulary(merges=("c a", "# v", "ca t</w>"), length=20, pad=pad)
    write_vocabulary(vocabulary, tmp_path)
    compare(vocabulary, CLIPTokenizer.from_pretrained(tmp_path))
    assert read_vocabulary(tmp_path) == vocabulary


def test_foreign_tokenisers_are_refused(tmp_path: Path) -> None:
    tokenizer(tmp_path)
    ids = json.loads((tmp_path / "vocab.json").read_text())
    (tmp_path / "vocab.json").write_text(json.dumps({symbol: 515 - i for symbol, i in ids.items()}))
    with pytest.raises(ValueError, match="516 ids with 2 merges, which are not numbered as CLIP's"):
        read_vocabulary(tmp_path)
    tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"pad_token": "a"}))
    with pytest.raises(ValueError, match='pads texts with "a"'):
        read_vocabulary(tmp_path)


# --- schedulers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_goes_there_and_back(name: str) -> None:
    theirs = SCHEDULERS[name]()
    config = {**theirs.config, "_class_name": type(theirs).__name__}
    process, prediction = scheduler.read_process(config)
    sampling = scheduler.read_sampling(config)
    assert process == Process(ScaledLinear())
    torch.testing.assert_close(process.alpha_bar.float(), theirs.alphas_cumprod, rtol=1e-5, atol=0)
    written = json.loads(json.dumps(scheduler.scheduler_json(process, prediction, sampling)))
    same = {"steps_offset"} if written["steps_offset"] != theirs.config.steps_offset else set()
    assert {k: v for k, v in config.items() if written.get(k) != v and not k.startswith("_")}.keys() <= same
    assert scheduler.read_sampling(written) == sampling


@pytest.mark.parametrize(
    "config, says",
    [
        ({"_class_name": "LMSDiscreteScheduler"}, "LMSDiscreteScheduler is not among"),
        (
            {
                "_class_name": "DPMSolverMultistepScheduler",
                "final_sigmas_type": "sigma_min",
                "lower_order_final": False,
            },
            "lower_order_final False",
        ),
        ({"_class_name": "UniPCMultistepScheduler", "solver_type": "bh1"}, "solver_type 'bh1'"),
        ({"_class_name": "DPMSolverMultistepScheduler", "solver_order": 3}, "solver_order 3"),
        ({"_class_name": "PNDMScheduler"}, "skip_prk_steps False"),
    ],
)
def test_what_cannot_be_sampled_alike_gives_way_with_a_warning(config: dict[str, Any], says: str) -> None:
    with pytest.warns(UserWarning, match=says):
        assert scheduler.read_sampling(config) == scheduler.DEFAULT


@pytest.mark.parametrize(
    "config, says",
    [
        ({"_class_name": "PNDMScheduler", "skip_prk_steps": True, "prediction_type": "v_prediction"}, "velocities"),
        ({"_class_name": "DDIMScheduler", "timestep_spacing": "linspace"}, "steps to other times"),
    ],
)
def test_a_formula_that_diffusers_does_not_follow_is_named(config: dict[str, Any], says: str) -> None:
    with pytest.warns(UserWarning, match=f"{says}.*pictures differ"):
        assert scheduler.read_sampling(config).sampler == config["_class_name"].removesuffix("Scheduler").lower()


def drift(x: Tensor, t: float) -> Tensor:
    """A smooth function of x and time with no meaning, that stands for a network."""
    return 0.6 * x + 0.3 * torch.sin(3 * x + t / 150) - 0.1 * x.flip(1).cos()


TIMES = [{"timestep_spacing": spacing} for spacing in ("leading", "trailing", "linspace")]
KARRAS = [{"use_karras_sigmas": flag} for flag in (False, True)]
ENDS = [{"final_sigmas_type": end} for end in ("zero", "sigma_min")]
SOLVER = [{}, {"use_karras_sigmas": True}, {"use_lu_lambdas": True}]
VARIANTS: dict[str, Any] = {
    "DDIMScheduler": product(TIMES[:2], [{"set_alpha_to_one": one, "clip_sample": False} for one in (False, True)]),
    "PNDMScheduler": product(TIMES[:2], [{"set_alpha_to_one": one, "skip_prk_steps": True} for one in (False, True)]),
    "EulerDiscreteScheduler": product(TIMES, KARRAS, ENDS),
    "EulerAncestralDiscreteScheduler": product(TIMES),
    "HeunDiscreteScheduler": product(TIMES, KARRAS),
    "DPMSolverMultistepScheduler": product(
        TIMES, SOLVER, ENDS, [{"algorithm_type": kind} for kind in ("dpmsolver++", "sde-dpmsolver++")]
    ),
    "UniPCMultistepScheduler": product(TIMES, KARRAS, ENDS),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_setting_of_a_scheduler_that_is_read_draws_as_diffusers_does(name: str) -> None:
    diffusers = pytest.importorskip("diffusers")
    z = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    for settings, prediction in product(VARIANTS[name], ("epsilon", "v_prediction")):
        if name == "PNDMScheduler" and prediction == "v_prediction":
            continue  # named as theirs
        config = {"_class_name": name, "steps_offset": 1, "prediction_type": prediction, "beta_end": 0.012}
        config |= {"beta_start": 0.00085, "beta_schedule": "scaled_linear"}
        for part in settings:
            config |= part
        theirs, (process, kind) = getattr(diffusers, name).from_config(config), scheduler.read_process(config)
        for steps in (20,) if name == "HeunDiscreteScheduler" else (5, 20):
            theirs.set_timesteps(steps)
            generator = torch.Generator().manual_seed(1)
            drawing = {"generator": generator} if "generator" in signature(theirs.step).parameters else {}
            x = z * theirs.init_noise_sigma
            for t in theirs.timesteps:
                x = theirs.step(drift(theirs.scale_model_input(x, t), float(t)), t, x, **drawing).prev_sample
            sampling = replace(scheduler.read_sampling(config), steps=steps)
            levels = sampling.levels(process)

            def predict(x: Tensor, level: Level, kind: Prediction = kind) -> Estimate:
                return estimate(kind, drift(x, level.t), x, level.alpha, level.sigma)

            noise = BatchNoise(len(z), torch.Generator().manual_seed(1))
            *_, frame = sampling.walk(predict, sampling.start(z, levels), levels, noise)
            difference = (frame.x - x).abs().max() / x.abs().max()
            assert difference < 2e-5, (config, steps, difference)


@pytest.mark.parametrize(
    "config",
    [
        {"trained_betas": [0.1, 0.2]},
        {"rescale_betas_zero_snr": True},
        {"beta_schedule": "sigmoid"},
        {"prediction_type": "flow"},
    ],
)
def test_noise_that_is_not_understood_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(config))):
        scheduler.read_process(config)


def test_a_sampler_without_a_class_is_refused() -> None:
    with pytest.raises(ValueError, match="the sampler ddpm is not exported; take one of ddim"):
        scheduler.scheduler_json(Process(), "eps", Diffusion(sampler="ddpm"))


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("whole"))


def test_folders_are_recognised_by_their_content(whole: Path, tmp_path: Path) -> None:
    folder = copytree(whole, tmp_path / "copy")
    assert all(interop.recognised(folder / part) for part in ("", "unet", "vae", "text_encoder"))
    assert not interop.recognised(folder / "tokenizer")
    assert not interop.recognised(tmp_path / "nothing")
    (tmp_path / "config.json").write_text(json.dumps({"library": "genwerk", "recipe": {}}))
    assert not interop.recognised(tmp_path)


@pytest.mark.parametrize(
    "change, says",
    [
        ({"_class_name": "StableDiffusionXLPipeline"}, "holds a StableDiffusionXLPipeline; Genwerk opens"),
        ({"unet": ["diffusers", "UNet3DConditionModel"]}, "has UNet3DConditionModel as its unet"),
    ],
)
def test_other_pipelines_are_refused_by_name(whole: Path, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = copytree(whole, tmp_path / "copy") / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=says):
        interop.describe(path.parent)


def test_a_unet_that_sees_something_else_is_refused(whole: Path, tmp_path: Path) -> None:
    path = copytree(whole, tmp_path / "copy") / "unet" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "in_channels": 7}))
    with pytest.raises(ValueError, match="has 3 extra input channels"):
        interop.describe(path.parent.parent)


def test_a_part_that_is_missing_is_named(whole: Path, tmp_path: Path) -> None:
    folder = copytree(whole, tmp_path / "copy")
    weight = folder / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weight)
    weight.unlink()
    with pytest.raises(ValueError, match="vae holds no weights"):
        interop.load(folder)
    assert len(tensors) == 124
    (folder / "scheduler" / "scheduler_config.json").unlink()
    with pytest.raises(ValueError, match=r"scheduler_config.json does not exist"):
        interop.describe(folder)


ODD = [
    ("model_index.json", "unet", {"a": 1}),
    ("model_index.json", "unet", 5),
    ("model_index.json", "vae", []),
    ("unet/config.json", "down_block_types", [1, 1]),
    ("unet/config.json", "block_out_channels", [4, "8"]),
    ("unet/config.json", "block_out_channels", []),
    ("unet/config.json", "block_out_channels", [2**20, 2**20]),
    ("unet/config.json", "layers_per_block", 10**6),
    ("unet/config.json", "norm_num_groups", 0),
    ("unet/config.json", "freq_shift", []),
    ("unet/config.json", "in_channels", None),
    ("unet/config.json", "sample_size", "8"),
    ("unet/config.json", "dropout", "none"),
    ("unet/config.json", "flip_sin_to_cos", 1),
    ("vae/config.json", "latent_channels", -4),
    ("vae/config.json", "scaling_factor", [1]),
    ("text_encoder/config.json", "vocab_size", -1),
    ("text_encoder/config.json", "hidden_size", ""),
    ("text_encoder/config.json", "num_hidden_layers", 10**6),
    ("text_encoder/config.json", "hidden_act", 3),
    ("scheduler/scheduler_config.json", "num_train_timesteps", {}),
    ("scheduler/scheduler_config.json", "beta_start", None),
    ("scheduler/scheduler_config.json", "prediction_type", ["epsilon"]),
    ("tokenizer/tokenizer_config.json", "model_max_length", -5),
    ("tokenizer/tokenizer_config.json", "model_max_length", "77"),
    ("tokenizer/tokenizer_config.json", "pad_token", [1]),
    ("tokenizer/tokenizer_config.json", "pad_token", {"content": None}),
]


@pytest.mark.parametrize("file, key, value", ODD)
def test_a_setting_of_another_type_is_one_sentence(
    whole: Path, tmp_path: Path, file: str, key: str, value: Any
) -> None:
    folder = Path(copytree(whole, tmp_path / "odd"))
    settings = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(settings | {key: value}))
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        interop.load(folder)


@pytest.mark.parametrize("listed", [[1], "x", {"a": 5}, {"a": ["b"]}, {"a": None}, {}])
def test_a_list_of_shards_that_is_none_is_told(whole: Path, tmp_path: Path, listed: Any) -> None:
    folder = Path(copytree(whole, tmp_path / "odd"))
    for path in (folder / "unet").glob("*.safetensors"):
        path.unlink()
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": listed}))
    with pytest.raises(ValueError, match="weight_map"):
        interop.load(folder)
