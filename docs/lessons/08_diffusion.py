"""Lesson 8: from diffusion to Stable Diffusion, in small. Run it as it stands; it writes figures and pictures."""

from lesson import Lesson, show

lesson = Lesson(__file__)

# [data]
import genwerk
import torch
from genwerk.data import scenes
from PIL import Image

words = [c for c in scenes.captions() if "large" in c and any(f" {s} " in c for s in ("circle", "cross", "square"))]
words = [c for c in words if any(colour in c for colour in ("red", "green", "blue"))]  # 36 captions
new = [c for c in words if scenes.held_out(c)]  # never seen in training
seen = [c for c in words if c not in new]
x, texts = scenes.examples(seen, 3000, 0, size=16)
images = [Image.fromarray(array) for array in x.movedim(1, 3).numpy()]
pairs = [{"image": image, "text": text} for image, text in zip(images, texts, strict=True)]

# [train]
run = genwerk.train(
    "latent-diffusion",
    pairs,
    rounds=1000,  # of the autoencoder
    text_rounds=120,  # of CLIP
    prior_rounds=1500,  # of the denoiser
    prior_batch=16,
    evaluate=False,
    **{"autoencoder.error": "squared", "autoencoder.adversarial": 0.0},
)

# [judge]
prototypes = torch.stack([scenes.examples([c], 100, 7, size=16)[0].float().mean(0) / 255 for c in words])


def shown(pictures):
    """The caption whose mean picture is nearest, in shape and colour: what a picture shows, said by no network."""

    def flat(x):
        return (x - x.flatten(2).median(2).values[:, :, None, None]).flatten(1)

    return torch.cdist(flat(pictures), flat(prototypes)).argmin(1)


fresh, said = scenes.examples(words, 720, 8, size=16)
judge = (shown(fresh / 255) == torch.tensor([words.index(c) for c in said])).float().mean().item()

# [latents]
held, said = scenes.examples(new, 240, 9, size=16)
held = held / 255
with torch.no_grad():
    z = run.model.encode(held)
    psnr = -10 * torch.log10((run.model.decode(z) - held).square().mean()).item()
values = held[0].numel(), z[0].numel()

# [clip]
from genwerk.tasks import retrieval

picked = retrieval.zero_shot(run.model.text, held, words)  # for each picture the nearest of the 36 captions
clip = (picked == torch.tensor([words.index(c) for c in said])).float().mean().item()


# [guidance]
def right(captions, pictures):
    """Shares of pictures of the right colour and place, and of the right shape as well."""
    got = [scenes.parse(words[i]) for i in shown(pictures)]
    want = [scenes.parse(c) for c in captions]
    both = [(g.colour, g.position) == (w.colour, w.position) for g, w in zip(got, want, strict=True)]
    return sum(both) / len(both), sum(g == w for g, w in zip(got, want, strict=True)) / len(both)


asked = {"new": [c for c in new for _ in range(10)], "seen": [c for c in seen for _ in range(4)]}
share, variety = {}, {}
for scale in (1.0, 3.0, 8.0):
    for which, captions in asked.items():
        made = run.sample(len(captions), prompt=captions, guidance=scale, steps=20).x
        share[which, scale] = right(captions, made)
    variety[scale] = made.view(len(seen), 4, *made.shape[1:]).std(1).mean().item()

# [steps]
few = asked["new"][::6]
exact = run.sample(len(few), prompt=few, steps=250, sampler="ddim").x
error = {
    (sampler, n): (run.sample(len(few), prompt=few, steps=n, sampler=sampler).x - exact).square().mean().sqrt().item()
    for sampler in ("ddim", "dpmpp2m")
    for n in (2, 5, 10, 20, 50)
}

# [figures]
lesson.measured("judge", judge, within=0.05)
lesson.measured("psnr", psnr, within=0.1)
lesson.measured("values.pixels", values[0], within=0)
lesson.measured("values.latent", values[1], within=0)
lesson.measured("clip", clip, within=0.2)
for scale in (1.0, 3.0, 8.0):
    for which in asked:
        lesson.measured(f"{which}.place.{scale:.0f}", share[which, scale][0], within=0.3)
        lesson.measured(f"{which}.all.{scale:.0f}", share[which, scale][1], within=0.5)
    lesson.measured(f"variety.{scale:.0f}", variety[scale], within=0.3)
for (sampler, n), value in error.items():
    lesson.measured(f"steps.{sampler}.{n}", value, within=0.4)

# [draw-noise]
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
figure, axes = plt.subplots(2, 1, figsize=(8.5, 2.9), layout="constrained")
t = torch.linspace(0, 1, 9)[:, None, None, None]
noise = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
noised = torch.cos(t * torch.pi / 2) * (2 * held[:1] - 1) + torch.sin(t * torch.pi / 2) * noise
show(axes[0], (noised + 1) / 2, 9, "forwards: $x_t = \\alpha_t\\,x_0 + \\sigma_t\\,\\varepsilon$")
way = genwerk.tasks.trajectory(run.model, 1, asked["new"][:1], {"steps": 50, "sampler": "ddim"}, frames=9, seed=1)[0]
show(axes[1], way, 9, f"backwards: what the model has of “{asked['new'][0]}” on the way")
lesson.picture(figure, "noise")

# [draw-guidance]
figure, axes = plt.subplots(1, 3, figsize=(8, 3.1), layout="constrained")
for place, scale in zip(axes, (1.0, 3.0, 8.0), strict=True):
    made = run.sample(16, prompt=[c for c in new[:4] for _ in range(4)], guidance=scale, steps=20)
    show(place, made, 4, f"guidance {scale:.0f}: {share['new', scale][1]:.0%} right")
lesson.picture(figure, "guidance")

# [draw-steps]
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
for sampler, colour in (("ddim", "#d55e00"), ("dpmpp2m", "#0072b2")):
    curve = {n: value for (name, n), value in error.items() if name == sampler}
    axes.loglog(list(curve), list(curve.values()), "o-", color=colour, label=sampler)
axes.set(xlabel="steps", ylabel="distance from 250 steps", xticks=[2, 5, 10, 20, 50])
axes.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
axes.minorticks_off()
axes.set_title("same noise, fewer steps", loc="left")
axes.legend()
lesson.picture(figure, "steps")

# [end]
lesson.done()
