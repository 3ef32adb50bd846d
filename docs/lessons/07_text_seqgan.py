"""Lesson 7: text, and SeqGAN. Run it as it stands; it writes figures and pictures."""

from lesson import Lesson

lesson = Lesson(__file__)

# [grammar]
import random

NOUNS = ("cat", "dog", "bird", "fox", "horse", "child", "king", "robot")
VERBS = ("sleep", "sing", "run", "dance", "laugh", "wait")
PLACES = ("near", "behind", "above")


def sentence(rng):
    """The verb agrees with the first noun, not with the one before it: "the cats near the dog sleep ."."""
    (one, several), (other, others) = rng.choices(["", "s"], k=2), rng.choices(NOUNS, k=2)
    verb = rng.choice(VERBS) + ("" if one else "s")
    return f"the {other}{one} {rng.choice(PLACES)} the {others}{several} {verb} ."


def grammatical(text):
    """Whether it could come from `sentence`."""
    words = text.split()
    if len(words) != 7 or [words[0], words[3], words[6]] != ["the", "the", "."]:
        return False
    nouns = all(w.removesuffix("s") in NOUNS for w in (words[1], words[4]))
    verb = words[5] in VERBS if words[1].endswith("s") else words[5].removesuffix("s") in VERBS and words[5][-1] == "s"
    return nouns and words[2] in PLACES and verb


rng = random.Random(0)
texts = [sentence(rng) for _ in range(400)]

# [likelihood]
import genwerk

lm = genwerk.train("lstm-lm", texts, tokens="words", rounds=200, lr=0.01, out="runs/lm", evaluate=False)
scores = {}
for temperature in (0.3, 0.7, 1.0, 1.5):
    made = lm.sample(1000, temperature=temperature).texts
    scores[temperature] = sum(map(grammatical, made)) / 1000, len(set(made)) / 1000
print(*lm.sample(5).texts, sep="\n")

# [reinforce]
import torch

logits = torch.zeros(4)  # a text of one word out of four
reward = torch.tensor([0.9, 0.8, 0.8, 0.7])  # what a discriminator says of each
p = logits.softmax(0)
exact = p * (reward - (p * reward).sum())  # the gradient of the expected reward
drawn = torch.multinomial(p.expand(20_000, 4), 1, generator=torch.Generator().manual_seed(0))[:, 0]
score = torch.eye(4)[drawn] - p  # the gradient of log p(word)
plain = reward[drawn, None] * score
centred = (reward[drawn, None] - (p * reward).sum()) * score
noise = {"plain": plain.std(0).mean().item(), "baseline": centred.std(0).mean().item()}
bias = (plain.mean(0) - exact).abs().max().item()

# [game]
common = dict(tokens="words", likelihood_rounds=150, discriminator_rounds=10, d_batches=8, rollouts=8, evaluate=False)
before = genwerk.train("seqgan", texts, rounds=1, out="runs/before", **common)
after = genwerk.train("seqgan", texts, rounds=40, out="runs/after", **common)
game = {}
for name, run in (("before", before), ("after", after)):
    made = run.sample(1000, seed=1).texts
    fresh = [sentence(rng) for _ in range(1000)]
    nll = -run.log_likelihood(fresh).nats
    game[name] = sum(map(grammatical, made)) / 1000, len(set(made)) / 1000, nll

# [figures]
known = set(texts)
new = [t for t in lm.sample(1000).texts if grammatical(t) and t not in known]
lesson.measured("new", len(new) / 1000, within=0.3)
for temperature, (right, distinct) in scores.items():
    lesson.measured(f"right.{temperature}", right, within=0.3)
    lesson.measured(f"distinct.{temperature}", distinct, within=0.3)
lesson.measured("reinforce.bias", bias, within=0.9)
lesson.measured("reinforce.plain", noise["plain"], within=0.1)
lesson.measured("reinforce.baseline", noise["baseline"], within=0.1)
for name, (right, distinct, nll) in game.items():
    lesson.measured(f"game.{name}.right", right, within=0.5)
    lesson.measured(f"game.{name}.distinct", distinct, within=0.5)
    lesson.measured(f"game.{name}.nll", nll, within=0.3)
lesson.texts("before", before.sample(6).texts)
lesson.texts("after", after.sample(6).texts)
lesson.texts("lm", lm.sample(6).texts)

# [draw]
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
line = [(distinct, right) for right, distinct in scores.values()]
axes.plot(*zip(*line, strict=True), "o-", color="#0072b2", label="maximum likelihood, by temperature")
for (x, y), temperature in zip(line, scores, strict=True):
    axes.annotate(f"T = {temperature}", (x, y), (6, -12), textcoords="offset points", fontsize=9)
for name, colour in (("before", "#e69f00"), ("after", "#d55e00")):
    right, distinct, _ = game[name]
    axes.plot(distinct, right, "s", color=colour, label=f"SeqGAN {name} the game")
axes.set(xlabel="different sentences among 1,000 (share)", ylabel="grammatical (share)", xlim=(0, 1.05), ylim=(0, 1.05))
axes.legend(loc="lower left")
lesson.picture(figure, "quality-variety")

# [end]
lesson.done()
