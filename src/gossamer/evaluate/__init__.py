"""Evaluators: a force field made ready to be called, for one structure or many, with what that needs said aloud."""

from gossamer.evaluate.evaluator import Evaluator

__all__ = ["Evaluator"]
