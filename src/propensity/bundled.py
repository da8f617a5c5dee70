"""What a bundle holds beside its model, read once: params, words, evidence, amounts."""

from __future__ import annotations

from pydantic import ValidationError

from propensity.data.tables import AttributeType
from propensity.decisions.amounts import AmountModel, amounts_from_json
from propensity.errors import BundleError, some
from propensity.explain.evidence import evidence_from_json
from propensity.explain.reasons import Voice
from propensity.explain.words import load_words, words_from_json
from propensity.model.bundle import Bundle
from propensity.params import Params


def trained_with(bundle: Bundle) -> Params:
    """Return the params a bundle was trained with.

    Raises
    ------
    BundleError
        They are of a version of the product whose params this one does not know.
    """
    try:
        return bundle.keep("params", lambda: Params.model_validate(bundle.params))
    except ValidationError as error:
        odd = [".".join(map(str, problem["loc"])) for problem in error.errors(include_url=False)]
        wrote = (bundle.versions or {}).get("propensity")
        raise BundleError(
            f"the bundle of model {bundle.model_version} holds params that this version of propensity does "
            f"not know or refuses: {some(odd)}. Version {wrote} wrote it: score with that one, or make a "
            "bundle with this one: 'propensity run'"
        ) from None


def needed_types(bundle: Bundle) -> dict[str, AttributeType]:
    """Return the attributes of leads that scoring reads, with the types they had in training."""
    types: dict[str, AttributeType] = {rule.column: "text" for rule in trained_with(bundle).disqualify}
    for name, kind in bundle.plan.attributes.items():
        types[name] = "number" if kind == "number" else "text"
    return types


def voice_of(bundle: Bundle, params: Params) -> Voice:
    """Return what a bundle's reasons are told with: its own words and evidence.

    A bundle without words has those of its params' language; one without evidence tells none.
    """
    words, evidence = bundle.documents.get("words"), bundle.documents.get("evidence")
    return Voice(
        load_words(params.reasons.language)
        if words is None
        else bundle.keep("words", lambda: words_from_json(words)),
        None if evidence is None else bundle.keep("evidence", lambda: evidence_from_json(evidence)),
        bundle.plan.timezone,
    )


def amounts_of(bundle: Bundle, params: Params) -> AmountModel:
    """Return what wins bring, by the bundle."""
    content, value = bundle.documents.get("amounts"), params.cutoffs.value
    return bundle.keep("amounts", lambda: amounts_from_json(content, value))
