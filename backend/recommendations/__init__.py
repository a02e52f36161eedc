"""What goes with a product, and what a shopper may like, also when little or nothing is known.

- `pairs`, `popularity`, `history`: what `backend.events` has stored, as lists are made of it
- `formula`: what goes with a product: its pairs, and as long as it has few, those of its likes
- `tastes`: the tastes of a shopper: groups of products that look alike
- `together`: the list of a product; `relations`, `ready`: what its looks tell, kept ready
- `complementary`: products of the categories that go with a product's, in its style
- `ranking`: the candidates of one taste, in order
- `recommend`: the list of a shopper, a session or of examples
"""
