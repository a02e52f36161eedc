"""Tables are read in the forms that shops' programs write, and what is no table is named."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import json
import os
import re
import struct
import tracemalloc
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.csv_header import read_header
from backend.catalogue.sources.csv_records import open_csv
from backend.catalogue.sources.feed import FeedRow, Reject
from backend.catalogue.sources.files import damage
from backend.catalogue.sources.mapping import DEFAULT_MAPPING, FeedMapping, read_mapping
from backend.errors import ConfigurationError, CorruptImage, UnreadableCatalogue

TABLE = "sku;name;price\nA;Kühler Hut;10\nB;Größe 40;11\n"
RUSSIAN = "sku;name\nA;Куртка зимняя\nB;Blue hat\n"


def read(path: Path, mapping: FeedMapping = DEFAULT_MAPPING) -> list[FeedRow | Reject]:
    with closing(open_source(path, mapping)) as source:
        return list(source.read())


def rows(path: Path, mapping: FeedMapping = DEFAULT_MAPPING) -> list[FeedRow]:
    return [row for row in read(path, mapping) if isinstance(row, FeedRow)]


def names(path: Path, mapping: FeedMapping = DEFAULT_MAPPING) -> list[str]:
    return [row.fields["display_name"] for row in rows(path, mapping)]


def written(folder: Path, content: bytes | str, name: str = "feed.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# --- encodings and lines ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(TABLE.encode("utf-16"), id="UTF-16"),
        pytest.param(TABLE.encode("utf-16-le"), id="UTF-16 LE without a mark"),
        pytest.param(TABLE.encode("utf-16-be"), id="UTF-16 BE without a mark"),
        pytest.param(TABLE.encode("utf-32"), id="UTF-32"),
        pytest.param(TABLE.encode("cp1252"), id="Windows-1252"),
        pytest.param(gzip.compress(TABLE.encode()), id="gzip"),
        pytest.param(gzip.compress(TABLE.encode("utf-16")), id="gzip of UTF-16"),
        pytest.param(TABLE.replace("\n", "\r").encode(), id="CR alone"),
        pytest.param(TABLE.replace("\n", "\r").encode("utf-16"), id="CR alone in UTF-16"),
        pytest.param(("sep=;\n" + TABLE).encode(), id="sep="),
        pytest.param(("\ufeffsep=;\r\n" + TABLE).encode(), id="mark and sep="),
        pytest.param(("\n\n" + TABLE).encode(), id="empty lines above"),
        pytest.param(("# exported today\n" + TABLE).encode(), id="a comment above"),
        pytest.param(('"# Required | a; b\nc";"# d"\n' + TABLE).encode(), id="a long comment"),
    ],
)
def test_a_table_is_read_in_any_of_these_forms(tmp_path: Path, data: bytes) -> None:
    found = rows(written(tmp_path, data))
    assert [row.fields["display_name"] for row in found] == ["Kühler Hut", "Größe 40"]
    assert [row.fields["price"] for row in found] == [10, 11]


def test_a_line_that_is_utf_8_in_parts_only_is_read_by_its_parts(tmp_path: Path) -> None:
    line = "A;Größe;".encode() + "grün\n".encode("cp1252")
    data = b"sku;name;colour\n" + line + "B;Kühler Hut;blau\n".encode()
    first, second = rows(written(tmp_path, data))
    assert (first.fields["display_name"], first.fields["base_colour"]) == ("Größe", "grün")
    assert "UTF-8 in parts only" in first.warnings[0]
    assert second.fields["display_name"] == "Kühler Hut"


def test_two_letters_that_look_like_utf_8_leave_a_line_in_windows_1252(tmp_path: Path) -> None:
    line = "A;Robe «ROSÉ» côtelée;rose\n".encode("cp1252")
    data = b"sku;name;colour\n" + line + "B;Kühler Hut;blau\n".encode()
    first, _ = rows(written(tmp_path, data))
    assert first.fields["display_name"] == "Robe «ROSÉ» côtelée"


def test_characters_that_were_lost_before_are_said(tmp_path: Path) -> None:
    first, second = rows(written(tmp_path, "sku;name\nA;Gr\ufffd\ufffde\nB;Hut\n"))
    assert "characters were lost before" in first.warnings[0]
    assert not any("lost" in warning for warning in second.warnings)


def test_a_packed_file_that_ends_before_its_first_block_says_so(tmp_path: Path) -> None:
    packed = bz2.compress(TABLE.encode() * 100)
    with pytest.raises(UnreadableCatalogue, match="bzip2 file ends before its trailer"):
        read(written(tmp_path, packed[:60], "feed.csv.bz2"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EIO, "Input/output error"), "the file cannot be read: Input/output error"),
        (OSError("Invalid data stream"), "the file is damaged: Invalid data stream"),
        (EOFError("it ended"), "the file is damaged: it ended"),
    ],
)
def test_a_fault_of_the_host_is_no_damage_of_the_file(error: Exception, reason: str) -> None:
    assert damage(error) == reason


def test_cyrillic_is_recognised_and_said_once(tmp_path: Path) -> None:
    first, second = rows(written(tmp_path, RUSSIAN.encode("cp1251")))
    assert first.fields["display_name"] == "Куртка зимняя"
    assert "Windows-1251" in first.warnings[0]
    assert not any("Windows" in warning for warning in second.warnings)


def test_utf_16_is_said(tmp_path: Path) -> None:
    assert "UTF-16" in rows(written(tmp_path, TABLE.encode("utf-16")))[0].warnings[0]


def test_an_encoding_can_be_given(tmp_path: Path) -> None:
    path = written(tmp_path, "sku,name\nA,Łódź\n".encode("cp1250"))
    assert names(path, FeedMapping(encoding="cp1250")) == ["Łódź"]
    with pytest.raises(ConfigurationError, match="klingon"):
        read(path, FeedMapping(encoding="klingon"))
    with pytest.raises(ConfigurationError, match="zlib"):
        read(path, FeedMapping(encoding="zlib"))


def test_lines_are_counted_from_the_top_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "\nsep=;\n# note\n" + TABLE)
    assert [row.line for row in rows(path)] == [5, 6]


def test_a_header_that_begins_with_a_hash_is_no_comment(tmp_path: Path) -> None:
    assert names(written(tmp_path, "#id,name\nA,Hat\n"), FeedMapping(columns={"sku": "#id"})) == [
        "Hat"
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("feed.csv.gz", "sku,name\n" + "".join(f"{n},{n:064x}\n" for n in range(9_000))),
        ("feed.jsonl.gz", "".join(f'{{"sku": "{n}"}}\n' for n in range(90_000))),
        (
            "feed.xml.gz",
            f"<rss>{''.join(f'<item><id>{n}</id></item>' for n in range(90_000))}</rss>",
        ),
    ],
)
def test_a_gzip_that_is_cut_off_gives_what_stands_before(
    tmp_path: Path, name: str, text: str
) -> None:
    data = gzip.compress(text.encode())
    with closing(open_source(written(tmp_path, data[: len(data) // 2], name))) as source:
        skus = [row.sku for row in source.read() if isinstance(row, FeedRow)]
        assert skus == [str(n) for n in range(len(skus))]
        assert len(skus) > 1_000
        cut_off = source.cut_off()
    assert cut_off
    assert cut_off.is_certain
    assert cut_off.reason == "the gzip ends before its trailer"


def test_a_gzip_of_several_parts_is_read_to_its_end(tmp_path: Path) -> None:
    parts = gzip.compress(b"sku,name\nA,Hat\n") + gzip.compress(b"B,Cap") + bytes(300)
    with closing(open_source(written(tmp_path, parts, "feed.csv.gz"))) as source:
        assert [row.sku for row in source.read()] == ["A", "B"]
        assert source.cut_off() is None  # the trailer proves that the last line is whole


def test_a_damaged_gzip_is_refused(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(os.urandom(200_000).hex().encode()))
    data[-5] ^= 255  # of the checksum
    with pytest.raises(UnreadableCatalogue, match="damaged"):
        read(written(tmp_path, bytes(data), "feed.csv.gz"))


@pytest.mark.parametrize(
    "header",
    [
        'sku;"Name (short, needed)";"Colour, main"',
        "sku;name (short, needed, plain);colour (one, please)",
        "sku;name, short, plain, needed;colour",
        "sku;name|short;colour|main",
    ],
)
def test_the_delimiter_is_the_one_that_divides_header_and_rows(tmp_path: Path, header: str) -> None:
    path = written(tmp_path, f"{header}\nA;Hat, warm;Red\nB;Cap, light;Blue\n")
    assert [row.sku for row in rows(path, FeedMapping(columns={"sku": "sku"}))] == ["A", "B"]


def test_unquoted_commas_in_every_row_do_not_change_the_delimiter(tmp_path: Path) -> None:
    path = written(tmp_path, "sku,name,size|eu\nA,Hat, warm,40\nB,Cap, light,41\n")
    assert names(path) == ["Hat, warm", "Cap, light"]


def test_a_delimiter_can_be_given(tmp_path: Path) -> None:
    path = written(tmp_path, "sku^name\nA^Hat; warm\n")
    assert names(path, FeedMapping(delimiter="^")) == ["Hat; warm"]


def test_a_hint_in_parentheses_is_no_part_of_a_columns_name(tmp_path: Path) -> None:
    path = written(tmp_path, "sku (required);name (at most 100);size (EU)\nA;Hat;40\n")
    (row,) = rows(path)
    assert (row.sku, row.fields["display_name"]) == ("A", "Hat")
    assert row.fields["attributes"] == {"size (EU)": "40"}


@pytest.mark.parametrize(("end", "is_said"), [("", True), ("\n", False), ("\r\n", False)])
def test_a_last_line_without_its_end_is_suspect(tmp_path: Path, end: str, is_said: bool) -> None:
    with closing(open_source(written(tmp_path, "sku,name\nA,Hat\nB,Ca" + end))) as source:
        assert len(list(source.read())) == 2
        assert bool(source.cut_off()) is is_said


def test_a_long_quoted_text_of_many_lines_is_one_value(tmp_path: Path) -> None:
    text = "<p>line</p>\n" * 20_000
    path = written(tmp_path, f'sku,name,text\nA,Hat,"{text}"\nB,Cap,x\n')
    first, second = rows(path)
    assert len(first.fields["attributes"]["text"]) > 128 * 1024
    assert (second.line, second.sku) == (20_003, "B")


# --- JSON Lines ------------------------------------------------------------------------------


def test_json_lines_are_a_table(tmp_path: Path) -> None:
    lines = [
        {"id": 7, "title": "Hat", "price": 12.5, "sizes": ["S", "M"], "maker": {"city": "Porto"}},
        {"id": "B", "availability": "x", "imageLink": ["https://c.example/1.jpg", "//c/2.jpg"]},
    ]
    text = "\n".join(map(json.dumps, lines)) + "\n\nnot json\n[1]\n" + "[" * 99_999 + "\n"
    first, second, *wrong = read(written(tmp_path, text, "feed.jsonl"))
    assert isinstance(first, FeedRow)
    assert isinstance(second, FeedRow)
    assert (first.line, first.sku, first.fields["display_name"]) == (1, "7", "Hat")
    assert first.fields["attributes"]["sizes"] == ["S", "M"]
    assert json.loads(first.fields["attributes"]["maker"]) == {"city": "Porto"}
    assert second.fields["image_uri"] == "https://c.example/1.jpg"
    assert second.more_images == ("https://c/2.jpg",)
    assert [(row.line, type(row)) for row in wrong] == [(4, Reject), (5, Reject), (6, Reject)]


def test_a_json_list_without_objects_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCatalogue, match="one object for each product"):
        open_source(written(tmp_path, '[["sku", "name"], ["A", "x"]]', "feed.json"))


# --- XML -------------------------------------------------------------------------------------

RSS = """<?xml version="1.0"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
<item><g:id>A</g:id><title>plain</title><g:title>Hat &amp; cap</g:title>
<g:image_link>https://c.example/1.jpg?a=1&amp;b=2</g:image_link>
<g:additional_image_link>https://c.example/2.jpg</g:additional_image_link>
<g:additional_image_link>https://c.example/3.jpg</g:additional_image_link>
<g:shipping><g:country>DE</g:country><g:price>4 EUR</g:price></g:shipping>
<description><![CDATA[<b>warm</b>]]></description></item>
<item><g:id>B</g:id><g:title>Caf&eacute;&nbsp;cap</g:title></item></channel></rss>
"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">
<entry><id>tag:shop.example,2020:1</id><g:id>A</g:id><title>Hat</title>
<link href="https://shop.example/a"/></entry></feed>"""


def test_an_rss_feed_is_a_table(tmp_path: Path) -> None:
    first, second = rows(written(tmp_path, RSS, "feed.xml"))
    assert (first.line, first.sku, first.fields["display_name"]) == (1, "A", "Hat & cap")
    assert first.fields["image_uri"] == "https://c.example/1.jpg?a=1&b=2"
    assert first.more_images == ("https://c.example/2.jpg", "https://c.example/3.jpg")
    assert first.fields["attributes"]["description"] == "<b>warm</b>"
    assert json.loads(first.fields["attributes"]["shipping"])["country"] == "DE"
    assert (second.sku, second.fields["display_name"]) == ("B", "Café cap")


def test_an_atom_feed_is_a_table(tmp_path: Path) -> None:
    (row,) = rows(written(tmp_path, ATOM, "feed.xml"))
    assert (row.sku, row.fields["display_name"]) == ("A", "Hat")
    assert "https://shop.example/a" in str(row.fields)


@pytest.mark.parametrize("encoding", ["utf-16", "windows-1251", "iso-8859-1"])
def test_xml_may_be_in_the_encoding_that_it_declares(tmp_path: Path, encoding: str) -> None:
    name = "Куртка" if encoding != "iso-8859-1" else "Größe"
    text = f'<?xml version="1.0" encoding="{encoding}"?><rss><item><id>A</id><title>{name}</title>'
    data = (text + "</item></rss>").encode(encoding)
    assert names(written(tmp_path, data, "feed.xml")) == [name]


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE rss [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE rss SYSTEM "http://host.example/x.dtd" [<!ENTITY a "b">]>',
    ],
)
def test_a_document_type_that_declares_something_is_refused(tmp_path: Path, declared: str) -> None:
    text = f"<?xml version='1.0'?>{declared}<rss><item><id>A</id></item></rss>"
    with pytest.raises(UnreadableCatalogue, match="document type"):
        read(written(tmp_path, text, "feed.xml"))


def test_broken_xml_gives_what_stands_before(tmp_path: Path) -> None:
    path = written(tmp_path, RSS.replace("<g:title>Caf", "<g:title>Cap <b> hat"), "feed.xml")
    with closing(open_source(path)) as source:
        first, reject = source.read()
        assert first.sku == "A"
        assert isinstance(reject, Reject)
        assert "broken at line 9" in reject.reason
        assert source.cut_off()


def test_xml_without_items_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCatalogue, match="no item"):
        read(written(tmp_path, "<shop><thing/></shop>", "shop.xml"))


def test_xml_of_one_line_takes_no_memory_for_its_length(tmp_path: Path) -> None:
    item = f"<item><id>A</id><title>{'x' * 2000}</title></item>"
    huge = f"<item><id>B</id><title>{'x' * 9_000_000}</title></item>"
    path = written(tmp_path, f"<rss>{item * 5_000}{huge}{item}</rss>", "feed.xml")
    with closing(open_source(path)) as source:
        tracemalloc.start()
        count = sum(1 for _ in source.read())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert count == 5_002
    assert peak < 8_000_000
    (reject,) = (row for row in read(path) if isinstance(row, Reject))
    assert (reject.line, "1,000,000 characters" in reject.reason) == (5_001, True)


# --- what cannot be read ---------------------------------------------------------------------


def packed(data: bytes, times: int) -> bytes:
    return packed(gzip.compress(data, mtime=0), times - 1) if times else data


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"PK\x03\x04" + bytes(30), "a zip that is cut off"),
        (packed(b"sku\nA\n", 4), "a gzip within a gzip"),
        (b"\xff\x0a" + bytes(30), "a JPEG XL image"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"BM" + bytes(30), "a BMP image"),
        (bytes(range(1, 33)) * 4, "a binary file"),
        (b'<?xml version="1.0"?><svg xmlns="x"/>', "an SVG image"),
        (b"<?xml version='1.0'?><?mso x?><Workbook xmlns='x'/>", "an Excel spreadsheet in XML"),
        (b"<!-- saved -->\n<!DOCTYPE HTML PUBLIC 'x'><html>", "an HTML page"),
        (b"<urlset><url/></urlset>", "a sitemap"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"SQLite format 3\0...", "SQLite"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1...", "XLS"),
        (b"\xff\xd8\xff\xe0...", "JPEG"),
        (b"\x89PNG\r\n\x1a\n...", "PNG"),
        (b"\n <!DOCTYPE html><html>", "HTML"),
        (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
        (gzip.compress(b"", mtime=0), "empty"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path: Path, data: bytes, kind: str) -> None:
    with pytest.raises(UnreadableCatalogue, match=kind):
        read(written(tmp_path, data))


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        (["[Content_Types].xml", "xl/workbook.bin"], "XLSB workbook; export it as CSV"),
        (["[Content_Types].xml", "xl/workbook.xml"], "not a readable workbook"),
        (["mimetype", "content.xml"], "OpenDocument file that is no spreadsheet"),
        (["word/document.xml"], "Word"),
    ],
)
def test_an_office_document_is_named(tmp_path: Path, members: list[str], kind: str) -> None:
    with zipfile.ZipFile(tmp_path / "book.xlsx", "w") as archive:
        for member in members:
            archive.writestr(member, "x")
    with pytest.raises(UnreadableCatalogue, match=kind):
        read(tmp_path / "book.xlsx")


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "gone.csv").symlink_to("nowhere.csv")
    for path in (tmp_path / "pipe.csv", tmp_path / "loop.csv", tmp_path / "gone.csv"):
        with pytest.raises(UnreadableCatalogue):
            open_source(path)
    with pytest.raises(UnreadableCatalogue, match="device"):
        open_source(Path("/dev/zero"))
    with pytest.raises(UnreadableCatalogue):
        open_source(Path("a\0b"))


# --- zips ------------------------------------------------------------------------------------

IMAGES = ("1.jpg", "2.jpg", "3.jpg")


def shop_zip(folder: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "shop.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("feed.csv", "sku,image\n" + "".join(f"{n},{n}\n" for n in IMAGES))
        for name in IMAGES:
            archive.writestr(name, os.urandom(5_000))
    return path


def readable(path: Path) -> list[bool]:
    """Tell of each of the images whether its bytes can be read."""
    found = []
    with closing(open_source(path)) as source:
        for row in source.read():
            assert isinstance(row, FeedRow)
            try:
                found.append(row.image is not None and len(row.image.read(9_000)) == 5_000)
            except CorruptImage:
                found.append(False)
    return found


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_damaged_member_costs_one_image(tmp_path: Path, method: int) -> None:
    path = shop_zip(tmp_path, method)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("2.jpg")
    data = bytearray(path.read_bytes())
    start = info.header_offset + 60
    data[start : start + 400] = bytes(400)
    path.write_bytes(data)
    assert readable(path) == [True, False, True]


def in_list_of_members(data: bytearray, name: bytes) -> int:
    """Return where the entry of a member begins in the list at the end of a zip."""
    return data.rindex(name) - 46


def test_a_name_that_is_not_the_utf_8_it_claims_to_be_costs_one_image(tmp_path: Path) -> None:
    path = shop_zip(tmp_path)
    data = bytearray(path.read_bytes())
    at = in_list_of_members(data, b"2.jpg")
    struct.pack_into("<H", data, at + 8, 0x800)
    data[at + 46] = 0xFF
    path.write_bytes(data)
    assert readable(path) == [True, False, True]


def test_a_member_of_an_unknown_version_costs_one_image_at_most(tmp_path: Path) -> None:
    path = shop_zip(tmp_path)
    data = bytearray(path.read_bytes())
    at = in_list_of_members(data, b"2.jpg")
    data[at + 6] = 99
    struct.pack_into("<H", data, at + 10, 77)  # and of an unknown method
    path.write_bytes(data)
    assert readable(path) == [True, False, True]


def test_backslashes_in_the_names_of_members_are_folders(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "shop.zip", "w") as archive:
        archive.writestr("shop\\feed.csv", "sku,image\nA,img/a.jpg\nB,img\\b.jpg\n")
        archive.writestr("shop\\img\\a.jpg", b"a")
        archive.writestr("shop\\img\\b.jpg", b"b")
    assert [row.image is not None for row in rows(tmp_path / "shop.zip")] == [True, True]


def test_a_line_of_megabytes_in_a_zip_is_one_reject(tmp_path: Path) -> None:
    text = f"sku,name\nA,Hat\nB,{'x' * 3_500_000}\nC,Cap\n"
    with zipfile.ZipFile(tmp_path / "shop.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("feed.csv", text)
    found = read(tmp_path / "shop.zip")
    assert [(row.line, type(row)) for row in found] == [(2, FeedRow), (3, Reject), (4, FeedRow)]


def test_an_encrypted_table_is_named(tmp_path: Path) -> None:
    path = shop_zip(tmp_path)
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, in_list_of_members(data, b"feed.csv") + 8, 1)
    path.write_bytes(data)
    with pytest.raises(UnreadableCatalogue, match="encrypted"):
        read(path)


# --- mapping files ---------------------------------------------------------------------------


def test_a_mapping_file_holds_the_options_too(tmp_path: Path) -> None:
    text = 'format = "table"\ndelimiter = "tab"\nencoding = "cp1250"\n[map]\nsku = "code"\n'
    assert read_mapping(written(tmp_path, text, "m.toml")) == replace(
        FeedMapping(columns={"sku": "code"}), format="table", delimiter="\t", encoding="cp1250"
    )
    with pytest.raises(ConfigurationError, match="one character"):
        read_mapping(written(tmp_path, 'delimiter = "ab"', "m.toml"))


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux' counts of bytes")
def test_the_form_of_a_large_file_is_found_in_its_first_part(tmp_path: Path) -> None:
    def bytes_read() -> int:
        (line,) = re.findall(r"^rchar: (\d+)$", Path("/proc/self/io").read_text(), re.MULTILINE)
        return int(line)

    path = written(tmp_path, "sku,name\n" + "A,Hut für Köln\n" * 1_000_000)
    before = bytes_read()
    open_source(path).close()
    assert bytes_read() - before < path.stat().st_size / 4


def test_a_stream_of_one_byte_at_a_time_is_read(tmp_path: Path) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(1 if size else 0)

    assert read_header(open_csv(Slow(TABLE.encode("utf-16")))).columns == ["sku", "name", "price"]


def test_a_cell_of_a_mac_may_hold_line_feeds(tmp_path: Path) -> None:
    path = written(tmp_path, b'sku,name\rA,"two\nlines"\rB,one\r')
    assert [row.fields["display_name"] for row in rows(path)] == ["two\nlines", "one"]


def test_joined_files_give_the_products_of_both(tmp_path: Path) -> None:
    one, two = b"\xef\xbb\xbfsku,name\nA,a\n", b"\xef\xbb\xbfsku,name\nB,b\n"
    assert [row.sku for row in read(written(tmp_path, b"\xef\xbb\xbf" + one + two))] == ["A", "B"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_found_in_every_script(tmp_path: Path, encoding: str) -> None:
    text = "sku,name\n" + "A,Рубашка льняная синяя в полоску\n" * 9
    path = written(tmp_path, text.encode(encoding))
    assert {row.fields["display_name"] for row in rows(path)} == {text[11:].partition("\n")[0]}


def test_nul_characters_do_not_make_utf_8_utf_16(tmp_path: Path) -> None:
    assert names(written(tmp_path, b"sku,name\nA,x\0y\0z\nB,v\0w\n")) == ["xyz", "vw"]


def test_values_that_only_columns_without_a_name_miss_are_no_loss(tmp_path: Path) -> None:
    assert names(written(tmp_path, "sku;name;;\nA;x;;\nB;y\n")) == ["x", "y"]


def test_a_folder_may_hold_a_table_named_txt(tmp_path: Path) -> None:
    written(tmp_path, "about", "README.txt")
    written(tmp_path, "sku\tname\nA\tx\n", "products.txt")
    assert names(tmp_path) == ["x"]
