"""Texts from agents, made fit for the store: an agent's report must not fail because of a character or a length."""


def shorten(text: str, longest: int) -> str:
    """The text, cut to `longest` characters where it is longer, which its last one shows."""
    return text if len(text) <= longest else f"{text[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"


def storable(text: str | None, longest: int) -> str | None:
    """The text without NUL and unpaired surrogates, which no database holds, and cut to `longest` characters."""
    if text is None:
        return None
    plain = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return shorten(plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), longest)
