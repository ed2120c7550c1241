"""Settings as keyword arguments."""

from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, TypedDict

from gossamer.errors import UsageError
from gossamer.fitting.settings import Settings
from gossamer.fitting.solvers import StopRule

ARGUMENTS = (
    "terms", "pairs", "descriptor", "symmetry", "baseline", "settings", "force", "run", "progress",
    "tolerance", "family", "quantiles", "compared", "pool", "score_structures",
)  # fmt: skip


class Options(TypedDict, total=False):
    """Fields of Settings, any of them."""

    length: float | None
    noise: float | None
    relative_noise: float | None
    energies: bool
    solver: str
    memory: float | None
    seed: int
    stop: StopRule
    learning_steps: int
    device: str
    kernel: str | None
    max_images: int | None
    error_bars: bool
    condense: bool
    dipoles: bool | None


def make_settings(options: "Options | Mapping[str, Any]", settings: Settings | None = None) -> Settings:
    """`settings`, by default those of `Settings()`, with the fields in `options` changed.

    Raises UsageError for an unknown one, with the argument of `train` or `reduce` that it resembles."""
    known = [item.name for item in fields(Settings)]
    unknown = next((name for name in options if name not in known), None)
    if unknown is not None:
        like = get_close_matches(unknown, [*known, *ARGUMENTS], 1)
        meant = f"did you mean {like[0]}?" if like else f"use {', '.join(known)}."
        raise UsageError(f"options: {unknown} is not known; {meant}")
    return replace(settings or Settings(), **options)
