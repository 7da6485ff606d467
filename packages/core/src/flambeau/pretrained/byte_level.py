"""The 256 characters that stand for bytes in byte-level BPE (Radford et al. 2019): printable ones for themselves, others moved up."""

from __future__ import annotations

_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))

BYTE_TO_CHAR: dict[int, str] = {byte: chr(byte) for byte in _PRINTABLE}
BYTE_TO_CHAR |= {byte: chr(256 + i) for i, byte in enumerate(b for b in range(256) if b not in _PRINTABLE)}
CHAR_TO_BYTE: dict[str, int] = {char: byte for byte, char in BYTE_TO_CHAR.items()}


def to_chars(text: str) -> str:
    """The text's UTF-8 bytes, each as its character.

    >>> to_chars(" né")
    'ĠnÃ©'
    """
    return "".join(BYTE_TO_CHAR[byte] for byte in text.encode())


def to_bytes(token: str) -> bytes:
    """The bytes of a token; a token with other characters is its own UTF-8.

    >>> to_bytes("Ġn").decode()
    ' n'
    """
    if all(char in CHAR_TO_BYTE for char in token):
        return bytes(CHAR_TO_BYTE[char] for char in token)
    return token.encode()


def to_text(chars: str) -> str:
    """The text of characters; bytes that are no UTF-8 become U+FFFD, and characters that stand for no byte are themselves."""
    return to_bytes(chars).decode("utf-8", "replace")
