"""Decoder processes: fast with good images, unharmed by bad ones, gone when we are."""

from __future__ import annotations

import ast
import hashlib
import importlib
import io
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from support.host_faults import no_file_descriptors
from support.hostile_decoding import decode, missing
from support.servers import wait_for

from backend import images
from backend.errors import (
    CorruptImage,
    DecoderBusy,
    DecoderDied,
    DecoderUnavailable,
    ImageError,
    ImageTooLarge,
    MissingImage,
    NotAnImage,
)
from backend.images.decoder import seconds_without_processor
from backend.images.decoder_pool import MAX_WAITING, Decoded, DecoderPool
from backend.images.limits import ImageLimits

LIMITS = ImageLimits()
TARGET = (32, 24)


def png(seed: int, width: int = 60, height: int = 80) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(2, limits=LIMITS) as pool:
        yield pool


@pytest.fixture
def hostile() -> Iterator[DecoderPool]:
    """Two processes that do as the bytes say, and may take a second for it."""
    with DecoderPool(2, limits=LIMITS, seconds=1, decode=decode) as pool:
        yield pool


def files_of(contents: list[bytes], folder: Path) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


# --- good images and bad ones --------------------------------------------------------------


def test_images_come_back_in_order_with_their_digests(pool: DecoderPool, tmp_path: Path) -> None:
    files = [png(seed) for seed in range(40)]
    for number, data in enumerate(files):
        (tmp_path / f"{number}.png").write_bytes(data)
    sources = [tmp_path / f"{n}.png" if n % 2 else data for n, data in enumerate(files)]

    results = list(pool.decode_all(sources, target=TARGET, window=8))

    for data, result in zip(files, results, strict=True):
        assert isinstance(result, Decoded)
        assert result.digest == hashlib.sha256(data).hexdigest()
        assert result.image == images.decode(data, limits=LIMITS, target=TARGET)


def test_bad_images_are_told_apart_and_hold_up_nobody(pool: DecoderPool, tmp_path: Path) -> None:
    sources = [png(1), b"", png(2)[:300], tmp_path / "absent", png(3, 1001, 1000), png(4)]

    with DecoderPool(limits=ImageLimits(max_pixels=1_000_000)) as strict:
        results = list(strict.decode_all(sources, target=TARGET))

    kinds = [Decoded, NotAnImage, CorruptImage, MissingImage, ImageTooLarge, Decoded]
    assert [type(result) for result in results] == kinds
    assert str(results[1]) == "the file is empty"


def test_one_image_is_decoded_or_its_error_raised(pool: DecoderPool) -> None:
    assert pool.decode_one(png(1), target=TARGET).image.size == (24, 32)
    with pytest.raises(NotAnImage, match="empty"):
        pool.decode_one(b"", target=TARGET)


def test_sources_are_read_as_far_ahead_as_the_window_says(pool: DecoderPool) -> None:
    taken = []

    def sources() -> Iterator[bytes]:
        for number in range(20):
            taken.append(number)
            yield png(number)

    results = pool.decode_all(sources(), target=TARGET, window=5)
    assert taken == []
    next(results)
    assert len(taken) == 5
    assert len(list(results)) == 19


def test_a_caller_may_stop_in_the_middle(pool: DecoderPool) -> None:
    results = pool.decode_all((png(n) for n in range(50)), target=TARGET)
    next(results)
    results.close()

    assert pool.decode_one(png(1), target=TARGET)


@pytest.mark.slow
def test_time_without_a_processor_is_not_the_images(
    hostile: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter of the kernel is replaced: no test can make a host busy enough."""
    began = time.monotonic()
    lost = 0.7

    def counted(pid: int) -> float:
        return lost * (time.monotonic() - began)

    monkeypatch.setattr("backend.images.decoder.seconds_without_processor", counted)
    assert hostile.decode_one(b"SLEEP 1.5", target=TARGET)  # of which it had 0.45 s
    with pytest.raises(DecoderUnavailable, match="wait for a processor"):
        hostile.decode_one(b"SLEEP 9", target=TARGET)
    lost = 0.0
    with pytest.raises(DecoderDied, match="longer than 1 s"):
        hostile.decode_one(b"SLEEP 9", target=TARGET)


def test_the_kernel_counts_the_time_without_a_processor() -> None:
    code = "import time; end = time.process_time() + .3\nwhile time.process_time() < end: pass"
    both = [["taskset", "-c", "0", sys.executable, "-c", code]] * 2
    processes = [subprocess.Popen(command) for command in both]
    most = 0.0
    while any(process.poll() is None for process in processes):
        waited = [seconds_without_processor(process.pid) for process in processes]
        most = max(most, *waited)
        time.sleep(0.01)
    assert most > 0.05  # two share one processor
    assert seconds_without_processor(2**30) == 0


def marking(folder: Path, count: int) -> list[bytes]:
    """Images each of which leaves a file in a folder when it is decoded, after 0.1 s."""
    return [b"MARK " + os.fsencode(folder / str(number)) for number in range(count)]


def test_decoding_goes_on_while_the_caller_works(hostile: DecoderPool, tmp_path: Path) -> None:
    results = hostile.decode_all(marking(tmp_path, 10), target=TARGET, window=10)
    next(results)

    wait_for(lambda: len(list(tmp_path.iterdir())) == 10)  # and nobody has asked for a second one
    assert len(list(results)) == 9


def test_threads_share_a_pool(pool: DecoderPool) -> None:
    found: dict[int, list[Decoded | ImageError]] = {}

    def work(number: int) -> None:
        sources = [png(100 * number + n) for n in range(10)]
        found[number] = [pool.decode_one(sources[0], target=TARGET)]
        found[number] += pool.decode_all(sources[1:], target=TARGET, window=3)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for number in range(6):
        for n, result in enumerate(found[number]):
            assert isinstance(result, Decoded)
            assert result.digest == hashlib.sha256(png(100 * number + n)).hexdigest()


def test_a_shoppers_image_does_not_wait_for_a_catalogue(
    hostile: DecoderPool, tmp_path: Path
) -> None:
    list(hostile.decode_all([png(1), png(2)], target=TARGET))
    results = hostile.decode_all(marking(tmp_path, 40), target=TARGET)
    next(results)

    hostile.decode_one(png(1), target=TARGET)
    assert len(list(tmp_path.iterdir())) < 40
    results.close()


# --- two kinds of callers ------------------------------------------------------------------


@pytest.fixture
def gated() -> Iterator[DecoderPool]:
    """One process for the catalogue, with time to wait for a file; urgent images wait long."""
    with DecoderPool(1, limits=LIMITS, seconds=60, wait_seconds=60, decode=decode) as pool:
        yield pool


def in_thread(pool: DecoderPool, data: bytes, found: list[object]) -> threading.Thread:
    """Decode an urgent image beside the test, and add the result or the error to a list."""

    def work() -> None:
        try:
            found.append(pool.decode_one(data, target=TARGET))
        except Exception as error:  # noqa: BLE001  (the test looks at it)
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def waiting_for(gate: Path) -> bytes:
    """An image that is decoded when a file is there."""
    return b"WAIT " + os.fsencode(gate)


def test_an_urgent_image_does_not_wait_for_one_that_the_catalogue_is_stuck_with(
    gated: DecoderPool, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    results = gated.decode_all([waiting_for(gate)] * 3, target=TARGET, window=1)
    blocked = threading.Thread(target=next, args=(results,))
    blocked.start()

    assert gated.decode_one(png(1), target=TARGET)
    gate.touch()
    blocked.join()
    results.close()


def test_urgent_images_that_are_stuck_do_not_hold_up_the_catalogue(
    gated: DecoderPool, tmp_path: Path
) -> None:
    gate, found = tmp_path / "gate", list[object]()
    results = gated.decode_all(marking(tmp_path, 5), target=TARGET, window=2)
    next(results)
    stuck = [in_thread(gated, waiting_for(gate), found) for _ in range(4)]

    assert len(list(results)) == 4
    assert found == []
    gate.touch()
    for thread in stuck:
        thread.join()
    assert [type(one) for one in found] == [Decoded] * 4


def test_an_urgent_image_is_refused_when_no_decoder_is_free_in_time(tmp_path: Path) -> None:
    gate, found = tmp_path / "gate", list[object]()
    with DecoderPool(1, limits=LIMITS, seconds=60, wait_seconds=2, decode=decode) as pool:
        pool.decode_one(png(1), target=TARGET)
        threads = [in_thread(pool, waiting_for(gate), found) for _ in range(3)]
        wait_for(lambda: found)
        gate.touch()
        for thread in threads:
            thread.join()

    assert [type(one) for one in found].count(DecoderBusy) >= 1
    assert type(found[0]) is not DecoderDied


def test_only_so_many_urgent_images_wait(gated: DecoderPool, tmp_path: Path) -> None:
    gate, found = tmp_path / "gate", list[object]()
    decoders, more = 2, 3
    threads = [
        in_thread(gated, waiting_for(gate), found) for _ in range(MAX_WAITING + decoders + more)
    ]
    wait_for(lambda: len(found) == more)
    assert [str(one) for one in found] == ["too many images wait for a decoder"] * more
    gate.touch()
    for thread in threads:
        thread.join()

    assert [type(one) for one in found[more:]] == [Decoded] * (MAX_WAITING + decoders)


def test_an_image_can_be_shrunk_to_its_own_shape(pool: DecoderPool) -> None:
    assert pool.decode_one(png(1, 400, 100), target=64).image.size == (64, 16)
    assert pool.decode_one(png(1, 40, 60), target=64).image.size == (40, 60)


# --- images that harm their process --------------------------------------------------------


def test_exactly_the_image_that_kills_its_decoder_is_blamed(hostile: DecoderPool) -> None:
    sources = [png(0), png(1), b"DIE", png(3), png(4), png(5)]

    results = list(hostile.decode_all(sources, target=TARGET))

    assert [isinstance(r, DecoderDied) for r in results] == [
        False,
        False,
        True,
        False,
        False,
        False,
    ]
    assert "SIGSEGV" in str(results[2])


def test_exactly_the_image_that_hangs_is_blamed(hostile: DecoderPool) -> None:
    sources = [png(0), b"SLEEP 60", png(2), png(3)]

    results = list(hostile.decode_all(sources, target=TARGET))

    assert [isinstance(result, DecoderDied) for result in results] == [False, True, False, False]
    assert "longer than 1 s" in str(results[1])


def test_of_a_group_of_files_exactly_the_harmful_ones_are_blamed(
    hostile: DecoderPool, tmp_path: Path
) -> None:
    contents = [png(n) for n in range(20)]
    contents[3], contents[4], contents[12], contents[17] = b"DIE", b"text", b"SLEEP 60", b""

    results = list(hostile.decode_all(files_of(contents, tmp_path), target=TARGET))

    wrong = {at: result for at, result in enumerate(results) if isinstance(result, ImageError)}
    assert {at: type(error) for at, error in wrong.items()} == {
        3: DecoderDied,
        4: NotAnImage,
        12: DecoderDied,
        17: NotAnImage,
    }
    assert "SIGSEGV" in str(wrong[3])
    assert "longer than 1 s" in str(wrong[12])


def test_files_are_as_if_each_were_decoded_alone(pool: DecoderPool, tmp_path: Path) -> None:
    contents = [png(n) for n in range(21)]
    sources: list[bytes | Path] = [*files_of(contents, tmp_path)]
    sources[10], sources[15] = contents[10], tmp_path / "missing"

    results = list(pool.decode_all(sources, target=TARGET, window=9))

    assert isinstance(results.pop(15), MissingImage)
    del contents[15]
    alone = [pool.decode_one(content, target=TARGET) for content in contents]
    assert [one.digest for one in results if isinstance(one, Decoded)] == [
        one.digest for one in alone
    ]
    for one, other in zip(results, alone, strict=True):
        assert isinstance(one, Decoded)
        assert one.image.tobytes() == other.image.tobytes()


def test_an_image_is_not_blamed_for_a_process_that_somebody_else_ended(
    hostile: DecoderPool, tmp_path: Path
) -> None:
    assert hostile.decode_one(b"DIE-ONCE " + os.fsencode(tmp_path / "mark"), target=TARGET)
    for pid in children():
        psutil.Process(pid).kill()
    assert hostile.decode_one(png(1), target=TARGET)


@pytest.mark.parametrize("urgent", [True, False], ids=["urgent", "catalogue"])
def test_an_image_whose_decoder_is_killed_twice_is_tried_a_third_time_alone(
    tmp_path: Path, urgent: bool
) -> None:
    """The kernel kills what is largest when memory runs out: that says little of the image."""
    log = tmp_path / "log"
    with DecoderPool(2, limits=LIMITS, decode=decode) as pool:
        list(pool.decode_all([png(1)] * 4, target=TARGET))  # other processes are there

        data = b"KILL 2 " + os.fsencode(log)
        if urgent:
            assert pool.decode_one(data, target=TARGET)
        else:
            assert isinstance(next(pool.decode_all([data], target=TARGET)), Decoded)
        processes = [int(count) for count in log.read_text().split()]
        assert len(processes) == 3
        assert processes[2] < min(processes[:2])

        log.unlink()
        with pytest.raises(DecoderDied, match="three times, also alone: killed by SIGKILL"):
            pool.decode_one(b"KILL 9 " + os.fsencode(log), target=TARGET)
        assert len(log.read_text().split()) == 3
        assert pool.decode_one(png(1), target=TARGET)


def test_a_defect_of_the_decoder_is_blamed_on_the_image_that_shows_it(
    hostile: DecoderPool, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DecoderDied, match="exit status 1"):
        hostile.decode_one(b"RAISE", target=TARGET)
    assert "ZeroDivisionError: a defect of the decoder" in capfd.readouterr().err


def test_an_image_that_needs_more_memory_than_allowed_is_too_large() -> None:
    flat = io.BytesIO()
    Image.new("RGB", (7000, 7000)).save(flat, "PNG")

    with DecoderPool(limits=LIMITS, memory_bytes=200_000_000) as pool:
        with pytest.raises(ImageTooLarge, match="memory"):
            pool.decode_one(flat.getvalue(), target=TARGET)
        assert pool.decode_one(png(1), target=TARGET)


def test_what_libtiff_has_to_say_about_a_damaged_file_stays_unsaid(
    pool: DecoderPool, capfd: pytest.CaptureFixture[str]
) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((60, 80), 90).save(buffer, "TIFF", compression="tiff_lzw")
    damaged = buffer.getvalue()[:8] + b"\xff" * 50 + buffer.getvalue()[58:]

    with pytest.raises(CorruptImage):
        pool.decode_one(damaged, target=TARGET)
    assert capfd.readouterr().err == ""


class Interrupted(Exception):
    """What a worker's soft time limit, or Ctrl-C, raises in the middle of anything."""


@pytest.mark.parametrize("moment", ["Decoder._answers", "read_answer"], ids=["waiting", "answered"])
def test_an_interrupted_image_does_not_leave_its_answer_to_the_next(
    hostile: DecoderPool, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted

    hostile.decode_one(png(1), target=TARGET)
    with monkeypatch.context() as patch:
        patch.setattr(f"backend.images.decoder.{moment}", interrupt)
        with pytest.raises(Interrupted):
            hostile.decode_one(b"SLEEP 0.3", target=TARGET)

    time.sleep(0.4)
    decoded = hostile.decode_one(png(2), target=TARGET)
    assert decoded.digest == hashlib.sha256(png(2)).hexdigest()


# --- processes -----------------------------------------------------------------------------


def test_processes_start_with_the_first_image_and_end_on_close() -> None:
    before = children()
    pool = DecoderPool(3, limits=LIMITS)
    assert children() == before
    pool.decode_one(png(1), target=TARGET)
    assert len(children() - before) == 1
    pool.close()
    assert children() == before
    pool.decode_one(png(1), target=TARGET)
    assert len(children() - before) == 1
    pool.close()


def test_a_decoder_knows_neither_our_secrets_nor_our_libraries(
    hostile: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret@db/shop")

    with pytest.raises(NotAnImage) as told:
        hostile.decode_one(b"TELL", target=TARGET)

    pid, modules, environment = ast.literal_eval(told.value.message)
    assert pid != os.getpid()
    assert not {"numpy", "torch", "sqlalchemy", "pytest", "requests"} & set(modules)
    assert "secret" not in str(environment)


def test_a_process_that_cannot_start_is_not_the_images_fault() -> None:
    with (
        DecoderPool(limits=LIMITS, decode=missing) as pool,
        pytest.raises(DecoderUnavailable, match="does not start"),
    ):
        pool.decode_one(png(1), target=TARGET)


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_process_that_is_killed_while_it_starts_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    mark = tmp_path / "mark"
    (tmp_path / f"dies_{deaths}.py").write_text(
        "import os, signal; from backend.images.decode import decode as real\n"
        f"def decode(data, **options): return real(data, **options)\n"
        f"if os.getpid() != {os.getpid()}:\n"
        f"    with open({str(mark)!r}, 'a+') as log:\n"
        "        log.write('x'); log.seek(0); tries = len(log.read())\n"
        f"    if tries <= {deaths}: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    starts = importlib.import_module(f"dies_{deaths}")
    with DecoderPool(limits=LIMITS, decode=starts.decode) as pool:
        if deaths == 2:
            with pytest.raises(DecoderUnavailable, match="SIGKILL"):
                pool.decode_one(png(1), target=TARGET)
        assert pool.decode_one(png(1), target=TARGET)


def test_without_file_descriptors_no_image_is_blamed(pool: DecoderPool) -> None:
    with DecoderPool(limits=LIMITS) as fresh:
        with no_file_descriptors():
            for start in (
                lambda: fresh.decode_one(png(1), target=TARGET),
                lambda: next(fresh.decode_all([png(1)], target=TARGET)),
            ):
                with pytest.raises(DecoderUnavailable, match="Too many open files"):
                    start()
        assert fresh.decode_one(png(1), target=TARGET)


def test_a_forked_process_has_decoders_of_its_own(pool: DecoderPool) -> None:
    pool.decode_one(png(1), target=TARGET)
    with warnings.catch_warnings():
        # Python warns that this process has threads. So has the server.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            pool.decode_one(png(2), target=TARGET)
            pool.close()
            os._exit(0)
        finally:
            os._exit(1)

    assert os.waitpid(pid, 0)[1] == 0
    assert pool.decode_one(png(3), target=TARGET)


@pytest.mark.parametrize("order", [b"SLEEP 0", b"SLEEP 60"], ids=["idle", "busy"])
@pytest.mark.slow
def test_decoders_end_when_their_parent_is_killed(order: bytes) -> None:
    program = (
        "import psutil, threading, time; from support.hostile_decoding import decode;"
        "from backend.images.decoder_pool import DecoderPool;"
        "from backend.images.limits import ImageLimits;"
        "pool = DecoderPool(limits=ImageLimits(), seconds=.5, decode=decode);"
        "pool.decode_one(b'SLEEP 0', target=(9, 9));"
        f"threading.Thread(target=pool.decode_one, args=({order!r},), kwargs=dict(target=(9, 9)))"
        ".start(); time.sleep(.3);"
        "print(psutil.Process().children()[0].pid, flush=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment
    ) as parent:
        assert parent.stdout
        decoder = psutil.Process(int(parent.stdout.readline()))
        parent.kill()

    _, alive = psutil.wait_procs([decoder], timeout=10)
    assert not alive
