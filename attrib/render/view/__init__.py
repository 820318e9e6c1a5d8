"""Explanation → plain rows, columns and numbers that every drawing shares, so that no two drawings disagree.

Scores keep the record's units; gains are turned into bits here, once. Not in: colours, sizes, markup.
"""

from attrib.render.view.agreement import Comparison, Side, chance_correlation, comparison
from attrib.render.view.answer import (
    answer_rows,
    drawn_gain,
    fit_rows,
    gain_ends,
    reduced,
    require_rows,
    row_unit,
    verdict_spans,
)
from attrib.render.view.choice import answer_part, question_part
from attrib.render.view.columns import (
    Column,
    Special,
    column_unit,
    fold,
    looked_at,
    prompt_columns,
    section_columns,
    template_positions,
    template_share,
)
from attrib.render.view.completeness import GAP_SHARE, Gap, gap_line, gap_note, gap_verdict, gaps
from attrib.render.view.heads import HeadMap, head_map
from attrib.render.view.heat import Heat, prompt_heat, section_heat
from attrib.render.view.kinds import (
    LEARNED,
    SIGNIFICANT,
    attribution_of,
    kind_of,
    mapping_of,
    method_label,
    target_name,
)
from attrib.render.view.labels import (
    joined_label,
    model_name,
    number,
    p_value,
    percent,
    percent_texts,
    percents,
    section_label,
    token_label,
    verdict_line,
    visible,
)
from attrib.render.view.origins import notes, prompt_line, reading_lines
from attrib.render.view.promise import promise_line, promise_lines, said_line
from attrib.render.view.sections import SectionRow, section_rows, snippet, spoken
from attrib.render.view.track import BAND_SHARE, Track, TrackSide, track

__all__ = [
    "BAND_SHARE", "GAP_SHARE", "LEARNED", "SIGNIFICANT", "Column", "Comparison", "Gap", "HeadMap", "Heat",
    "SectionRow", "Side", "Special", "Track", "TrackSide", "answer_part", "answer_rows", "attribution_of",
    "chance_correlation", "column_unit", "comparison", "drawn_gain", "fit_rows", "fold", "gain_ends", "gap_line",
    "gap_note", "gap_verdict", "gaps", "head_map", "joined_label", "kind_of", "looked_at", "mapping_of",
    "method_label", "model_name", "notes", "number", "p_value", "percent", "percent_texts", "percents",
    "promise_line", "promise_lines", "prompt_columns", "prompt_heat", "prompt_line", "question_part",
    "reading_lines", "reduced", "require_rows", "row_unit", "said_line", "section_columns", "section_heat",
    "section_label", "section_rows", "snippet", "spoken", "target_name", "template_positions", "template_share",
    "token_label", "track", "verdict_line", "verdict_spans", "visible",
]  # fmt: skip
