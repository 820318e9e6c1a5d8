"""Explanation → all that its page shows, in a budget of bytes.

Not covered: markup (``page``).
"""

from __future__ import annotations

from attrib.measures import bits
from attrib.records import Explanation
from attrib.render import view
from attrib.render.command import command
from attrib.render.payload.codes import Json, array, rounded_list, shown, to_json, unsure
from attrib.render.payload.detail import ORDER, Detail, estimate, left_out, methods_kept, sections_kept
from attrib.render.payload.prompt import heads_of, method_of, prompt_tokens, prompt_words, shares_of, vocabulary_of
from attrib.render.payload.sections import mapper_of, sections_of, verbatim_runs
from attrib.render.payload.verdict import aligned, origin, verdict_of
from attrib.text.units import units

BUDGET = 10_000_000
"""Bytes that one page may take."""
SCHEMA = 1


def payload(explanation: Explanation, budget: int = BUDGET, *, taken: int = 0) -> Json:
    """All that the page shows, in at most ``budget`` bytes of which the page without data has ``taken``.

    The page lists the omissions, and states a budget that is exceeded even then.
    """
    room = budget - taken
    for detail in ORDER[:-1]:
        if estimate(explanation, detail) <= room:
            made = payload_of(explanation, detail, budget)
            if len(to_json(made).encode()) <= room:
                return made
    made = payload_of(explanation, ORDER[-1], budget)
    size = len(to_json(made).encode())
    if size <= room:
        return made
    over = f"nothing more: the page takes {taken + size:,} bytes, over the budget of {budget:,}"
    return made | {"dropped": [*left_out(explanation, ORDER[-1]), over]}


def payload_of(explanation: Explanation, detail: Detail, budget: int) -> Json:
    """All that the page shows at this detail."""
    kept = sections_kept(explanation, detail)
    place = {index: at for at, index in enumerate(kept)}
    tokens, verdict = explanation.answer_tokens, explanation.verdict
    return {
        "schema": SCHEMA,
        "question": explanation.question,
        "answer": explanation.answer,
        "answerSource": explanation.answer_source,
        "baseAnswer": explanation.base_answer,
        "tunedAnswer": explanation.tuned_answer,
        "otherwise": view.otherwise_lines(explanation),
        "prompt": prompt_tokens(explanation),
        "promptWords": prompt_words(explanation),
        "tokens": [
            {"text": token.text, "shown": shown(token.text), "id": token.id, "label": label}
            for token, label in zip(tokens, view.token_calls(explanation), strict=True)
        ],
        "words": [[group[0], group[-1]] for group in units(tokens, "word")],
        "verdict": verdict_of(explanation, place),
        "tokenVerdict": array(unsure(verdict.tokens), 0.0, 1.0),
        "gainBits": rounded_list(bits(verdict.gain)),
        "logpBase": rounded_list(bits(explanation.base.logprob)),
        "logpTuned": rounded_list(bits(explanation.tuned.logprob)),
        "rankBase": [int(i) for i in explanation.base.rank],
        "rankTuned": [int(i) for i in explanation.tuned.rank],
        "entropyBase": rounded_list(bits(explanation.base.entropy)),
        "entropyTuned": rounded_list(bits(explanation.tuned.entropy)),
        "support": rounded_list(verdict.support),
        "baseAligned": aligned(explanation),
        "sections": sections_of(explanation, kept, detail),
        "sectionsScored": len(explanation.sections),
        "sectionsTotal": explanation.sections_total,
        "mappers": [mapper_of(explanation, name, m, kept, detail) for name, m in explanation.mappings.items()],
        "methods": [method_of(explanation, a, detail) for a in methods_kept(explanation, detail)],
        "heads": heads_of(explanation, detail),
        "verbatim": verbatim_runs(explanation, place),
        "vocabulary": vocabulary_of(explanation),
        "shares": shares_of(explanation),
        "settings": {"significant": view.SIGNIFICANT, "learned": view.LEARNED},
        "notes": list(view.notes(explanation)),
        "provenance": origin(explanation),
        "command": command(explanation),
        "dropped": left_out(explanation, detail),
        "budgetBytes": budget,
    }
