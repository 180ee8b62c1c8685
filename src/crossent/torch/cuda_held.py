"""Logits of all rows held on a GPU from the forward to the backward pass, by the library's product.

They are kept in the dtype of the sums, so that the gradient is rounded once, whatever comes from
above and whatever the options.
"""

from dataclasses import dataclass

from crossent.errors import InputError
from crossent.torch.cuda import (
    GradientWriter,
    LibraryEngine,
    logits_made,
    rows_of,
    statistics_read,
)
from crossent.torch.cuda_blocks import Cut, held_bytes, held_cut
from crossent.torch.cuda_numbers import sizes_for
from crossent.torch.engine import (
    Coefficients,
    Gradients,
    Needs,
    Questions,
    RowLogits,
    Statistics,
)
from crossent.torch.gradient_tiles import coefficients_of_rows

__all__ = ["HELD_ENGINE", "CudaHeld", "HeldEngine"]

_EVERY = slice(None)


@dataclass(frozen=True)
class CudaHeld:
    """The logits of all rows; see `crossent.torch.engine.Held`.

    Attributes
    ----------
    logits : RowLogits
        As they come about.
    made : RowLogits
        X Wᵀ, as given logits.
    cut : Cut
        Blocks of rows for their gradient.
    """

    logits: RowLogits
    made: RowLogits
    cut: Cut

    def gradients(self, coefficients: Coefficients, needs: Needs) -> Gradients:
        """Two products; the logits stay as they are."""
        writer = GradientWriter(self.logits, needs, self.cut)
        for part in writer.parts:
            own = coefficients_of_rows(coefficients, part)
            writer.write(rows_of(self.made, part), own, part)
        return writer.sums.finished()


class HeldEngine(LibraryEngine):
    """The library's engine, as a `HoldingEngine`."""

    def statistics_and_held(
        self, logits: RowLogits, questions: Questions, budget: int | None
    ) -> tuple[Statistics, CudaHeld]:
        """One product and one pass.

        Raises
        ------
        InputError
            If the logits of all rows do not fit the budget.
        """
        sizes = sizes_for(logits, questions)
        cut = held_cut(sizes, budget)
        if cut is None:
            message = (
                f"`max_workspace_bytes` is {budget}; to hold the logits takes {held_bytes(sizes)} "
                "bytes, and more to make a gradient of them."
            )
            raise InputError(message)
        made = logits_made(logits, _EVERY)
        return statistics_read(made, questions, _EVERY), CudaHeld(logits, made, cut)


HELD_ENGINE = HeldEngine()
