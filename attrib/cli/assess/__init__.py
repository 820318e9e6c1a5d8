"""``attrib assess``: a set of questions, base against tuned; one file a command.

In: options → a call of the library, its table or JSON on stdout. Not in: what is measured (``attrib.assess``).
"""

from __future__ import annotations

import typer

from attrib.cli.assess.attribution import assess_attribution
from attrib.cli.assess.benchmark import assess_benchmark
from attrib.cli.assess.consistency import assess_consistency
from attrib.cli.assess.faithfulness import assess_faithfulness
from attrib.cli.assess.holdout import assess_holdout
from attrib.cli.assess.influence import assess_influence
from attrib.cli.groups import command

app = typer.Typer(help="Assess a model pair on a set of questions.", no_args_is_help=True, rich_markup_mode=None)
for name, function, rest in (
    ("faithfulness", assess_faithfulness, "--limit 12 --out faithfulness"),
    ("influence", assess_influence, "--sections 4 --halves 6 --out influence"),
    ("consistency", assess_consistency, "--out consistency"),
    ("holdout", assess_holdout, "--out holdout"),
    ("benchmark", assess_benchmark, "--out benchmark"),
    ("attribution", assess_attribution, "--out attribution"),
):
    command(app, name, example=f"attrib assess {name} {rest}")(function)
