"""Make the truth set again: a corpus whose facts several sections carry, and what retraining without sections does.

    python scripts/make_truth.py STAGE … --work DIR [--out scripts/truth/data]

Stages, in order: documents, runs (about a minute of CPU a run; ``torchrun --nproc-per-node 2`` or several machines on
one DIR share them), tables (Parquet), scores (every scorer), gate (scorers against the runs). Each resumes where it was
stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from truth.commands import STAGES

OUT = Path(__file__).parent / "truth" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="+", choices=STAGES)
    parser.add_argument("--work", type=Path, required=True, help="folder of runs and scores")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the stored set")
    given = parser.parse_args()
    for stage in given.stages:
        print(f"{stage} …", file=sys.stderr, flush=True)
        STAGES[stage](given.work, given.out)


if __name__ == "__main__":
    main()
