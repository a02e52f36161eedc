"""How things are spelt on the wire: the only folder that knows.

`products` (JSON of a product), `filters` (the grammar), `reading` (what a request may say),
`answers` (similar items), `pages` (cursors), `documents` (what the API's description says).
"""
