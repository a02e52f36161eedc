"""Names and colours of feeds without the markup of the pages that they come from."""

from __future__ import annotations

import pytest

from backend.catalogue.texts import without_markup


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>Red</b> shirt", "Red shirt"),
        ("<p>Red<br/>shirt</p>", "Red shirt"),
        ('<span class="c">Red</span>', "Red"),
        ("Tom &amp; Co", "Tom & Co"),
        ("Tom &amp;amp; Co", "Tom & Co"),
        ("Caf&amp;eacute;", "Café"),
        ("R&D <3 AT&T", "R&D <3 AT&T"),
        ("5 < 6 > 4", "5 < 6 > 4"),
        ("a  <unknown>  b", "a  <unknown>  b"),
    ],
)
def test_a_text_is_what_a_page_shows(text: str, shown: str) -> None:
    assert without_markup(text) == shown
