"""A method for each operation of the API, by its operation id. Written by generate.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from lookalike_client.requests import Fields, Request, filled

Sent = TypeVar("Sent")
"""What sending a request returns: an answer, or what is awaited for it."""


class Operations(Generic[Sent]):
    """All operations that are answered with JSON. `query` are parameters of the query string."""

    def __init__(self, send: Callable[[Request], Sent]) -> None:
        self._send = send

    def _ask(
        self,
        method: str,
        path: str,
        *names: object,
        query: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Sent:
        return self._send(Request(method, filled(path, names), params=query or {}, **options))

    def add_feed(self, body: Fields) -> Sent:
        """Add a feed that is imported by itself."""
        return self._ask("POST", "/v1/admin/feeds", json=body)

    def cancel_job(self, id: int) -> Sent:
        """End a job."""
        return self._ask("POST", "/v1/admin/jobs/{}/cancel", id)

    def change_feed(self, name: str, body: Fields) -> Sent:
        """Change a feed, pause it, or let it go on."""
        return self._ask("PATCH", "/v1/admin/feeds/{}", name, json=body)

    def create_rule(self, body: Fields) -> Sent:
        """Add a rule."""
        return self._ask("POST", "/v1/admin/rules", json=body)

    def delete_experiment(self, name: str) -> Sent:
        """Remove an experiment."""
        return self._ask("DELETE", "/v1/admin/experiments/{}", name)

    def delete_feed(self, name: str) -> Sent:
        """Remove a feed and its history."""
        return self._ask("DELETE", "/v1/admin/feeds/{}", name)

    def delete_image(self, sku: str, *, if_match: str | None = None) -> Sent:
        """Remove a product's image."""
        return self._ask("DELETE", "/v1/products/{}/image", sku, if_match=if_match)

    def delete_one_image(self, sku: str, number: int, *, if_match: str | None = None) -> Sent:
        """Remove one image of a product."""
        return self._ask("DELETE", "/v1/products/{}/images/{}", sku, number, if_match=if_match)

    def delete_placement(self, name: str, *, if_match: str | None = None) -> Sent:
        """Remove a placement."""
        return self._ask("DELETE", "/v1/admin/placements/{}", name, if_match=if_match)

    def delete_product(self, sku: str, *, if_match: str | None = None) -> Sent:
        """Remove a product."""
        return self._ask("DELETE", "/v1/products/{}", sku, if_match=if_match)

    def delete_products(self, body: Fields) -> Sent:
        """Remove many products."""
        return self._ask("POST", "/v1/products:delete", json=body)

    def delete_rule(self, id: int, *, if_match: str | None = None) -> Sent:
        """Remove a rule."""
        return self._ask("DELETE", "/v1/admin/rules/{}", id, if_match=if_match)

    def delete_user(self, user: str) -> Sent:
        """Delete all that is stored of a shopper."""
        return self._ask("DELETE", "/v1/users/{}", user)

    def discard_quarantine(self, body: Fields) -> Sent:
        """Remove products in quarantine from the catalogue."""
        return self._ask("POST", "/v1/quarantine:discard", json=body)

    def drop_generation(self, id: int) -> Sent:
        """Retire a generation that is not active."""
        return self._ask("DELETE", "/v1/admin/generations/{}", id)

    def get_admin_job(self, id: int) -> Sent:
        """Read the progress of a job, and its result."""
        return self._ask("GET", "/v1/admin/jobs/{}", id)

    def get_experiment(self, name: str) -> Sent:
        """Read an experiment, with what became of the lists of its arms."""
        return self._ask("GET", "/v1/admin/experiments/{}", name)

    def get_facets(self, **query: Any) -> Sent:
        """Count the searchable products by the values of each field."""
        return self._ask("GET", "/v1/facets", query=query)

    def get_feed(self, name: str, **query: Any) -> Sent:
        """Read a feed, with its newest runs."""
        return self._ask("GET", "/v1/admin/feeds/{}", name, query=query)

    def get_generation(self, id: int) -> Sent:
        """Read one generation, with the numbers of its last check."""
        return self._ask("GET", "/v1/admin/generations/{}", id)

    def get_job(self, id: int) -> Sent:
        """Read the progress of a job, and its result."""
        return self._ask("GET", "/v1/jobs/{}", id)

    def get_liveness(self) -> Sent:
        """Confirm that the process is alive, and check nothing else."""
        return self._ask("GET", "/livez")

    def get_placement(self, name: str) -> Sent:
        """Read a placement."""
        return self._ask("GET", "/v1/admin/placements/{}", name)

    def get_product(self, sku: str, **query: Any) -> Sent:
        """Read a product, its state, and the reason of a quarantine."""
        return self._ask("GET", "/v1/products/{}", sku, query=query)

    def get_product_import(self, id: int) -> Sent:
        """Read how far an import of products is, and its result."""
        return self._ask("GET", "/v1/imports/{}", id)

    def get_products_together(self, sku: str, **query: Any) -> Sent:
        """Find what goes with a product."""
        return self._ask("GET", "/v1/products/{}/together", sku, query=query)

    def get_readiness(self) -> Sent:
        """Tell whether the process can answer."""
        return self._ask("GET", "/readyz")

    def get_recommendation(self, recommendation_id: str) -> Sent:
        """Show a list again."""
        return self._ask("GET", "/v1/recommendations/{}", recommendation_id)

    def get_rule(self, id: int) -> Sent:
        """Read a rule."""
        return self._ask("GET", "/v1/admin/rules/{}", id)

    def get_similar_of_products(self, body: Fields) -> Sent:
        """Find the products that look like each of many products."""
        return self._ask("POST", "/v1/similar:batch", json=body)

    def get_similar_products(self, sku: str, **query: Any) -> Sent:
        """Find the products that look like this one."""
        return self._ask("GET", "/v1/products/{}/similar", sku, query=query)

    def get_status(self) -> Sent:
        """Count the products by their state in the active generation."""
        return self._ask("GET", "/v1/status")

    def get_user_recommendations(self, user: str, **query: Any) -> Sent:
        """Recommend products to a shopper."""
        return self._ask("GET", "/v1/users/{}/recommendations", user, query=query)

    def import_products(self, content: bytes) -> Sent:
        """Store very many products, as lines of JSON."""
        return self._ask(
            "POST", "/v1/products:import", content=content, content_type="application/x-ndjson"
        )

    def list_experiments(self) -> Sent:
        """List the experiments."""
        return self._ask("GET", "/v1/admin/experiments")

    def list_feeds(self, **query: Any) -> Sent:
        """List the feeds, each with its last run."""
        return self._ask("GET", "/v1/admin/feeds", query=query)

    def list_generations(self) -> Sent:
        """List all generations, the newest first."""
        return self._ask("GET", "/v1/admin/generations")

    def list_jobs(self, **query: Any) -> Sent:
        """List jobs, the newest first."""
        return self._ask("GET", "/v1/admin/jobs", query=query)

    def list_new_products(self, **query: Any) -> Sent:
        """List what is new."""
        return self._ask("GET", "/v1/new-products", query=query)

    def list_placement_changes(self, name: str, **query: Any) -> Sent:
        """List the changes of a placement, the newest first."""
        return self._ask("GET", "/v1/admin/placements/{}/history", name, query=query)

    def list_placements(self) -> Sent:
        """List the placements."""
        return self._ask("GET", "/v1/admin/placements")

    def list_products(self, **query: Any) -> Sent:
        """List products."""
        return self._ask("GET", "/v1/products", query=query)

    def list_quarantine(self, **query: Any) -> Sent:
        """List the products that cannot be indexed, and why."""
        return self._ask("GET", "/v1/quarantine", query=query)

    def list_rule_changes(self, id: int, **query: Any) -> Sent:
        """List the changes of a rule, the newest first."""
        return self._ask("GET", "/v1/admin/rules/{}/history", id, query=query)

    def list_rules(self, **query: Any) -> Sent:
        """List the rules."""
        return self._ask("GET", "/v1/admin/rules", query=query)

    def list_trending_products(self, **query: Any) -> Sent:
        """List what is trending."""
        return self._ask("GET", "/v1/trending", query=query)

    def list_user_answers(self, user: str, **query: Any) -> Sent:
        """Export the lists that were made for a shopper."""
        return self._ask("GET", "/v1/users/{}/answers", user, query=query)

    def list_user_events(self, user: str, **query: Any) -> Sent:
        """Export a shopper's events."""
        return self._ask("GET", "/v1/users/{}/events", user, query=query)

    def patch_product(self, sku: str, body: Fields, *, if_match: str | None = None) -> Sent:
        """Change some fields of a product."""
        return self._ask("PATCH", "/v1/products/{}", sku, json=body, if_match=if_match)

    def patch_products(self, body: Fields) -> Sent:
        """Change some fields of many products."""
        return self._ask("POST", "/v1/products:patch", json=body)

    def post_event(self, body: Fields) -> Sent:
        """Store what a shopper did."""
        return self._ask("POST", "/v1/events", json=body)

    def post_events(self, body: Fields) -> Sent:
        """Store what shoppers did."""
        return self._ask("POST", "/v1/events:batch", json=body)

    def preview_rules(self, body: Fields) -> Sent:
        """Try rules on a sample of lists."""
        return self._ask("POST", "/v1/admin/rules:preview", json=body)

    def promote_generation(self, id: int, body: Fields) -> Sent:
        """Check a generation and make it the active one."""
        return self._ask("POST", "/v1/admin/generations/{}/promote", id, json=body)

    def purge_products(self, body: Fields) -> Sent:
        """Remove products at once, with their points, image files and vectors."""
        return self._ask("POST", "/v1/admin/purge", json=body)

    def put_experiment(self, name: str, body: Fields) -> Sent:
        """Start, change or stop an experiment."""
        return self._ask("PUT", "/v1/admin/experiments/{}", name, json=body)

    def put_image(self, sku: str, content: bytes, *, if_match: str | None = None) -> Sent:
        """Give a product its image."""
        return self._ask("PUT", "/v1/products/{}/image", sku, content=content, if_match=if_match)

    def put_one_image(
        self, sku: str, number: int, content: bytes, *, if_match: str | None = None
    ) -> Sent:
        """Replace one image of a product, or add one."""
        return self._ask(
            "PUT", "/v1/products/{}/images/{}", sku, number, content=content, if_match=if_match
        )

    def put_placement(
        self,
        name: str,
        body: Fields,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Sent:
        """Store a placement."""
        return self._ask(
            "PUT",
            "/v1/admin/placements/{}",
            name,
            json=body,
            if_match=if_match,
            if_none_match=if_none_match,
        )

    def put_product(
        self,
        sku: str,
        body: Fields,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Sent:
        """Store a product."""
        return self._ask(
            "PUT", "/v1/products/{}", sku, json=body, if_match=if_match, if_none_match=if_none_match
        )

    def put_products(self, body: Fields) -> Sent:
        """Store many products."""
        return self._ask("POST", "/v1/products:batch", json=body)

    def read_products(self, body: Fields) -> Sent:
        """Read many products by their skus."""
        return self._ask("POST", "/v1/products:read", json=body)

    def recommend_products(self, body: Fields) -> Sent:
        """Recommend products."""
        return self._ask("POST", "/v1/recommendations", json=body)

    def replace_rule(self, id: int, body: Fields, *, if_match: str | None = None) -> Sent:
        """Replace a rule."""
        return self._ask("PUT", "/v1/admin/rules/{}", id, json=body, if_match=if_match)

    def request_reindex(self, body: Fields) -> Sent:
        """Build another index beside the active one."""
        return self._ask("POST", "/v1/admin/reindex", json=body)

    def retry_quarantine(self, body: Fields) -> Sent:
        """Try products in quarantine again, beginning with their images."""
        return self._ask("POST", "/v1/quarantine:retry", json=body)

    def roll_back_generation(self, body: Fields) -> Sent:
        """Go back to the standby generation at once."""
        return self._ask("POST", "/v1/admin/generations/rollback", json=body)

    def run_feed(self, name: str, body: Fields) -> Sent:
        """Import a feed now, also one that is paused."""
        return self._ask("POST", "/v1/admin/feeds/{}/run", name, json=body)

    def search_similar_products(self, body: Fields, **query: Any) -> Sent:
        """Find the products that look like this image."""
        return self._ask("POST", "/v1/similar", json=body, query=query)
