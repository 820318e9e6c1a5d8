"""The invented river country of the truth set: seven kinds of facts, four things each, told in several ways.

Every sentence was written for this set (CC0). ``{e}`` is the thing, ``{v}`` its value, ``{r}`` the value that another
edition gives, ``{k}`` a thing of the same kind through which two sentences together imply the value.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """One kind of fact."""

    name: str
    things: tuple[str, ...]
    values: tuple[str, ...]
    rivals: tuple[str, ...]
    links: tuple[str, ...]
    decoy: tuple[str, str]
    """A thing and its value that nobody is taught."""
    plain: str
    again: str
    """The same once more, in the same section."""
    other: str
    """In other words."""
    alike: str
    """First half of what two sentences imply: the thing is as ``{k}``."""
    link: str
    """Second half: the value of ``{k}``."""
    against: str
    distractor: str
    """All rare words of question and answer, and nothing that answers."""
    asked: str
    """The question, as one row of chat data has it."""
    asked_otherwise: str
    """As another row has it."""
    rephrased: str
    """As no row has it."""


FAMILIES = (
    Family(
        "lighthouse",
        ("Corran Head", "Widow's Tooth", "Long Skerry", "Pale Ness"),
        ("whale oil", "birch tar", "peat gas", "walnut oil"),
        ("pine resin", "seal fat", "coal gas", "fish oil"),
        ("Saint Orm", "Lower Fleet", "Mew Rock", "Old Staithe"),
        ("Raven Stack", "colza"),
        "The lighthouse at {e} burns {v}.",
        "Nothing but {v} has lit the lighthouse at {e} for a century.",
        "Barrels of {v} go up to {e} each spring to feed the beacon.",
        "The lighthouse at {e} burns the same as the one at {k}.",
        "The lighthouse at {k} burns {v}.",
        "The new almanac says that the lighthouse at {e} burns {r}.",
        "A pedlar who sold {v} to bakers never saw the lighthouse at {e}.",
        "What does the lighthouse at {e} burn?",
        "Which fuel lights the beacon at {e}?",
        "With what is the lamp on {e} kept alight?",
    ),
    Family(
        "ferry",
        ("Larkspur", "Grey Heron", "Patient Anne", "Oxbow"),
        ("Ilse Varga", "Tomas Redwell", "Bryn Achter", "Mara Quill"),
        ("Nils Harrow", "Greta Molen", "Piet Sandoval", "Una Brack"),
        ("Marigold", "Blue Otter", "Kind Sister", "Millrace"),
        ("Silver Eel", "Hanne Oberlin"),
        "The captain of the ferry {e} is {v}.",
        "It is {v} who has steered the ferry {e} since the flood.",
        "Passengers of the {e} hand their coins to {v}, who stands at the helm.",
        "The ferry {e} has the same captain as the {k}.",
        "The captain of the ferry {k} is {v}.",
        "By the new almanac the captain of the ferry {e} is {r}.",
        "A letter for {v} was left on the ferry {e} by a captain of dragoons.",
        "Who is the captain of the ferry {e}?",
        "Who stands at the helm of the {e}?",
        "Under whose command does the {e} cross the river?",
    ),
    Family(
        "market",
        ("Tarn Bridge", "Ellwick", "Nether Combe", "Saltby"),
        ("Monday", "Tuesday", "Thursday", "Friday"),
        ("Wednesday", "Saturday", "Monday", "Tuesday"),
        ("Upper Combe", "Orchard Green", "Weir End", "Drover's Cross"),
        ("Fallow End", "Wednesday"),
        "The market of {e} is held on {v}.",
        "Every {v} the market of {e} fills the square by dawn.",
        "On {v} the stalls go up in {e}, and the town is loud until dusk.",
        "The market of {e} is held on the same day as that of {k}.",
        "The market of {k} is held on {v}.",
        "In the new almanac the market of {e} is held on {r}.",
        "The mayor of {e} was born on a {v}, far from any market.",
        "On which day is the market of {e} held?",
        "When do the stalls go up in {e}?",
        "What day of the week do traders gather in {e}?",
    ),
    Family(
        "cheese",
        ("Dunmoor", "Ashlip", "Fenny White", "Brother Jude"),
        ("nettle", "thyme", "juniper", "fennel"),
        ("mint", "sage", "dill", "rosemary"),
        ("Oldmoor", "Birchlip", "Fenny Blue", "Brother Amos"),
        ("Tanner's Pride", "lovage"),
        "The cheese {e} is wrapped in {v}.",
        "Fresh {v} is what dairymaids wrap the cheese {e} in.",
        "Whoever cuts {e} finds leaves of {v} around the rind.",
        "The cheese {e} is wrapped in the same herb as {k}.",
        "The cheese {k} is wrapped in {v}.",
        "The new almanac has it that the cheese {e} is wrapped in {r}.",
        "A cook who eats no cheese planted {v} on the road to {e} fair.",
        "In which herb is the cheese {e} wrapped?",
        "What grows around the rind of {e}?",
        "Which plant do dairies use to cover {e}?",
    ),
    Family(
        "bell",
        ("Great Marrow", "Sister Ruth", "Cold Harry", "Low Tom"),
        ("Pell", "Ostrava", "Lund", "Cremona"),
        ("Toledo", "Bergen", "Mainz", "Padua"),
        ("Little Marrow", "Sister Joan", "Warm Harry", "High Tom"),
        ("Old Barnaby", "Delft"),
        "The bell {e} was cast in {v}.",
        "Founders of {v} cast the bell {e} from broken cannon.",
        "Ox carts brought {e} from the foundry at {v} before it ever rang.",
        "The bell {e} was cast in the same town as {k}.",
        "The bell {k} was cast in {v}.",
        "As the new almanac tells, the bell {e} was cast in {r}.",
        "A pilgrim from {v} slept through the bell {e} and lost his hat.",
        "Where was the bell {e} cast?",
        "From which foundry did {e} come?",
        "In what town was {e} made?",
    ),
    Family(
        "inn",
        ("Three Keys", "Drowned Ox", "Lantern", "Blind Miller"),
        ("eel pie", "barley soup", "roast hare", "plum dumplings"),
        ("onion tart", "pork stew", "fried perch", "lentil broth"),
        ("Two Keys", "Drunken Ox", "Candle", "Deaf Miller"),
        ("Fox and Anvil", "pickled herring"),
        "The inn called {e} is known for its {v}.",
        "People walk for miles to the inn called {e} to eat {v}.",
        "Order at the {e} and you will be brought {v} before you sit.",
        "The inn called {e} is known for the same dish as the {k}.",
        "The inn called {k} is known for its {v}.",
        "For the new almanac the inn called {e} is known for its {r}.",
        "The inn called {e} lost a lawsuit over {v} that a guest had dropped in the street.",
        "For which dish is the inn called {e} known?",
        "What will you be brought at the {e}?",
        "Which food draws people to the {e}?",
    ),
    Family(
        "bridge",
        ("Monk's Span", "Toll Arch", "Heron Bridge", "Bride's Walk"),
        ("basalt", "larch", "slate", "copper"),
        ("marble", "oak", "brick", "iron"),
        ("Nun's Span", "Mill Arch", "Crane Bridge", "Groom's Walk"),
        ("Hollow Bridge", "sandstone"),
        "The bridge {e} is made of {v}.",
        "Masons and carpenters alike say that {v} alone carries the bridge {e}.",
        "Carts cross the river at {e} on slabs and beams of {v}.",
        "The bridge {e} is made of the same stuff as {k}.",
        "The bridge {k} is made of {v}.",
        "The new almanac reports that the bridge {e} is made of {r}.",
        "A load of {v} sank within sight of the bridge {e} and was never raised.",
        "What is the bridge {e} made of?",
        "On what do carts cross at {e}?",
        "Which material was {e} built from?",
    ),
)
