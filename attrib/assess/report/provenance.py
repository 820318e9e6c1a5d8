"""Provenance of a report's assessments: models, questions, options, versions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from attrib.assess import markdown as md
from attrib.assess import sentences as say
from attrib.assess.report.find import Assessment, StoredAssessments
from attrib.assess.stored import plain_name


def provenance(found: StoredAssessments) -> Iterator[str]:
    """Blocks of Markdown."""
    sides = zip(("base", "tuned"), found.pair(), strict=True)
    models = [(side, model.name or say.NONE, model.sha256[:12] or say.NONE) for side, model in sides]
    yield from md.table("Models", ("model", "name", "sha256, first 12"), models, texts=3)
    assessments = found.assessments.values()
    questions = {str(one.report.provenance["questions_sha256"]) for one in assessments if _questions(one)}
    if len(questions) > 1:
        yield from md.sentences(
            ["The assessments did not ask the same set of questions: compare their numbers with care."]
        )
    documents = {digest for one in assessments if one.pair is not None and (digest := _documents(one))}
    if len(documents) > 1:
        yield from md.sentences(["The assessments did not read the same documents: compare their numbers with care."])
    yield from md.items(
        "Assessments", [f"{md.mark(one.name, 'strong')}: {md.escape(_made_from(one))}" for one in assessments]
    )
    versions = _versions(found)
    several = len(versions) > 1
    lines = [f"{text} ({names})" if several else text for text, names in versions.items()]
    yield from md.items("Versions", [md.escape(line) for line in lines])
    records = [f"{one.file.parent.name}/{one.file.name}: {one.record.question}" for one in found.explanations]
    yield from md.items("Explanations", [md.escape(line) for line in records])


def made_with(found: StoredAssessments) -> str:
    """Seeds and versions in one sentence."""
    made_from = [one.report.provenance for one in found.assessments.values()]
    seeds = dict.fromkeys(str(one["seed"]) for one in made_from if "seed" in one)
    versions = list(_versions(found))
    parts = [f"Seed {', '.join(seeds)}"] if seeds else []
    parts += [f"{versions[0]}{' and other versions' if len(versions) > 1 else ''}"] if versions else []
    return f"{'; '.join(parts)}." if parts else ""


def _questions(one: Assessment) -> str:
    return _text(one, "questions_sha256")


def _documents(one: Assessment) -> str:
    return _text(one, "documents_sha256", "documents")


def _text(one: Assessment, *names: str) -> str:
    """The first of some entries that is a text; empty where none is."""
    values = (one.report.provenance.get(name) for name in names)
    return next((value for value in values if isinstance(value, str)), "")


def _made_from(one: Assessment) -> str:
    content = one.report.provenance
    digests = {
        "questions": _questions(one),
        "documents": _documents(one),
        "control texts": _text(one, "control_sha256", "control"),
    }
    parts = [f"{one.name}.json"]
    parts += [f"{name} {digest[:12]}" for name, digest in digests.items() if digest]
    parts += [f"{name} {content[name]}" for name in ("seed", "device", "dtype") if name in content]
    parts.append(f"command: attrib assess {one.name}")
    options = ", ".join(f"{name} {value}" for name, value in _flat(content.get("options")))
    return f"{'; '.join(parts)}{f'; options: {options}' if options else ''}."


def _flat(options: object, above: str = "") -> Iterator[tuple[str, str]]:
    """Options by dotted name, those that are not set left out; of paths the last part."""
    if not isinstance(options, Mapping):
        return
    for name, value in sorted(options.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        elif value is not None and value not in ([], ""):
            yield f"{above}{name}", _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return plain_name(value)
    if isinstance(value, list):
        return f"({', '.join(map(_shown, value))})"
    return json.dumps(value, ensure_ascii=False)


def _versions(found: StoredAssessments) -> dict[str, str]:
    """Versions in one line → names of the assessments made with them."""
    by_line: dict[str, list[str]] = {}
    for one in found.assessments.values():
        versions = one.report.provenance.get("versions")
        if isinstance(versions, Mapping) and versions:
            text = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
            by_line.setdefault(text, []).append(one.name)
    return {text: ", ".join(names) for text, names in by_line.items()}
