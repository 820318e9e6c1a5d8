"""The errors that users see, each a single line: what, where, why, and the mend.

    AttribError
    ├── InputError      what the caller gave cannot be used (documents, question, options)
    ├── ModelError      a model, adapter or tokenizer cannot be used, or the two do not fit together
    └── RecordError     a stored record is damaged, of another kind, or of another schema
        └── ForeignError    a file of the same format that another program wrote

The command line prints the message and exits with status 2; nothing else is caught there.
"""


class AttribError(Exception):
    """Base of all errors that are the caller's to mend."""


class InputError(AttribError):
    """Documents, a question or an option cannot be used."""


class ModelError(AttribError):
    """A model, adapter or tokenizer cannot be used, or two of them do not fit together."""


class RecordError(AttribError):
    """A stored record is damaged, of another kind, or of another schema."""


class ForeignError(RecordError):
    """A file of the same format that another program wrote."""
