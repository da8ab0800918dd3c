"""Chance that a seed decides: the same question always gets the same answer."""

from hashlib import blake2b


def draw(seed: int, question: str, number: str, times_sent: int = 0) -> float:
    """A number in [0, 1) for this seed, question, phone number and how often it was sent before."""
    text = f"{seed}|{question}|{times_sent}|{number}"
    # surrogatepass: JSON can carry half a surrogate pair, and any text may stand where a number belongs
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / (1 << 48)
