"""Power spectrum of the velocities, summed up while a trajectory runs."""

from collections.abc import Mapping

import numpy as np

WINDOW = 2048  # samples that are transformed at once
SAMPLE = 2.5  # fs between samples at most: up to 6,600 1/cm, which no vibration of a molecule has
LARGEST = 2**25  # bytes of the samples that wait: of many replicas, the first ones are sampled
LIGHT = 2.99792458e-5  # cm/fs


class VelocitySpectrum:
    """Sum over atoms of mass * |Fourier transform of the velocity|^2, which is the transform of the velocities'
    autocorrelation (Wiener and Khinchin), over windows of 2048 samples under Hann's weights.

    timestep, fs; masses (N,), u; replicas: how many copies there are, of which `sampled` are looked at."""

    def __init__(self, timestep: float, masses: np.ndarray, replicas: int) -> None:
        self.every = max(1, int(SAMPLE / timestep + 1e-9))
        self.sampled = max(1, min(replicas, LARGEST // (WINDOW * len(masses) * 12)))
        self._spacing, self._masses = self.every * timestep, masses
        self._samples = np.zeros((WINDOW, self.sampled, len(masses), 3), dtype=np.float32)
        self._filled, self._windows, self._total = 0, 0, np.zeros(WINDOW // 2 + 1)

    def add(self, velocities: np.ndarray) -> None:
        """The next sample, velocities (K, N, 3) in any unit: `every` steps after the last."""
        self._samples[self._filled] = velocities[: self.sampled]
        self._filled += 1
        if self._filled == WINDOW:
            self._total += self._power()
            self._windows, self._filled = self._windows + 1, 0

    def _power(self) -> np.ndarray:
        weights = np.hanning(self._filled)[:, None, None, None]
        found = np.fft.rfft(weights * self._samples[: self._filled], WINDOW, axis=0)
        return np.einsum("fkni,n->f", np.abs(found) ** 2, self._masses)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Wavenumbers (F,), 1/cm, and the spectrum (F,), its largest value 1; both empty of less than 16 samples.  Of a
        run too short for one window what there is is transformed, which shows broader lines."""
        total = self._total if self._windows or self._filled < 16 else self._power()
        if not total.max() > 0:
            return np.zeros(0), np.zeros(0)
        return np.fft.rfftfreq(WINDOW, self._spacing * LIGHT), total / total.max()

    def arrays(self) -> dict[str, np.ndarray]:
        """What a restart keeps."""
        counts = np.array([self._filled, self._windows])
        return {"samples": self._samples[: self._filled], "total": self._total, "counts": counts}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from `arrays()` of a run of the same settings."""
        self._filled, self._windows = map(int, arrays["counts"])
        self._samples[: self._filled] = arrays["samples"]
        self._total = np.array(arrays["total"])
