"""``NeuronCounter``: spikes and membrane updates of one population, streaming."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.activity import _counters as kernel
from tospike.activity.profile import NeuronActivity, Signal
from tospike.errors import StatisticError

#: models whose output is the membrane potential: they never fire
SILENT = frozenset({"i", "li", "cuba_li"})


class NeuronCounter:
    """Counts the outputs of one population; :meth:`end_batch` closes a batch.

    ``path`` and ``cls`` name it in errors; ``fires`` False for neurons whose output is their
    potential. Memory depends neither on samples nor on time steps.
    """

    def __init__(
        self, path: str, model: str, cls: str, signal: Signal, *, fires: bool = True
    ) -> None:
        self.path = path
        self.model = model
        self.cls = cls
        self.signal = signal
        self.fires = fires and model not in SILENT
        self.n_samples = 0
        self.n_events = 0
        self.n_values = 0
        self.n_steps = 0
        self._steps = 0

    def update(self, x: NDArray[Any], *, n_values: int, steps: int) -> None:
        """The output of one call, all samples of the batch.

        ``n_values``: neurons times steps times samples of the call, which differs from the size
        of ``x`` where the output is a summary over time. Raises :class:`StatisticError` for NaN
        and infinity, and for values other than 0 and 1 where spikes are declared.
        """
        self.n_values += n_values
        self._steps += steps
        if not self.fires:
            return
        flat = np.ascontiguousarray(x).reshape(-1)
        flat = flat.view(np.uint8) if flat.dtype == np.bool_ else flat
        events, flags = kernel.count_events(flat)
        self.n_events += int(events)
        if flags & kernel.NON_FINITE or (self.signal == "spike" and flags & kernel.NOT_BINARY):
            self._refuse(flat)

    def end_batch(self, n_samples: int) -> None:
        """Close the batch."""
        self.n_samples += n_samples
        self.n_steps += self._steps * n_samples
        self._steps = 0

    def result(self) -> NeuronActivity | None:
        """The means per inference; None for neurons that were never called."""
        if not self.n_samples or not self.n_steps:
            return None
        return NeuronActivity(
            model=self.model,
            cls=self.cls,
            signal=self.signal,
            n_samples=self.n_samples,
            n_neurons=self.n_values / self.n_steps,
            n_timesteps=self.n_steps / self.n_samples,
            spikes=self.n_events / self.n_samples if self.fires else None,
            updates=self.n_values / self.n_samples,
        )

    def _refuse(self, flat: NDArray[Any]) -> None:
        finite = np.isfinite(flat)
        wrong = ~finite if not finite.all() else (flat != 0) & (flat != 1)
        value = flat[int(np.argmax(wrong))]
        raise StatisticError(
            "measure the spikes",
            received=(
                f"a value other than 0 and 1 in a signal declared as spikes: {value!s}"
                if np.isfinite(value)
                else f"NaN or infinity: {value!s}"
            ),
            where=f"output of the neurons {self.path!r} ({self.cls})",
            allowed="only 0 and 1" if np.isfinite(value) else "finite values",
            fix=(
                "declare the class as graded: SPIKING_MODULES[<class>] = 'analog'"
                if np.isfinite(value)
                else "check the data and the weights for NaN and overflow"
            ),
        )
