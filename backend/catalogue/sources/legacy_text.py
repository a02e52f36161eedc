"""Which encoding a text is in that is not Unicode: found from the letters that it would have.

Encodings of one byte a character are told apart by languages: a text counts for an encoding if the
letters of its words are those of one language. Those of East Asia are told apart by the first bytes
of their characters, because the characters in use lie close together.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Languages: TypeAlias = Sequence[tuple[Sequence[str], str]]

DEFAULT: Final = "cp1252"
LOOKED_AT: Final = 60_000  # bytes of lines that are not ASCII
MARGIN: Final = 0.06  # by which another encoding has to fit better than the default
LEAST: Final = 0.9  # and as well as this
_KANA: Final = 0.15  # share of Japanese characters that are at least kana

_RARER: Final = {"mac-roman": 0.04, "cp850": 0.04, "iso8859-2": 0.001}
_SHOUTED: Final = 0.05  # what words in capital letters alone speak against an encoding

_WESTERN: Final = ("cp1252", "mac-roman", "cp850")
_CENTRAL: Final = ("cp1250", "iso8859-2")
_CYRILLIC: Final = ("cp1251", "koi8-r", "cp866", "koi8-u")
_ICELANDIC: Final = "áðéíóúýþæö"
_ITS_VOWELS: Final = frozenset("áéíóúÁÉÍÓÚ")  # without any of them it is Turkish
_TURKISH: Final = frozenset("çöüâîÇÖÜÂÎ")
_DOTLESS: Final = frozenset("ýÝ")  # Turkish has the dotless i in this place
_LATIN: Final = (  # encodings, and the letters of one language that are not ASCII
    (_WESTERN, "äöüßéèàê"),
    (_WESTERN, "àâæçéèêëîïôœùûüÿ"),
    (_WESTERN, "áéíóúüñç"),
    (_WESTERN, "àèéìíòóùúç"),
    (_WESTERN, "áàâãçéêíóôõúü"),
    (_WESTERN, "åæøéèöäüô"),
    (_WESTERN, "áéëïíóöüèàêîûâç"),
    (("cp1252",), _ICELANDIC),
    (_CENTRAL, "áčďéěíňóřšťúůýžäöü"),
    (_CENTRAL, "áäčďéíĺľňóôŕšťúýž"),
    (_CENTRAL, "ąćęłńóśźż"),
    (_CENTRAL, "áéíóöőúüű"),
    (_CENTRAL, "ăâîşţ"),
    (_CENTRAL, "čćđšž"),
    (("cp1254",), "çğıöşüâî"),
    (("cp1257",), "ąčęėįšųūž"),
    (("cp1257",), "āčēģīķļņšūž"),
)
_SEVERAL: Final = (  # the same for files with several languages of one region
    (("cp1252",), "".join(letters for names, letters in _LATIN if names == _WESTERN)),
    (_CENTRAL, "".join(letters for names, letters in _LATIN if names == _CENTRAL)),
)
_SCRIPTS: Final = (  # encodings, the letters of a script, the commonest of them
    (_CYRILLIC, "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґ", "оаеинтсрвлкі"),
    (("cp1253",), "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ", "αοειτσνηςκρό"),
    (("cp1255",), "אבגדהוזחטיךכלםמןנסעףפץצקרשת", "יוהלארתבשמח"),
    (
        ("cp874",),
        "กขฃคฅฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮะาำเแโใไๅๆฯ",
        "กนรอาเงมลสวดท",
    ),
    (("cp1256",), "ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأؤإئىةپچژگ", "الينمرتوةبعد"),
)
_BETWEEN: Final = frozenset("’‘'´`·-–—/&+™®©")  # noqa: RUF001 - signs that stand within words
_WRONG: Final = "\N{REPLACEMENT CHARACTER}"
_DRAWN: Final = frozenset([_WRONG, *map(chr, (*range(0x80, 0xA0), *range(0x2500, 0x25A0)))])
_MIXED: Final = re.compile(r"[a-z](?=[^\x00-\x7f])|[^\x00-\x7f](?=[a-z])")
_WORD: Final = re.compile(r"[^\W\d_]+")
_HIGH_WORD: Final = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]+")


@dataclass(frozen=True)
class _Fit:
    """How well a text's letters are those of a language: their share, and what decides a tie."""

    encoding: str
    share: float
    rank: float


def legacy_encoding(sample: bytes) -> str:
    """Return the most likely encoding of a text that is not UTF-8; Windows-1252 in doubt."""
    text = _telling_lines(sample)
    if found := _east_asian(text):
        return found
    fits: list[_Fit] = []
    for further in (_latin_fits(text, _LATIN), _script_fits(text), _latin_fits(text, _SEVERAL)):
        fits += further
        default = max(fit.share for fit in fits if fit.encoding == DEFAULT)
        best = max(fits, key=lambda fit: fit.rank)
        if best.share >= LEAST and best.share > default + MARGIN:
            return best.encoding
    return DEFAULT


def _telling_lines(sample: bytes) -> bytes:
    """Return the lines that are not ASCII, without the last, which may be cut."""
    lines, size = [], 0
    whole = sample[: sample.rfind(b"\n") + 1] or sample
    for line in re.split(rb"[\r\n]+", whole):
        if not line.isascii() and size < LOOKED_AT:
            lines.append(line)
            size += len(line)
    return b"\n".join(lines)


def _latin_fits(text: bytes, languages: Languages) -> list[_Fit]:
    fits, likely = [], 0.5 if _has_whole_words(text) else 1.0
    for encoding in dict.fromkeys(name for names, _ in languages for name in names):
        letters = _foreign_letters(text.decode(encoding, errors="replace"))
        for names, alphabet in languages:
            if encoding in names:
                share = _share_of_letters(letters, alphabet) * likely
                fits.append(_Fit(encoding, share, share - _RARER.get(encoding, 0.0)))
    return fits


def _has_whole_words(text: bytes) -> bool:
    """Tell whether most words have no letter of ASCII, as in scripts that are not Latin."""
    words: list[bytes] = _HIGH_WORD.findall(text)
    return sum(min(word) > 0x7F for word in words) * 2 > len(words) > 1


def _share_of_letters(letters: Sequence[str], alphabet: str) -> float:
    if not letters:
        return 1.0
    if alphabet == _ICELANDIC and _ITS_VOWELS.isdisjoint(letters):
        return 0.0
    others = frozenset(letters) - _DOTLESS
    if "ý" in alphabet and others < frozenset(letters) and others and others <= _TURKISH:
        return 0.0
    known = frozenset(alphabet + alphabet.upper())
    return sum(letter in known for letter in letters) / len(letters)


def _foreign_letters(text: str) -> list[str]:
    """Return what is not ASCII and stands in a word; a sign counts only between two letters.

    A capital letter behind a small one is a sign that the encoding is wrong, as are lines and
    blocks to draw with and control characters.
    """
    found = []
    for at, letter in enumerate(text):
        if letter.isascii() or letter in _BETWEEN:
            continue
        before, behind = text[at - 1 : at], text[at + 1 : at + 2]
        if letter.isupper() and before.islower():
            found.append(_WRONG)
        elif letter.isalpha() or letter in _DRAWN or (before.isalpha() and behind.isalpha()):
            found.append(letter)
    return found


def _script_fits(text: bytes) -> list[_Fit]:
    return [
        _script_fit(encoding, text.decode(encoding, errors="replace"), alphabet, common)
        for encodings, alphabet, common in _SCRIPTS
        for encoding in encodings
    ]


def _script_fit(encoding: str, text: str, alphabet: str, common: str) -> _Fit:
    """Compare the words of one script, written as people do, with all that are not ASCII.

    Half of a text's letters are among the dozen commonest; a wrong encoding shows rarer ones, and
    capital letters where small ones are.
    """
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    known = frozenset(alphabet)
    good = [word for word in words if known.issuperset(word.lower()) and _has_usual_case(word)]
    letters = "".join(good).lower()
    if not letters:
        return _Fit(encoding, 0.0, 0.0)
    share = len(letters) / (sum(map(len, words)) + sum(letter in _DRAWN for letter in text))
    often = sum(letter in common for letter in letters) / len(letters)
    shouted = sum(word.isupper() and len(word) > 1 for word in good) / len(good)
    return _Fit(encoding, share, share * (1 + often - shouted * _SHOUTED))


def _has_usual_case(word: str) -> bool:
    return word.islower() or word.isupper() or word.istitle() or word == word.swapcase()


# --- encodings of two bytes a character -----------------------------------------------------


def _east_asian(text: bytes) -> str | None:
    if (pairs := _pairs(text)) is not None and len(pairs) > 1:
        return _of_two_high_bytes(text, pairs)
    if _decodes(text, "cp932") and _is_japanese(text.decode("cp932")):
        return "cp932"
    leads = [pair[0] for pair in re.findall(rb"[\x80-\xff][\x40-\xff]", text)]
    is_big5 = len(leads) > 1 and min(leads) > 0xA0 and _share(leads, 0xA1, 0xC6) >= LEAST
    is_big5 = is_big5 and len(_MIXED.findall(text.decode("cp950", "replace"))) * 3 < len(leads)
    found = ("cp950", "big5hkscs") if is_big5 else ()
    return next((each for each in found if _decodes(text, each)), None)


def _of_two_high_bytes(text: bytes, pairs: Sequence[tuple[int, int]]) -> str | None:
    """Tell Korean, Japanese and Chinese apart by the rows of their tables."""
    leads = [lead for lead, _ in pairs if lead > 0xA3]  # signs and wide letters are in all three
    if len(leads) < 2:
        return None
    if _share(leads, 0xA4, 0xA5) >= _KANA and _decodes(text, "euc-jp"):
        return "euc-jp"
    if _share(leads, 0xB0, 0xC8) >= 0.97 and _decodes(text, "cp949"):
        return "cp949"
    if _share(leads, 0xB0, 0xD7) >= 0.85 and _decodes(text, "gb18030"):
        return "gb18030"
    return None


def _pairs(text: bytes) -> list[tuple[int, int]] | None:
    """Return the pairs of bytes above 0xA0; None if a byte stands alone, as in other encodings."""
    found = []
    for run in re.findall(rb"[\x80-\xff]+", text):
        if len(run) % 2 or min(run) < 0xA1:
            return None
        found += list(zip(run[::2], run[1::2], strict=True))
    return found


def _share(leads: Sequence[int], first: int, last: int) -> float:
    return sum(first <= lead <= last for lead in leads) / len(leads)


def _is_japanese(text: str) -> bool:
    """Tell by full-width kana; half-width ones, and ASCII in the same words, speak against it."""
    wide = [letter for letter in text if not letter.isascii()]
    kana = sum("\u3040" <= letter <= "\u30ff" for letter in wide)
    half = sum("\uff61" <= letter <= "\uff9f" for letter in wide)
    mixed = len(_MIXED.findall(text))
    return bool(wide) and (kana - half - mixed) / len(wide) >= _KANA


def _decodes(text: bytes, encoding: str) -> bool:
    try:
        codecs.decode(text, encoding)
    except UnicodeDecodeError:
        return False
    return True
