"""What a shop's backend does with a generated client; run as a program: `use.py ADDRESS KEY IMAGE`.

`use.py ADDRESS KEY` reads all products, and all that looks like the product s1. It is type-checked
together with the client that the test has generated.
"""

import json
import sys
from io import BytesIO
from pathlib import Path

from shop_client import AuthenticatedClient
from shop_client.api.images import put_image
from shop_client.api.products import get_product, list_products, patch_product, put_product
from shop_client.api.similar_items import get_similar_products, search_similar_products
from shop_client.models import (
    Problem,
    Product,
    ProductBody,
    ProductPage,
    ProductPatch,
    SimilarAnswer,
    SimilarBody,
    SimilarForm,
)
from shop_client.types import UNSET, File


def skus_of(answer: SimilarAnswer | Problem | None) -> list[str]:
    """Return the skus of an answer."""
    assert isinstance(answer, SimilarAnswer), answer
    return [item.sku for item in answer.items]


def read(client: AuthenticatedClient, sku: str) -> Product:
    """Return a product."""
    product = get_product.sync(sku, client=client)
    assert isinstance(product, Product), product
    return product


def change_one_field(client: AuthenticatedClient) -> dict[str, list[object]]:
    """Change a price; return every field that is different afterwards, with both values."""
    before = read(client, "0003").to_dict()
    patch_product.sync("0003", client=client, body=ProductPatch(price=24.5))
    after = read(client, "0003").to_dict()
    fields = before.keys() - {"state", "images"}  # the write is still to be indexed
    return {name: [before[name], after[name]] for name in fields if before[name] != after[name]}


def upload(client: AuthenticatedClient, image: bytes) -> str:
    """Add a product with an image; return the state in which it is then."""
    put_product.sync("new", client=client, body=ProductBody(display_name="New"))
    stored = put_image.sync("new", client=client, body=File(payload=BytesIO(image)))
    assert isinstance(stored, Product), stored
    assert read(client, "new").images
    return str(stored.state)


def search(client: AuthenticatedClient, image: bytes) -> dict[str, list[str]]:
    """Ask in every way for two products; return the skus."""
    search_ = search_similar_products.sync
    file, form = File(payload=BytesIO(image)), File(BytesIO(image), "x.png", "image/png")
    return {
        "sku": skus_of(get_similar_products.sync("0001", client=client, limit=2)),
        "json": skus_of(search_(client=client, body=SimilarBody(sku="0001", limit=2))),
        "json and query": skus_of(search_(client=client, body=SimilarBody(sku="0001"), limit=2)),
        "octets": skus_of(search_(client=client, body=file, limit=2)),
        "form": skus_of(search_(client=client, body=SimilarForm(image=form, limit=2))),
    }


def page(client: AuthenticatedClient, limit: int) -> list[str]:
    """Read all products, some at a time."""
    skus: list[str] = []
    cursor: str | None = None
    while True:
        found = list_products.sync(client=client, limit=limit, cursor=cursor or UNSET)
        assert isinstance(found, ProductPage), found
        skus += [item.sku for item in found.items]
        if (cursor := found.next_cursor) is None:
            return skus


def page_of_similar(client: AuthenticatedClient, sku: str) -> list[str]:
    """Read all that looks like a product, a hundred at a time."""
    skus: list[str] = []
    cursor: str | None = None
    while True:
        found = get_similar_products.sync(sku, client=client, limit=100, cursor=cursor or UNSET)
        skus += skus_of(found)
        assert isinstance(found, SimilarAnswer), found
        if (cursor := found.next_cursor) is None:
            return skus


def read_all(address: str, token: str) -> None:
    """Print the skus of all products, and of all that looks like one, as JSON."""
    client = AuthenticatedClient(base_url=address, token=token)
    print(json.dumps({"all": page(client, 100), "similar": page_of_similar(client, "s1")}))


def main(address: str, token: str, image: bytes) -> None:
    """Print all results as JSON."""
    client = AuthenticatedClient(base_url=address, token=token)
    found = {
        "changed": change_one_field(client),
        "searched": search(client, image),
        "paged": page(client, 2),
        "state": upload(client, image),
    }
    refused = get_product.sync("nobody", client=client)
    assert isinstance(refused, Problem), refused
    print(json.dumps({**found, "code": str(refused.code)}))


if __name__ == "__main__":
    if len(sys.argv) > 3:
        main(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_bytes())
    else:
        read_all(sys.argv[1], sys.argv[2])
