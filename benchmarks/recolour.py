"""Hair of another colour, by a translator between attributes and by latent diffusion that is told the new caption.

Held-out drawn faces each get another colour at random. A classifier of hair that learned from real faces says whether
it arrived; identity is kept where the result is nearer to its own source than to any of 100 others in
EfficientNet-Lite0's features. Latent diffusion noises the source by ``--strengths`` of the way and brings it back as
"<new hair> hair <own eyes> eyes" says (SDEdit, Meng et al., 2022).

    pip install 'genwerk[photo]'
    python benchmarks/recolour.py --data PATH/anime_faces.zip --translator runs/hair --latent runs/latent-faces
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from latent_faces import CAPTIONS, EYES, HAIR, hair, learn, right
from torch import Tensor

import genwerk
from genwerk import tasks
from genwerk.core.abilities import Denoises, TranslatesDomains
from genwerk.core.attributes import KEPT, Attributes
from genwerk.core.batching import in_batches
from genwerk.core.condition import Text
from genwerk.core.layout import Layout
from genwerk.core.model import evaluating
from genwerk.core.spec import Batch
from genwerk.data import DataConfig, open_data
from genwerk.metrics.efficientnet import efficientnet
from genwerk.metrics.spread import of_mean

RIVALS = 100
"""Other sources that a result is compared with."""


def identity(made: Tensor, sources: Tensor) -> Tensor:
    """Whether each result is nearer to its own source than to the 100 that follow it."""
    apart, n = torch.cdist(made, sources), len(made)
    others = (torch.arange(n)[:, None] + torch.arange(1, min(RIVALS, n - 1) + 1)) % n
    return (apart.diag()[:, None] <= apart.gather(1, others)).all(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--translator", required=True, help="run of recolour-hair")
    parser.add_argument("--latent", help="run of latent-faces")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.3, 0.5, 0.7])
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1500, help="of the classifier's training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="file for a picture: a row of sources, and one for each method")
    options = parser.parse_args()
    splits = open_data(DataConfig(source=options.data))
    vocabulary = splits.spec.vocabulary
    assert vocabulary is not None
    net = learn(splits.train.under(Text(vocabulary)), vocabulary, options.rounds, options.seed)
    test = splits.test.under(Text(vocabulary)).subset(options.images).batch()
    assert test.condition is not None
    x, own = test.x, hair(test.condition, vocabulary)
    eyes = (test.condition.unsqueeze(1) == vocabulary.encode(CAPTIONS)).all(2).int().argmax(1) % len(EYES)
    shift = torch.randint(1, len(HAIR), (len(x),), generator=torch.Generator().manual_seed(options.seed))
    aim = (own + shift) % len(HAIR)
    describe = efficientnet(torch.device("cpu"))
    sources, rows = in_batches(describe, x), [x[:12]]
    real = right(net, x, own).double()
    print(f"{len(x)} held-out faces; the classifier is right for {real.mean():.3f} of them")
    print("| | colour arrived | identity kept | CPU s |\n|---|---|---|---|")

    def tell(method: str, translate: Callable[[], Tensor]) -> None:
        start = time.process_time()
        made = translate()
        seconds = time.process_time() - start
        arrived, kept = right(net, made, aim).double(), identity(in_batches(describe, made), sources).double()
        cells = (f"{values.mean():.3f} ± {of_mean(values):.3f}" for values in (arrived, kept))
        print(f"| {method} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)
        rows.append(made[:12])

    tell("the source as it is", lambda: x)
    model = genwerk.load(options.translator)
    assert isinstance(model, TranslatesDomains)
    condition = model.condition
    assert isinstance(condition, Attributes)
    asked = torch.full((len(x), len(condition.values)), KEPT)
    wanted = [f"{HAIR[i]} hair" for i in aim]
    column = next(i for i, names in enumerate(condition.values) if set(wanted) <= set(names))
    asked[:, column] = torch.tensor([condition.values[column].index(name) for name in wanted])
    with evaluating(model):
        tell(Path(options.translator).name, lambda: model.translate(x, asked, seed=options.seed))
    if options.latent:
        latent = genwerk.load(options.latent)
        assert isinstance(latent, Denoises)
        texts = vocabulary.encode([f"{HAIR[h]} hair {EYES[e]} eyes" for h, e in zip(aim, eyes, strict=True)])
        with evaluating(latent):
            for strength in options.strengths:
                settings = {"guidance": options.guidance}
                batch = Batch(x, texts)
                tell(
                    f"latent diffusion, strength {strength:g}",
                    lambda s=strength, b=batch, o=settings: tasks.sdedit(latent, b, s, o, seed=options.seed),
                )
    if options.sheet:
        splits.spec.modality.write(options.sheet, Batch(torch.cat(rows)), {"data": options.data}, Layout(12))


if __name__ == "__main__":
    main()
