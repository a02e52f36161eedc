"""Both stages of the queue under every interleaving: the right rules hold, wrong ones do not."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.queue_model.histories import THEMES, play
from support.queue_model.parts import KINDS, Wrong
from support.queue_model.world import World
from support.queue_model.wrong_rules import RIGHT, WRONG, Rule, leave_embedded_at_removals

HISTORIES = 12
SEARCHED = 1000


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        yield world


# --- random histories ------------------------------------------------------------------------


@pytest.mark.parametrize("theme", THEMES)
def test_no_random_history_ends_wrong(world: World, theme: str) -> None:
    for seed in range(HISTORIES):
        play(world, seed, theme=theme)


def test_without_crashes_there_is_nothing_to_reconcile(world: World) -> None:
    for seed in range(HISTORIES):
        play(world, seed, crashes=False, reconciles=False)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda rule: rule.name)
def test_a_wrong_rule_is_caught(world: World, wrong: Rule) -> None:
    seed = next(_wrong_histories(world, wrong, SEARCHED), None)
    assert seed is not None, f"{wrong.name}: no history of {SEARCHED} ended wrong"
    play(world, seed, theme=wrong.theme, crashes=wrong.crashes)  # which the right rules survive


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_right_rules_end_no_history_wrong(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also print how often each wrong rule is caught; that each is, another test shows."""
    counts = {}
    for tried, histories in [(it, 1000) for it in RIGHT] + [(it, 60) for it in WRONG]:
        counts[tried] = len(list(_wrong_histories(world, tried, histories)))
        with capsys.disabled():
            sys.stdout.write(f"\n| {tried.name} | {histories} | {counts[tried]} |")
    assert [counts[tried] for tried in RIGHT] == [0, 0]


def _wrong_histories(world: World, tried: Rule, histories: int) -> Iterator[int]:
    """Yield the seeds whose history ends wrong under a rule."""
    for seed in range(histories):
        try:
            with tried.put_in():
                play(
                    world,
                    seed,
                    theme=tried.theme,
                    crashes=tried.crashes,
                    reconciles=tried.reconciles,
                )
        except Wrong:
            yield seed


# --- histories that hypothesis looks for, and shrinks ----------------------------------------


class Shop(RuleBasedStateMachine):
    """What a shop and its workers may do at any moment."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        world.begin()

    @rule(number=st.integers(0, 2), image=st.sampled_from(KINDS), seen=st.booleans())
    def put(self, number: int, image: str, seen: bool) -> None:
        self.world.put(number, image, seen=seen)

    @rule(number=st.integers(0, 2))
    def edit(self, number: int) -> None:
        self.world.edit(number)

    @rule(number=st.integers(0, 2))
    def remove(self, number: int) -> None:
        self.world.remove(number)

    @rule(stage=st.sampled_from(("embed", "apply")))
    def work(self, stage: str) -> None:
        self.world.run(getattr(self.world, stage)())

    @precondition(lambda self: len(self.world.workers) < 3)
    @rule(stage=st.sampled_from(("embed", "apply", "reconcile")), steps=st.integers(2, 8))
    def begin_to_work(self, stage: str, steps: int) -> None:
        self.world.step(getattr(self.world, stage)(), steps=steps)

    @precondition(lambda self: self.world.workers)
    @rule(which=st.integers(0, 2), steps=st.integers(1, 4))
    def go_on(self, which: int, steps: int) -> None:
        self.world.step(self._worker(which), steps=steps)

    @precondition(lambda self: self.world.workers)
    @rule(which=st.integers(0, 2))
    def crash(self, which: int) -> None:
        self.world.crash(self._worker(which))

    @rule(seconds=st.sampled_from((6, 61)))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    @rule()
    def rest(self) -> None:
        self.world.rest()

    def _worker(self, which: int):
        return self.world.workers[which % len(self.world.workers)]

    def teardown(self) -> None:
        self.world.end()


QUICK = settings(
    max_examples=40, stateful_step_count=20, deadline=None, derandomize=True, database=None
)


def test_no_history_that_hypothesis_finds_ends_wrong(world: World) -> None:
    run_state_machine_as_test(lambda: Shop(world), settings=QUICK)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_long_history_that_hypothesis_finds_ends_wrong(world: World) -> None:
    thorough = settings(QUICK, max_examples=1000, stateful_step_count=40, derandomize=False)
    run_state_machine_as_test(lambda: Shop(world), settings=thorough)


def test_hypothesis_finds_what_a_wrong_rule_leads_to(world: World) -> None:
    unshrunk = settings(QUICK, max_examples=200, phases=[Phase.generate])
    with leave_embedded_at_removals(), pytest.raises(Wrong):
        run_state_machine_as_test(lambda: Shop(world), settings=unshrunk)
