"""scheduler_config.json of diffusers as a noising process with a way to sample it, and back.

Which noise was added in training cannot be guessed: what is not understood of it is refused. How samples are drawn is a
matter of taste: a scheduler that has no counterpart here gives way, with a warning, to one that has.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, NamedTuple, TypeVar

from genwerk.diffusion.names import Final, SamplerName, Spacing
from genwerk.diffusion.parameterisation import Prediction
from genwerk.diffusion.samplers import SAMPLERS
from genwerk.diffusion.sampling import Diffusion
from genwerk.diffusion.schedule import Cosine, Linear, Process, ScaledLinear, Schedule
from genwerk.interop.networks import Json, check, typed

T = TypeVar("T")

SCHEDULES: Mapping[str, type[Schedule]] = {
    "linear": Linear,
    "scaled_linear": ScaledLinear,
    "squaredcos_cap_v2": Cosine,
}
PREDICTIONS: Mapping[str, Prediction] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
DEFAULT = Diffusion(sampler="dpmpp2m", spacing="even", steps=50, guidance=7.5, resamples=1)
"""How a pipeline is sampled where its scheduler has no counterpart: in the steps, and with the guidance, of
diffusers."""


class Kind(NamedTuple):
    """A scheduler class of diffusers, as one of our samplers."""

    name: str
    spacing: str
    """Default of timestep_spacing."""
    read: Json
    """Keys that are read, with their defaults."""
    only: Json
    """Keys of which our sampler has one form."""
    idle: Json
    """All other keys: they change nothing here."""


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
MULTISTEP: Json = {
    "solver_order": 2,
    "thresholding": False,
    "use_flow_sigmas": False,
    "use_dynamic_shifting": False,
    **SIGMAS,
    **SNR,
}
LATE: Json = {"lower_order_final": True, "euler_at_final": False}
"""Keys of DPM-Solver of which ours has one form where its last step does not lead to the clean end."""
DPM: Json = {
    **MULTISTEP,
    "solver_type": "midpoint",
    "lambda_min_clipped": float("-inf"),
    "variance_type": None,
}
DPM_READ: Json = {"use_karras_sigmas": False, "use_lu_lambdas": False, "final_sigmas_type": "zero"}
FLOW: Json = {"flow_shift": 1.0, "time_shift_type": "exponential", **THRESHOLD}
KINDS: Mapping[SamplerName, Kind] = {
    "ddim": Kind(
        "DDIMScheduler",
        spacing="leading",
        read={"set_alpha_to_one": True},
        only={"thresholding": False, **SNR},
        idle={"clip_sample": False, "clip_sample_range": 1.0, **THRESHOLD},
    ),
    "pndm": Kind(
        "PNDMScheduler",
        spacing="leading",
        read={"set_alpha_to_one": False, "skip_prk_steps": False},
        only={"skip_prk_steps": True},
        idle={},
    ),
    "euler": Kind(
        "EulerDiscreteScheduler",
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
    "euler-ancestral": Kind("EulerAncestralDiscreteScheduler", spacing="linspace", read={}, only=SNR, idle={}),
    "heun": Kind(
        "HeunDiscreteScheduler",
        spacing="linspace",
        read={"use_karras_sigmas": False},
        only=SIGMAS,
        idle={"clip_sample": False, "clip_sample_range": 1.0},
    ),
    "dpmpp2m": Kind(
        "DPMSolverMultistepScheduler",
        spacing="linspace",
        read=DPM_READ,
        only={**DPM, "algorithm_type": "dpmsolver++"},
        idle={**LATE, **FLOW},
    ),
    "dpmpp2m-sde": Kind(
        "DPMSolverMultistepScheduler",
        spacing="linspace",
        read=DPM_READ,
        only={**DPM, "algorithm_type": "sde-dpmsolver++"},
        idle={**LATE, **FLOW},
    ),
    "unipc": Kind(
        "UniPCMultistepScheduler",
        spacing="linspace",
        read={"use_karras_sigmas": False, "final_sigmas_type": "zero"},
        only={
            **MULTISTEP,
            "predict_x0": True,
            "solver_type": "bh2",
            "lower_order_final": True,
            "disable_corrector": (),
            "solver_p": None,
            "sigma_min": None,
            "sigma_max": None,
            "shift_terminal": None,
        },
        idle=FLOW,
    ),
}
USUAL: Mapping[str, Spacing] = {"linspace": "linspace", "leading": "leading", "trailing": "trailing"}
SOLVERS: Mapping[str, Spacing] = {"linspace": "even", "leading": "inner", "trailing": "trailing"}
SPACINGS: Mapping[str, Mapping[str, Spacing]] = {
    "DPMSolverMultistepScheduler": SOLVERS,
    "UniPCMultistepScheduler": SOLVERS,
}
"""What a timestep_spacing is here, where it is not what it is called: these in diffusers take one level more than there
are steps, and leave out the least noisy."""
OFFSET = 1
"""steps_offset in every pipeline: diffusers' StableDiffusionPipeline overrules a file that says otherwise."""


def read_process(config: Json) -> tuple[Process, Prediction]:
    """The noise that was added in training, and what the network says of it."""
    check(config, PROCESS_ONLY)
    c = typed(config, PROCESS, "scheduler_config.json")
    schedule, prediction = c["beta_schedule"], c["prediction_type"]
    if schedule not in SCHEDULES or prediction not in PREDICTIONS:
        raise ValueError(
            f"scheduler_config.json has beta_schedule {schedule!r} and prediction_type {prediction!r}; Genwerk knows "
            f"{', '.join(SCHEDULES)} and {', '.join(PREDICTIONS)}"
        )
    kind = SCHEDULES[schedule]
    betas = {field.name: float(c[field.name]) for field in fields(kind)}
    return Process(kind(**betas), c["num_train_timesteps"]), PREDICTIONS[prediction]


def read_sampling(config: Json) -> Diffusion:
    """How a pipeline with this scheduler draws a picture: in 50 steps with guidance 7.5, unless it is asked otherwise.

    Warns where the scheduler has no counterpart, and takes ``DEFAULT``; and where diffusers' own way with it is at odds
    with the method's formula, so that the pictures differ.
    """
    name = str(config.get("_class_name"))
    kinds = {sampler: kind for sampler, kind in KINDS.items() if kind.name == name}
    try:
        if not kinds:
            raise ValueError(f"{name} is not among {', '.join(dict.fromkeys(kind.name for kind in KINDS.values()))}")
        algorithm = config.get("algorithm_type")
        sampler = next((s for s, k in kinds.items() if k.only.get("algorithm_type") == algorithm), next(iter(kinds)))
        kind = kinds[sampler]
        c = typed(config, {"timestep_spacing": kind.spacing, **kind.read}, "scheduler_config.json")
        check(c, kind.only)
        clean = c.get("set_alpha_to_one", True) and c.get("final_sigmas_type", "zero") == "zero"
        if not clean:
            check(c, {key: value for key, value in LATE.items() if key in kind.idle})
        spacing, within = _spacing(name, c)
    except ValueError as error:
        warnings.warn(f"the pipeline's scheduler has no counterpart ({error}); taking {DEFAULT.sampler}", stacklevel=2)
        return DEFAULT
    if fault := _fault(name, c):
        warnings.warn(
            f"{fault}; the formula is followed here, so pictures differ from those of diffusers", stacklevel=2
        )
    offset = OFFSET if {spacing, within} & {"leading", "inner"} else 0
    final: Final = "clean" if clean else "first"
    return replace(DEFAULT, sampler=sampler, spacing=spacing, within=within, offset=offset, final=final)


def _spacing(name: str, c: Json) -> tuple[Spacing, Spacing | None]:
    """The spacing of levels that the settings ``c`` of the class ``name`` ask for, and the one that bounds it."""
    spacings = SPACINGS.get(name, USUAL)
    if c["timestep_spacing"] not in spacings:
        raise ValueError(f"timestep_spacing is {c['timestep_spacing']!r}")
    spacing = spacings[c["timestep_spacing"]]
    if c.get("use_karras_sigmas"):
        return "karras", None if spacings is SOLVERS or spacing == "linspace" else spacing
    return ("log-snr", None) if c.get("use_lu_lambdas") else (spacing, None)


def _fault(name: str, c: Json) -> str | None:
    """What diffusers does against the formula under the settings ``c``, if anything."""
    if name == "PNDMScheduler" and c.get("prediction_type") == "v_prediction":
        return "diffusers' PNDMScheduler adds velocities of several levels up, where the method's formula has noises"
    if name in ("DDIMScheduler", "PNDMScheduler") and c["timestep_spacing"] == "linspace":
        return f"diffusers' {name} with linspace steps to other times than those it goes on from"
    return None


def scheduler_json(process: Process, prediction: Prediction, sampling: Diffusion) -> dict[str, Any]:
    """The scheduler_config.json that draws as ``sampling`` does, every key of its class given.

    Warns where the class of the sampler in diffusers does not spread its levels so, and writes its usual spacing.
    """
    kind, spacing = KINDS.get(sampling.sampler), sampling.spacing or SAMPLERS[sampling.sampler].spacing
    if kind is None:
        raise ValueError(f"the sampler {sampling.sampler} is not exported; take one of {', '.join(KINDS)}")
    names = {ours: theirs for theirs, ours in SPACINGS.get(kind.name, USUAL).items()}
    flags = {"use_karras_sigmas": spacing == "karras", "use_lu_lambdas": spacing == "log-snr"}
    spread = any(flags[key] for key in flags.keys() & kind.read.keys())
    if spacing not in names and not spread:
        warnings.warn(
            f"diffusers has no {sampling.sampler} with {spacing} spacing; the export has {kind.spacing} and will draw "
            "other pictures",
            stacklevel=2,
        )
    clean = sampling.final == "clean"
    written = {**flags, "set_alpha_to_one": clean, "final_sigmas_type": "zero" if clean else "sigma_min"}
    return {
        "_class_name": kind.name,
        "num_train_timesteps": process.steps,
        **{key: getattr(process.schedule, key, PROCESS[key]) for key in ("beta_start", "beta_end")},
        "beta_schedule": _key(SCHEDULES, type(process.schedule)),
        "prediction_type": _key(PREDICTIONS, prediction),
        "trained_betas": None,
        "timestep_spacing": names.get(sampling.within or spacing, kind.spacing),
        "steps_offset": OFFSET,
        **{key: written[key] for key in written.keys() & kind.read.keys()},
        **kind.only,
        **kind.idle,
    }


def _key(table: Mapping[str, T], value: T) -> str:
    """The name in diffusers of ``value``; ValueError where it has none."""
    for name, own in table.items():
        if own == value:
            return name
    raise ValueError(f"{value} has no counterpart among the schedulers of diffusers, which have {', '.join(table)}")
