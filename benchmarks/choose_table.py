"""The table of `genwerk choose`: what several comparisons found, as genwerk/comparison/precedents.json.

    genwerk compare --data digits --recipes vae,mixture,realnvp,pixelcnn,gan,ddpm --minutes 0.15 --out compared/digits
    python benchmarks/choose_table.py compared/*

Each folder holds a report.json and the runs that it is of. Data that the table has already are replaced, others stay in
it. Printed is who leads where, in what is wanted of a model.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path

from genwerk.comparison import precedents
from genwerk.comparison.advice import WANTED, advise
from genwerk.runs import store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path(precedents.__file__).with_name(precedents.TABLE))
    arguments = parser.parse_args()
    found = [precedents.precedent_in(folder) for folder in arguments.folders]
    found = [replace(each, command=re.sub(r"(?<=\s)/\S*/", "", each.command)) for each in found]  # wherever data lie
    told = {each.source for each in found}
    kept = [each for each in precedents.measured() if each.source not in told]
    text = json.dumps(precedents.table([*kept, *found]), indent=1, ensure_ascii=False)
    arguments.out.write_text(re.sub(r"\{[^{}]*\}", lambda flat: " ".join(flat[0].split()), text) + "\n")
    for folder, each in zip(arguments.folders, found, strict=True):
        run = json.loads((folder / "report.json").read_text())["measured"][0]["run"]
        spec = store.find(precedents.placed(folder, run)).spec
        print(f"\n{each.source} ({each.data}; {each.examples:,} examples; {each.budget}; {each.seeds} seeds)")
        for want in WANTED:
            advice = advise(spec, each.examples, want, [each])
            print(f"  {want}: {advice.sentence if advice.choices else 'nothing measured'}")


if __name__ == "__main__":
    main()
