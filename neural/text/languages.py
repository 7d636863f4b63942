"""Families of languages, and how far apart they are in them."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "ar": ("Afro-Asiatic", "Semitic"),
    "de": ("Indo-European", "Germanic"),
    "el": ("Indo-European", "Hellenic"),
    "en": ("Indo-European", "Germanic"),
    "es": ("Indo-European", "Romance"),
    "fi": ("Uralic", "Finnic"),
    "fr": ("Indo-European", "Romance"),
    "hi": ("Indo-European", "Indic"),
    "sw": ("Niger-Congo", "Bantu"),
    "tr": ("Turkic", "Oghuz"),
    "zh": ("Sino-Tibetan", "Sinitic"),
}
"""Family and genus of languages, as the World Atlas of Language Structures has them."""


def family_distance(first: str, other: str) -> float:
    """0 within a genus, 1 within a family, 2 between families; NaN for a language of which nothing is known."""
    a, b = FAMILIES.get(first.split("@")[0]), FAMILIES.get(other.split("@")[0])
    if a is None or b is None:
        return float("nan")
    return float(2 - sum(x == y for x, y in zip(a, b, strict=True)))
