"""A shop's page of a product, with similar products (docs/integrating.md)."""
