"""Random histories of the small world, each drawn around a theme, from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from support.queue_model.parts import KINDS, Worker
from support.queue_model.world import World


@dataclass(frozen=True)
class Theme:
    """What may happen in a history: an uneven mix reaches deeper than an even one."""

    acts: str
    images: tuple[str, ...]
    shelves: tuple[int, ...] = (1,)
    begun: float = 1.0  # how often everything is indexed when the history begins
    openings: tuple[str, ...] = ("",)  # acts with which it begins
    more: tuple[int, ...] = ()  # how many further images a product gets; none: no draw


THEMES: Final = {
    "late writers": Theme(
        "edit remove put embed start_apply",
        ("good0", "good1", "flaky"),
        openings=("edit start_apply", "remove start_apply"),
    ),
    "late embedders": Theme(
        "put put embed start_embed wait edit remove",
        ("good0", "bad"),
        openings=("put start_embed",),
    ),
    "deaths": Theme("put put put embed start_embed", ("good0", "good1", "killer"), (3,), 0.0),
    "bad images": Theme(
        "put edit edit embed remove", ("good0", "bad", "killer"), (1, 2), 0.3, ("put embed",)
    ),
    "lives": Theme(
        "finish finish put remove embed apply start_apply",
        ("good0", "bad", "none"),
        openings=("put start_embed remove put", "put start_embed remove put", "remove put"),
    ),
    "losses": Theme(
        "put edit remove embed apply start_embed start_apply finish lose_points lose_vectors",
        ("good0", "flaky", "bad"),
        (1, 2),
    ),
    "several images": Theme(
        "put put edit remove embed apply start_embed start_apply wait",
        ("good0", "good1", "good2", "flaky", "bad"),
        (1, 1, 2),
        openings=("", "put embed start_apply put embed apply"),
        more=(0, 1, 2, 3),
    ),
    "several images, deaths": Theme(
        "put put edit remove embed apply start_embed start_apply reconcile wait crash",
        KINDS,
        (1, 2),
        more=(0, 1, 3),
    ),
    "everything": Theme(
        "put edit remove embed apply start_embed start_apply reconcile wait crash step finish",
        KINDS,
        (1, 2, 3),
        0.5,
    ),
}


def play(
    world: World, seed: int, *, theme: str = "", crashes: bool = True, reconciles: bool = True
) -> None:
    """Play one history and judge it; raises `parts.Wrong`. No theme: one by the seed."""
    rng = Random(seed)
    about = THEMES[theme or list(THEMES)[seed % len(THEMES)]]
    world.begin(shelves=rng.choice(about.shelves), reconciles=reconciles)
    if rng.random() < about.begun:
        for number in range(len(world.shelves)):
            world.put(number, rng.choice(("good0", "good1")))
        world.run(world.embed())
        world.run(world.apply())
    allowed = {"crash": crashes, "reconcile": reconciles, "lose_points": reconciles}
    acts = [act for act in about.acts.split() if allowed.get(act, True)]
    for act in (*rng.choice(about.openings).split(), *rng.choices(acts, k=rng.randint(2, 6))):
        _act(world, rng, act, about)
    _end(world, rng, crashes=crashes)


def _act(world: World, rng: Random, act: str, about: Theme) -> None:
    if act in ("step", "finish", "crash"):
        if world.workers:
            _go_on(world, rng.choice(world.workers), act)
        return
    number = rng.randrange(len(world.shelves))
    acts: dict[str, Callable[[], object]] = {
        "put": lambda: world.put(
            number,
            rng.choice(about.images),
            seen=rng.random() < 0.7,
            more=tuple(rng.choices(about.images, k=rng.choice(about.more))) if about.more else (),
        ),
        "edit": lambda: world.edit(number),
        "remove": lambda: world.remove(number),
        "lose_points": world.lose_points,
        "lose_vectors": world.lose_vectors,
        "wait": lambda: world.wait(rng.choice((6, 61))),
        "embed": lambda: world.run(world.embed()),
        "apply": lambda: world.run(world.apply()),
        "start_embed": lambda: world.step(world.embed(), steps=rng.randint(3, 7)),
        "start_apply": lambda: world.step(world.apply(), steps=rng.choice((3, 4, 4, 5))),
        "reconcile": lambda: world.step(world.reconcile(), steps=rng.randint(2, 8)),
    }
    acts[act]()


def _go_on(world: World, worker: Worker, act: str) -> None:
    {"step": world.step, "finish": world.run, "crash": world.crash}[act](worker)


def _end(world: World, rng: Random, *, crashes: bool) -> None:
    """Bring the history to its end; halted workers come back before or after the others rest."""
    if rng.random() < 0.6:
        world.rest()
    for worker in rng.sample(world.workers, len(world.workers)):
        fates = (["finish"], ["finish"], ["crash"], ["step", "crash"])
        for act in rng.choice(fates) if crashes else ["finish"]:
            if not worker.over:
                _go_on(world, worker, act)
    world.end()
