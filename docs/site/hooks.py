"""What mkdocs calls while it builds the manual."""

from __future__ import annotations

import re
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from manual import figures, links, navigation, pages
from manual.places import TITLES

BLOCK_OF_CODE: Final = re.compile(r"<pre>(?=(?:<span></span>)?<code>)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the project and of the reference, and list all pages."""
    for place, text in pages.all_added().items():
        files.append(File.generated(config, place, content=text))
    found = sorted(file.src_uri for file in files.documentation_pages())
    config.nav = navigation.complete(config.nav or [], [*TITLES, *found], TITLES)
    return files


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Put drawings into the page itself, where they take its colours, light or dark.

    The keyboard reaches blocks of code, since long lines are moved sideways.
    """
    reachable = BLOCK_OF_CODE.sub('<pre tabindex="0">', html)
    return figures.inline(reachable, page.file.src_uri)


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links between files of the repository into links between pages."""
    return links.rewrite(markdown, page.file.src_uri)


def on_post_page(output: str, **_: Any) -> str:
    """Name the theme's search for a screen reader, which the theme leaves without a name."""
    search = 'data-md-component="search" role="dialog"'
    return output.replace(search, f'{search} aria-label="Search"')
