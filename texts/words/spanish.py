"""Spanish verbs with pronouns ("alquilarlo", "enviándonos", "enviármelo") and of voseo, which the dictionary lacks."""

from collections.abc import Iterable, Iterator

_PRONOUNS = ("me", "te", "se", "nos", "os", "lo", "la", "los", "las", "le", "les")
_PAIRS = tuple(first + second for first in _PRONOUNS[:5] for second in ("lo", "la", "los", "las"))
_ACCENTED = {"a": "á", "e": "é", "i": "í", "í": "í"}


def with_pronouns(forms: Iterable[str]) -> frozenset[str]:
    """The folded forms of a word, and if it is a verb also those with pronouns."""
    forms = frozenset(forms)
    gerunds = [form for form in forms if form.endswith("ndo") and form[-4:-3] in _ACCENTED]
    # A noun that ends like an infinitive has no gerund.
    infinitives = [form for form in forms if form[-1:] == "r" and form[-2:-1] in _ACCENTED and len(form) > 3]
    if not gerunds or not infinitives:
        return forms
    return forms.union(_of_gerunds(gerunds), _of_infinitives(infinitives))


def _of_gerunds(gerunds: Iterable[str]) -> Iterator[str]:
    for gerund in gerunds:
        accented = f"{gerund[:-4]}{_ACCENTED[gerund[-4]]}ndo"
        yield from (accented + pronoun for pronoun in _PRONOUNS)


def _of_infinitives(infinitives: Iterable[str]) -> Iterator[str]:
    for infinitive in infinitives:
        yield from (infinitive + pronoun for pronoun in _PRONOUNS)
        accented = infinitive[:-2] + _ACCENTED[infinitive[-2]]
        yield from (f"{accented}r{pair}" for pair in _PAIRS)
        # Voseo: "alquilá", "alquilás".
        yield from (accented, f"{accented}s")
