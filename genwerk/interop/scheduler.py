"""scheduler_config.json of diffusers as a noising process with a way to sample it, and back.

Which noise was added in training cannot be guessed: what is not understood of it is refused. How samples are drawn is a
matter of taste: a scheduler that has no counterpart here gives way, with a warning, to one that has.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from genwerk.diffusion.names import Final, SamplerName, Schedule, Spacing
from genwerk.diffusion.parameterisation import Prediction
from genwerk.diffusion.samplers import SAMPLERS
from genwerk.diffusion.sampling import Sampling
from genwerk.diffusion.schedule import Process
from genwerk.interop.networks import Json, check

T = TypeVar("T")

SCHEDULES: Mapping[str, Schedule] = {
    "linear": "linear",
    "scaled_linear": "scaled-linear",
    "squaredcos_cap_v2": "cosine",
}
PREDICTIONS: Mapping[str, Prediction] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
DEFAULT = Sampling(sampler="dpmpp2m", spacing="even", steps=50, guidance=7.5, resamples=1)
"""How a pipeline is sampled where its scheduler has no counterpart: in the steps, and with the guidance, of
diffusers."""


class Kind(NamedTuple):
    """A scheduler class: its sampler, the keys that are read, with their defaults, and all other keys that it has."""

    sampler: SamplerName
    spacing: str
    """Default of timestep_spacing."""
    read: Json
    only: Json
    """Keys of which our sampler has one form."""
    idle: Json
    """Keys that change nothing here."""


PROCESS: Json = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "epsilon",
}
"""Defaults of the keys of the noising process."""
PROCESS_ONLY: Json = {"trained_betas": None, "rescale_betas_zero_snr": False}
SNR: Json = {"rescale_betas_zero_snr": False}
SIGMAS: Json = {"use_exponential_sigmas": False, "use_beta_sigmas": False}
THRESHOLD: Json = {"dynamic_thresholding_ratio": 0.995, "sample_max_value": 1.0}
KINDS: Mapping[str, Kind] = {
    "DDIMScheduler": Kind(
        sampler="ddim",
        spacing="leading",
        read={"set_alpha_to_one": True},
        only={"thresholding": False, **SNR},
        idle={"clip_sample": False, "clip_sample_range": 1.0, **THRESHOLD},
    ),
    "PNDMScheduler": Kind(
        sampler="pndm",
        spacing="leading",
        read={"set_alpha_to_one": False, "skip_prk_steps": False},
        only={"skip_prk_steps": True},
        idle={},
    ),
    "EulerDiscreteScheduler": Kind(
        sampler="euler",
        spacing="linspace",
        read={"use_karras_sigmas": False, "final_sigmas_type": "zero"},
        only={
            "interpolation_type": "linear",
            "timestep_type": "discrete",
            "sigma_min": None,
            "sigma_max": None,
            **SIGMAS,
            **SNR,
        },
        idle={},
    ),
    "HeunDiscreteScheduler": Kind(
        sampler="heun",
        spacing="linspace",
        read={"use_karras_sigmas": False},
        only=SIGMAS,
        idle={"clip_sample": False, "clip_sample_range": 1.0},
    ),
    "DPMSolverMultistepScheduler": Kind(
        sampler="dpmpp2m",
        spacing="linspace",
        read={"use_karras_sigmas": False, "use_lu_lambdas": False, "final_sigmas_type": "zero"},
        only={
            "solver_order": 2,
            "algorithm_type": "dpmsolver++",
            "solver_type": "midpoint",
            "thresholding": False,
            "lambda_min_clipped": float("-inf"),
            "variance_type": None,
            "use_flow_sigmas": False,
            "use_dynamic_shifting": False,
            **SIGMAS,
            **SNR,
        },
        idle={
            "lower_order_final": True,
            "euler_at_final": False,
            "flow_shift": 1.0,
            "time_shift_type": "exponential",
            **THRESHOLD,
        },
    ),
}
SPACINGS: Mapping[str, Mapping[str, Spacing]] = {
    "DPMSolverMultistepScheduler": {"linspace": "even", "leading": "inner", "trailing": "trailing"}
}
"""What a timestep_spacing is here, where it is not what it is called: DPM-Solver in diffusers takes one level more than
there are steps, and leaves out the least noisy."""
USUAL: Mapping[str, Spacing] = {"linspace": "linspace", "leading": "leading", "trailing": "trailing"}
OFFSET = 1
"""steps_offset in every pipeline: diffusers' StableDiffusionPipeline overrules a file that says otherwise."""


def read_process(config: Json) -> tuple[Process, Prediction]:
    """The noise that was added in training, and what the network says of it."""
    check(config, PROCESS_ONLY)
    c = {**PROCESS, **config}
    schedule, prediction = c["beta_schedule"], c["prediction_type"]
    if schedule not in SCHEDULES or prediction not in PREDICTIONS:
        raise ValueError(
            f"scheduler_config.json has beta_schedule {schedule!r} and prediction_type {prediction!r}; Genwerk knows "
            f"{', '.join(SCHEDULES)} and {', '.join(PREDICTIONS)}"
        )
    process = Process(SCHEDULES[schedule], c["num_train_timesteps"], float(c["beta_start"]), float(c["beta_end"]))
    return process, PREDICTIONS[prediction]


def read_sampling(config: Json) -> Sampling:
    """How a pipeline with this scheduler draws a picture: in 50 steps with guidance 7.5, unless it is asked otherwise.

    Warns where the scheduler has no counterpart, and takes ``DEFAULT``.
    """
    name = str(config.get("_class_name"))
    try:
        if name not in KINDS:
            raise ValueError(f"{name} is not among {', '.join(KINDS)}")
        kind = KINDS[name]
        c = {"timestep_spacing": kind.spacing, **kind.read, **config}
        check(c, kind.only)
        spacing = _spacing(name, c)
    except ValueError as error:
        warnings.warn(f"the pipeline's scheduler has no counterpart ({error}); taking {DEFAULT.sampler}", stacklevel=2)
        return DEFAULT
    clean = c.get("set_alpha_to_one", True) and c.get("final_sigmas_type", "zero") == "zero"
    offset = OFFSET if spacing in ("leading", "inner") else 0
    final: Final = "clean" if clean else "first"
    return replace(DEFAULT, sampler=kind.sampler, spacing=spacing, offset=offset, final=final)


def _spacing(name: str, c: Json) -> Spacing:
    """The spacing of levels that the settings ``c`` of the class ``name`` ask for."""
    if c.get("use_karras_sigmas"):
        return "karras"
    if c.get("use_lu_lambdas"):
        return "log-snr"
    spacings = SPACINGS.get(name, USUAL)
    if c["timestep_spacing"] not in spacings:
        raise ValueError(f"timestep_spacing is {c['timestep_spacing']!r}")
    return spacings[c["timestep_spacing"]]


def scheduler_json(process: Process, prediction: Prediction, sampling: Sampling) -> dict[str, Any]:
    """The scheduler_config.json that draws as ``sampling`` does, every key of its class given.

    Warns where the class of the sampler in diffusers does not spread its levels so, and writes its usual spacing.
    """
    name = next((name for name, kind in KINDS.items() if kind.sampler == sampling.sampler), None)
    if name is None:
        raise ValueError(f"the sampler {sampling.sampler} is not exported; take ddim, pndm, euler, heun or dpmpp2m")
    kind, spacing = KINDS[name], sampling.spacing or SAMPLERS[sampling.sampler].spacing
    names = {ours: theirs for theirs, ours in SPACINGS.get(name, USUAL).items()}
    flags = {"use_karras_sigmas": spacing == "karras", "use_lu_lambdas": spacing == "log-snr"}
    spread = any(flags[key] for key in flags.keys() & kind.read.keys())
    if spacing not in names and not spread:
        warnings.warn(
            f"diffusers has no {sampling.sampler} with {spacing} spacing; the export has {kind.spacing} and will draw "
            "other pictures",
            stacklevel=2,
        )
    clean = sampling.final == "clean"
    told = {**flags, "set_alpha_to_one": clean, "final_sigmas_type": "zero" if clean else "sigma_min"}
    return {
        "_class_name": name,
        "num_train_timesteps": process.steps,
        "beta_start": process.start,
        "beta_end": process.end,
        "beta_schedule": _key(SCHEDULES, process.schedule),
        "prediction_type": _key(PREDICTIONS, prediction),
        "trained_betas": None,
        "timestep_spacing": names.get(spacing, kind.spacing),
        "steps_offset": OFFSET,
        **{key: told[key] for key in told.keys() & kind.read.keys()},
        **kind.only,
        **kind.idle,
    }


def _key(table: Mapping[str, T], value: T) -> str:
    """The name in diffusers of ``value``; ValueError where it has none."""
    for name, own in table.items():
        if own == value:
            return name
    raise ValueError(f"{value} has no counterpart among the schedulers of diffusers, which have {', '.join(table)}")
