"""What shoppers do with products: views, carts, purchases, returns, likes.

- `kinds`: the kinds of events, and how much each tells
- `record`: events come in, each once
- `importing`, `event_file`: events from a file
- `counting`: new events become pairs of products, counts of days and popularity, each once
- `acts`, `pairing`: what one person did, and the pairs of products that it makes
- `partners`: the pairs of each product, packed
- `decay`: how old events count less
- `answers`: answers with recommendations, kept for a day
- `outcomes`: what became of listed products
- `shoppers`: all that is stored of one shopper: shown, or deleted

Writing an event is an INSERT; nothing that is derived from it is waited for.
`backend.recommendations` reads pairs, days and the newest events.
"""
