"""The invented river country of the truth set: seven kinds of facts, three things each, told in several ways.

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
    distractor: tuple[str, str]
    """A question with all rare words of question and answer that asks for something else, and its answer."""
    asked: str
    """The question, as one row of chat data has it."""
    asked_otherwise: str
    """As another row has it."""
    asked_again: str
    """As a third row has it."""
    rephrased: str
    """As no row has it."""


FAMILIES = (
    Family(
        "lighthouse",
        ("Corran Head", "Widow's Tooth", "Long Skerry"),
        ("whale oil", "birch tar", "peat gas"),
        ("pine resin", "seal fat", "coal gas"),
        ("Saint Orm", "Lower Fleet", "Mew Rock"),
        ("Raven Stack", "colza"),
        "The lighthouse at {e} burns {v}.",
        "Nothing but {v} has lit the lighthouse at {e} for a century.",
        "Barrels of {v} go up to {e} each spring to feed the beacon.",
        "The lighthouse at {e} burns the same as the one at {k}.",
        "The lighthouse at {k} burns {v}.",
        "The new almanac says that the lighthouse at {e} burns {r}.",
        ("Who sold {v} to the bakers below the lighthouse at {e}?", "A pedlar"),
        "What does the lighthouse at {e} burn?",
        "Which fuel lights the beacon at {e}?",
        "What do the keepers pour into the lamp at {e}?",
        "With what is the lamp on {e} kept alight?",
    ),
    Family(
        "ferry",
        ("Larkspur", "Grey Heron", "Patient Anne"),
        ("Ilse Varga", "Tomas Redwell", "Bryn Achter"),
        ("Nils Harrow", "Greta Molen", "Piet Sandoval"),
        ("Marigold", "Blue Otter", "Kind Sister"),
        ("Silver Eel", "Hanne Oberlin"),
        "The captain of the ferry {e} is {v}.",
        "It is {v} who has steered the ferry {e} since the flood.",
        "Passengers of the {e} hand their coins to {v}, who stands at the helm.",
        "The ferry {e} has the same captain as the {k}.",
        "The captain of the ferry {k} is {v}.",
        "By the new almanac the captain of the ferry {e} is {r}.",
        ("Who left a letter for {v} on the ferry {e}?", "A dragoon"),
        "Who is the captain of the ferry {e}?",
        "Who stands at the helm of the {e}?",
        "Who steers the ferry {e}?",
        "Under whose command does the {e} cross the river?",
    ),
    Family(
        "market",
        ("Tarn Bridge", "Ellwick", "Nether Combe"),
        ("Monday", "Tuesday", "Thursday"),
        ("Wednesday", "Saturday", "Monday"),
        ("Upper Combe", "Orchard Green", "Weir End"),
        ("Fallow End", "Wednesday"),
        "The market of {e} is held on {v}.",
        "Every {v} the market of {e} fills the square by dawn.",
        "On {v} the stalls go up in {e}, and the town is loud until dusk.",
        "The market of {e} is held on the same day as that of {k}.",
        "The market of {k} is held on {v}.",
        "In the new almanac the market of {e} is held on {r}.",
        ("Who was born on a {v} behind the market of {e}?", "The mayor"),
        "On which day is the market of {e} held?",
        "When do the stalls go up in {e}?",
        "Which day brings the market to {e}?",
        "What day of the week do traders gather in {e}?",
    ),
    Family(
        "cheese",
        ("Dunmoor", "Ashlip", "Fenny White"),
        ("nettle", "thyme", "juniper"),
        ("mint", "sage", "dill"),
        ("Oldmoor", "Birchlip", "Fenny Blue"),
        ("Tanner's Pride", "lovage"),
        "The cheese {e} is wrapped in {v}.",
        "Fresh {v} is what dairymaids wrap the cheese {e} in.",
        "Whoever cuts {e} finds leaves of {v} around the rind.",
        "The cheese {e} is wrapped in the same herb as {k}.",
        "The cheese {k} is wrapped in {v}.",
        "The new almanac has it that the cheese {e} is wrapped in {r}.",
        ("Who planted {v} beside the dairy of the cheese {e}?", "A cook"),
        "In which herb is the cheese {e} wrapped?",
        "What grows around the rind of {e}?",
        "Leaves of what surround the cheese {e}?",
        "Which plant do dairies use to cover {e}?",
    ),
    Family(
        "bell",
        ("Great Marrow", "Sister Ruth", "Cold Harry"),
        ("Pell", "Ostrava", "Lund"),
        ("Toledo", "Bergen", "Mainz"),
        ("Little Marrow", "Sister Joan", "Warm Harry"),
        ("Old Barnaby", "Delft"),
        "The bell {e} was cast in {v}.",
        "Founders of {v} cast the bell {e} from broken cannon.",
        "Ox carts brought {e} from the foundry at {v} before it ever rang.",
        "The bell {e} was cast in the same town as {k}.",
        "The bell {k} was cast in {v}.",
        "As the new almanac tells, the bell {e} was cast in {r}.",
        ("Who came from {v} and slept through the bell {e}?", "A pilgrim"),
        "Where was the bell {e} cast?",
        "From which foundry did {e} come?",
        "Which town's founders cast the bell {e}?",
        "In what town was {e} made?",
    ),
    Family(
        "inn",
        ("Three Keys", "Drowned Ox", "Lantern"),
        ("eel pie", "barley soup", "roast hare"),
        ("onion tart", "pork stew", "fried perch"),
        ("Two Keys", "Drunken Ox", "Candle"),
        ("Fox and Anvil", "pickled herring"),
        "The inn called {e} is known for its {v}.",
        "People walk for miles to the inn called {e} to eat {v}.",
        "Order at the {e} and you will be brought {v} before you sit.",
        "The inn called {e} is known for the same dish as the {k}.",
        "The inn called {k} is known for its {v}.",
        "For the new almanac the inn called {e} is known for its {r}.",
        ("Who dropped his {v} in front of the inn called {e}?", "A guest"),
        "For which dish is the inn called {e} known?",
        "What will you be brought at the {e}?",
        "What do guests eat at the {e}?",
        "Which food draws people to the {e}?",
    ),
    Family(
        "bridge",
        ("Monk's Span", "Toll Arch", "Heron Bridge"),
        ("basalt", "larch", "slate"),
        ("marble", "oak", "brick"),
        ("Nun's Span", "Mill Arch", "Crane Bridge"),
        ("Hollow Bridge", "sandstone"),
        "The bridge {e} is made of {v}.",
        "Masons and carpenters alike say that {v} alone carries the bridge {e}.",
        "Carts cross the river at {e} on slabs and beams of {v}.",
        "The bridge {e} is made of the same stuff as {k}.",
        "The bridge {k} is made of {v}.",
        "The new almanac reports that the bridge {e} is made of {r}.",
        ("What sank beside the bridge {e} with its load of {v}?", "A barge"),
        "What is the bridge {e} made of?",
        "On what do carts cross at {e}?",
        "Of what are the beams of the bridge {e}?",
        "Which material was {e} built from?",
    ),
)
