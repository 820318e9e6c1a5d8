"""English function words, a closed list. Not covered: other languages, whose control texts have to name them."""

from __future__ import annotations

_GRAMMAR = """
    a an the this that these those such same other another each every either neither both all any some no none few
    many much more most less least several own
    i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves one ones oneself
    who whom whose which what when where why how whoever whatever whichever whenever wherever however
    someone somebody something anyone anybody anything everyone everybody everything nobody nothing
    be am is are was were been being do does did done doing have has had having can could may might must shall should
    will would ought cannot won't shan't
    and or but nor so yet if unless although though because since while whereas whether than as until
    of in on at by for to from with without within into onto upon over under above below between among amongst through
    throughout across along around about against before after during toward towards up down off out near behind beside
    besides beyond except inside outside per via till
    not never only also too very just even still again ever always often here there then now thus hence else once
    yes please
"""
FUNCTION_WORDS = frozenset(_GRAMMAR.split())
"""English words that carry grammar, not subject."""


def is_function_word(word: str) -> bool:
    """Whether a key is in the list, or is a contraction of a word in it (``who's``, ``isn't``)."""
    head = word.split("'")[0]
    return word in FUNCTION_WORDS or (head != word and bool({head, head.removesuffix("n")} & FUNCTION_WORDS))
