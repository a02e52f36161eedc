"""A shopper's image becomes the same vector here and by way of a worker, or a clear refusal."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from support.image_files import encoded, random_image

from backend import bootstrap
from backend.bootstrap import Services
from backend.embedders import PHOTOGRAPH, QueryImage
from backend.embedders.mean_colour import MeanColour
from backend.embedders.regions import FoundRegion
from backend.errors import CorruptImage, EmbedderBusy, EmbedderFailed, ModelMismatch, NotAnImage
from backend.images.box import Box
from backend.images.decode import size_within
from backend.search.query_image import SENT_SIDE, EmbeddedQuery, RemoteQueryEncoder, Vector
from backend.settings import Settings

PART = FoundRegion((0.2, 0.1, 0.7, 0.9), 0.8, "dress")


@pytest.fixture
def services(settings: Settings) -> Iterator[Services]:
    found = bootstrap.build(settings.model_copy(update={"embedder": "mean-colour"}))
    yield found
    found.close()


class Worker:
    """Embeds as a worker would, in this process; keeps what it was sent."""

    def __init__(self, services: Services, *, fingerprint: str | None = None) -> None:
        self._services = services
        self._fingerprint = fingerprint
        self.sent: list[bytes] = []

    def __call__(self, image: bytes, *, spec: str, seconds: float) -> EmbeddedQuery:
        self.sent.append(image)
        found = self._services.local_encoder.embed(image, spec)
        return found._replace(fingerprint=self._fingerprint or found.fingerprint)


def remote(services: Services, worker: Worker) -> RemoteQueryEncoder:
    return RemoteQueryEncoder(worker, services.decoders, seconds=1)


def photograph(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(random_image(3))).resize((width, height)).save(out, "JPEG")
    return out.getvalue()


def test_a_small_image_has_the_very_same_vector_by_way_of_a_worker(services: Services) -> None:
    generation = services.first_generation()
    here = services.query_encoder.encode(generation, random_image(1))
    there = remote(services, Worker(services)).encode(generation, random_image(1))
    assert np.array_equal(here, there)


def test_a_photograph_is_shrunk_in_its_shape_and_keeps_its_direction(services: Services) -> None:
    generation = services.first_generation()
    worker = Worker(services)
    there = remote(services, worker).encode(generation, photograph(900, 1200))
    assert there @ services.query_encoder.encode(generation, photograph(900, 1200)) > 0.999
    with Image.open(io.BytesIO(worker.sent[0])) as sent:
        assert sent.size == (192, SENT_SIDE)


def test_a_region_is_cut_out_here_and_has_the_vector_of_its_own_image(services: Services) -> None:
    generation, worker = services.first_generation(), Worker(services)
    with Image.open(io.BytesIO(photograph(900, 1200))) as whole:
        by_hand = encoded(whole.crop((90, 240, 540, 840)))
    expected = services.query_encoder.encode(generation, by_hand)
    box = Box.of((0.1, 0.2, 0.6, 0.7))
    here = services.query_encoder.encode(generation, photograph(900, 1200), box)
    assert np.array_equal(here, expected)
    there = remote(services, worker).encode(generation, photograph(900, 1200), box)
    assert there @ expected > 0.999
    with Image.open(io.BytesIO(worker.sent[0])) as sent:
        assert sent.size == (192, SENT_SIDE)


def test_a_worker_of_another_version_is_refused(services: Services) -> None:
    generation = services.first_generation()
    with pytest.raises(ModelMismatch):
        remote(services, Worker(services, fingerprint="newer")).encode(generation, random_image(1))


@pytest.mark.parametrize(
    ("data", "error"), [(b"no image", NotAnImage), (random_image(1)[:300], CorruptImage)]
)
def test_what_is_not_an_image_is_refused_here_and_never_sent(
    services: Services, data: bytes, error: type[Exception]
) -> None:
    worker = Worker(services)
    with pytest.raises(error):
        remote(services, worker).encode(services.first_generation(), data)
    assert worker.sent == []


def test_a_worker_that_is_busy_is_the_shoppers_error(services: Services) -> None:
    def busy(image: bytes, *, spec: str, seconds: float) -> EmbeddedQuery:
        raise EmbedderBusy

    encoder = RemoteQueryEncoder(busy, services.decoders, seconds=1)
    with pytest.raises(EmbedderBusy):
        encoder.encode(services.first_generation(), random_image(1))


@pytest.mark.parametrize(
    ("height", "width"), [(60, 80), (256, 256), (2400, 1800), (20, 400), (400, 20), (5100, 255)]
)
def test_what_is_sent_passes_the_limits_that_the_image_passed(height: int, width: int) -> None:
    sent_height, sent_width = size_within(SENT_SIDE, height, width)
    assert max(sent_height, sent_width) <= SENT_SIDE
    assert max(sent_height, sent_width) <= 20 * min(sent_height, sent_width)
    assert min(sent_height, sent_width) >= 8


def test_a_broken_device_is_not_the_shoppers_error(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = services.first_generation()

    def fail(images: object) -> Vector:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(services.embedders.of(generation), "embed", fail)
    with pytest.raises(EmbedderFailed, match="CUDA error"):
        services.query_encoder.encode(generation, random_image(1))


def on_grey(x: int, y: int) -> Image.Image:
    """A photograph of one colour with a red thing of 120 x 160 pixels pasted on it."""
    image = Image.new("RGB", (300, 400), "#607080")
    image.paste("#c02020", (x, y, x + 120, y + 160))
    return image


def share_of_red(pixels: np.ndarray) -> float:
    return float((pixels[..., 0].astype(int) - pixels[..., 1] > 80).mean())


def test_what_was_pasted_is_compared_on_white_too(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Image.Image] = []
    box = (0.2, 0.25, 0.8, 0.75)  # the thing with some of its ground

    def embed_query(self: MeanColour, image: Image.Image) -> QueryImage:
        """Tell the thing by its colour, as layers would."""
        seen.append(image)
        red = np.asarray(image.resize((21, 28)), np.float32)[..., 0]
        mask = np.where(red > 150, 4, -4).astype(np.float32)
        composed = len(seen) == 1
        return QueryImage(
            self.embed([image])[0],
            PHOTOGRAPH,
            [FoundRegion(box, 1, "other")],
            composed=composed,
            mask=mask,
        )

    generation = services.first_generation()
    monkeypatch.setattr(MeanColour, "embed_query", embed_query, raising=False)
    for encoder in (services.query_encoder, remote(services, Worker(services))):
        seen.clear()
        answer = encoder.embed_image(generation, encoded(on_grey(90, 120)))
        _, wider, region, on_white, again = map(np.asarray, seen)
        assert answer.compared == box
        assert (region[0, 0] < 160).all()  # the ground of the photograph
        assert share_of_red(wider) < 0.75 * share_of_red(region)
        for cut in (on_white, again):
            middle, corner = cut[len(cut) // 2, cut.shape[1] // 2], cut[0, 0]
            assert (np.abs(middle.astype(int) - (0xC0, 0x20, 0x20)) < 12).all()
            assert (corner > 240).all()
        compared = seen[2:]
        mean = services.embedders.of(generation).embed(compared).sum(axis=0)
        assert answer.vector @ mean == pytest.approx(np.linalg.norm(mean), abs=1e-3)
        seen.clear()
        given = encoder.embed_image(generation, encoded(on_grey(90, 120)), Box.of(box))
        assert given.compared is None
        assert len(seen) == 4  # the box, a wider one, and both on white
        assert given.vector @ answer.vector > 0.99


@pytest.mark.parametrize(
    ("found", "composed", "compared"),
    [
        ([PART], True, PART.box),
        ([PART], False, None),
        ([], True, None),
        ([PART._replace(box=(0.5, 0.5, 0.51, 0.51))], True, None),  # of too few pixels
    ],
)
def test_an_image_that_is_pasted_together_is_compared_by_its_first_region(
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    found: list[FoundRegion],
    composed: bool,
    compared: object,
) -> None:
    def embed_query(self: MeanColour, image: Image.Image) -> QueryImage:
        own = self.embed([image])[0]
        moved = own[::-1].copy()
        return QueryImage(moved, PHOTOGRAPH, found, own=own, composed=composed)

    generation = services.first_generation()
    with Image.open(io.BytesIO(photograph(300, 400))) as whole:
        part = services.query_encoder.encode(generation, encoded(whole.crop((60, 40, 210, 360))))
    plain = services.query_encoder.encode(generation, photograph(300, 400))
    monkeypatch.setattr(MeanColour, "embed_query", embed_query, raising=False)
    expected = plain[::-1] if compared is None else part  # a part is not moved
    worker = remote(services, Worker(services))
    for encoder in (services.query_encoder, worker):
        answer = encoder.embed_image(generation, photograph(300, 400))
        assert (answer.compared, answer.regions) == (compared, found)
        assert answer.vector @ expected > 0.999
        given = encoder.embed_image(generation, photograph(300, 400), Box.of((0, 0, 1, 1)))
        assert given.compared is None  # what a client chooses is not changed
        assert given.vector @ plain[::-1] > 0.999


@pytest.mark.parametrize("is_pasted", [True, False])
def test_where_it_is_in_doubt_a_wider_part_decides_whether_the_first_region_is_compared(
    services: Services, monkeypatch: pytest.MonkeyPatch, is_pasted: bool
) -> None:
    surer = PART._replace(confidence=0.9, box=(0.5, 0.5, 1, 1))
    seen: list[Image.Image] = []

    def embed_query(self: MeanColour, image: Image.Image) -> QueryImage:
        seen.append(image)
        own = self.embed([image])[0]
        return QueryImage(
            own,
            PHOTOGRAPH,
            [PART, surer],
            composed=is_pasted and len(seen) == 2,
            doubtful=len(seen) == 1,
        )

    generation = services.first_generation()
    with Image.open(io.BytesIO(photograph(300, 400))) as image:
        whole, part = image.copy(), image.crop((60, 40, 210, 360))
    expected = services.query_encoder.encode(generation, encoded(part if is_pasted else whole))
    monkeypatch.setattr(MeanColour, "embed_query", embed_query, raising=False)
    for encoder in (services.query_encoder, remote(services, Worker(services))):
        seen.clear()
        answer = encoder.embed_image(generation, photograph(300, 400))
        assert answer.compared == (PART.box if is_pasted else None)
        assert answer.vector @ expected > 0.999
        assert answer.regions == ([PART, surer] if is_pasted else [surer, PART])
        assert len(seen) == (3 if is_pasted else 2)
        seen.clear()
        encoder.embed_image(generation, photograph(300, 400), Box.of(PART.box))
        assert len(seen) == 1  # a client's box is in no doubt


def test_what_kind_of_image_it_is_is_told_here_and_by_way_of_a_worker(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def embed_query(self: MeanColour, image: Image.Image) -> QueryImage:
        return QueryImage(self.embed([image])[0][::-1], PHOTOGRAPH, [PART])

    generation = services.first_generation()
    plain = services.query_encoder.embed_image(generation, random_image(1))
    assert (plain.kind, plain.regions) == (None, None)
    monkeypatch.setattr(MeanColour, "embed_query", embed_query, raising=False)
    here = services.query_encoder.embed_image(generation, random_image(1))
    there = remote(services, Worker(services)).embed_image(generation, random_image(1))
    assert here.kind == there.kind == PHOTOGRAPH
    assert here.regions == there.regions == [PART]
    assert np.array_equal(here.vector, plain.vector[::-1])
