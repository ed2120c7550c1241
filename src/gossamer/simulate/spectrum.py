"""Spectra summed up while a trajectory runs: power spectrum of the velocities, infrared spectrum of the dipole."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from gossamer.backends.choice import of_dipoles
from gossamer.model.dipoles import DipoleModel

WINDOW = 2048  # samples that are transformed at once
SAMPLE = 2.5  # fs between samples at most: up to 6,600 1/cm, which no vibration of a molecule has
LARGEST = 2**25  # bytes of the samples that wait: of many replicas, the first ones are sampled
LIGHT = 2.99792458e-5  # cm/fs
TOGETHER = 64  # samples whose dipoles are worked out in one batch


def sampled_every(timestep: float) -> int:
    """Steps of `timestep`, fs, between samples."""
    return max(1, int(SAMPLE / timestep + 1e-9))


def sampled_of(replicas: int, n_atoms: int) -> int:
    """How many of the replicas are looked at."""
    return max(1, min(replicas, LARGEST // (WINDOW * n_atoms * 12)))


def wavenumbers_of(timestep: float) -> np.ndarray:
    """Wavenumbers (F,), 1/cm, of spectra of steps of `timestep`, fs."""
    return np.fft.rfftfreq(WINDOW, sampled_every(timestep) * timestep * LIGHT)


class VelocitySpectrum:
    """Sum over atoms of mass * |Fourier transform of the velocity|^2, which is the transform of the velocities'
    autocorrelation (Wiener and Khinchin), over windows of 2048 samples under Hann's weights.

    timestep, fs; masses (N,), u; replicas: how many copies there are, of which `sampled` are looked at."""

    def __init__(self, timestep: float, masses: np.ndarray, replicas: int) -> None:
        self.every = sampled_every(timestep)
        self.sampled = sampled_of(replicas, len(masses))
        self._timestep, self._masses = timestep, masses
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
        return wavenumbers_of(self._timestep), total / total.max()

    def arrays(self) -> dict[str, np.ndarray]:
        """What a restart keeps."""
        counts = np.array([self._filled, self._windows])
        return {"samples": self._samples[: self._filled], "total": self._total, "counts": counts}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from `arrays()` of a run of the same settings."""
        self._filled, self._windows = map(int, arrays["counts"])
        self._samples[: self._filled] = arrays["samples"]
        self._total = np.array(arrays["total"])


class InfraredSpectrum:
    """Infrared absorption of one molecule by the dipole mu about its centre of mass,

        A(nu) = N_A / (6 epsilon_0 c kT) * integral of <mu'(0) . mu'(t)> exp(-2 pi i c nu t) dt,   mu' = d mu / dt,

    over all t, km/mol in an interval of 1 1/cm: linear response, with the factor by which classical harmonic
    oscillators absorb as quantum ones do (D. A. McQuarrie, Statistical Mechanics, chapter 21; R. Ramirez et al.,
    J. Chem. Phys. 121, 3973 (2004)).  The area of the band of a normal mode is its intensity then,
    N_A / (12 epsilon_0 c^2) |d mu / dQ|^2.

    The integral is |Fourier transform of mu'|^2 over windows of 2048 samples under Hann's weights (Wiener and
    Khinchin).  mu' is the difference of two samples, whose transform is that of mu' times sin(x) / x, x = pi c nu *
    spacing, and is divided by it.  kT is twice the mean kinetic energy by the degrees of freedom.

    dipoles: of the molecule; timestep, fs; replicas: how many copies there are, of which `sampled` are looked at."""

    def __init__(self, dipoles: DipoleModel, timestep: float, replicas: int) -> None:
        n = len(dipoles.numbers)
        self.sampled = sampled_of(replicas, n)
        self._dipoles, self._timestep = of_dipoles(replace(dipoles, charge=0)), timestep
        self._positions, self._waiting = np.zeros((TOGETHER, self.sampled, n, 3)), 0
        self._found, self._filled = np.zeros((WINDOW + 1, self.sampled, 3)), 0  # the first ends the window before
        self._windows, self._total = 0, np.zeros(WINDOW // 2 + 1)
        self._heat, self._samples = 0.0, 0

    def add(self, positions: np.ndarray, heats: np.ndarray) -> None:
        """The next sample: positions (K, N, 3), Angstrom, and kT of the kinetic energies (K,), eV."""
        self._positions[self._waiting] = positions[: self.sampled]
        self._waiting += 1
        self._heat, self._samples = self._heat + float(heats[: self.sampled].mean()), self._samples + 1
        if self._waiting == TOGETHER:
            self._take()

    def _take(self) -> None:
        """Work out the dipoles that wait, and transform every window that they fill."""
        for dipole in self._waiting_dipoles():
            self._found[self._filled] = dipole
            self._filled += 1
            if self._filled == WINDOW + 1:
                self._total += self._power(self._found)
                self._found[0], self._filled, self._windows = dipole, 1, self._windows + 1
        self._waiting = 0

    def _waiting_dipoles(self) -> np.ndarray:
        """(W, sampled, 3), e*Angstrom."""
        waiting = self._positions[: self._waiting]
        return self._dipoles(waiting.reshape(-1, *waiting.shape[2:])).reshape(*waiting.shape[:2], 3)

    def _power(self, dipoles: np.ndarray) -> np.ndarray:
        """Mean over replicas of the integral (F,), e^2 Angstrom^2 / fs, of dipoles (W, sampled, 3)."""
        spacing = sampled_every(self._timestep) * self._timestep
        slopes = np.diff(dipoles, axis=0) / spacing
        weights = np.hanning(len(slopes))
        found = np.fft.rfft(weights[:, None, None] * slopes, WINDOW, axis=0)
        power = (np.abs(found) ** 2).sum(axis=2).mean(axis=1) * spacing / (weights**2).sum()
        return power / np.sinc(np.fft.rfftfreq(WINDOW)) ** 2

    def result(self) -> np.ndarray:
        """A (F,) at `wavenumbers_of` the time step; empty of less than 17 samples.  Of a run too short for one window
        what there is is transformed, which shows broader bands."""
        from ase import units

        total, windows = self._total, self._windows
        if not windows:
            short = np.concatenate([self._found[: self._filled], self._waiting_dipoles()])
            if len(short) < 17:
                return np.zeros(0)
            total, windows = self._power(short), 1
        heat = self._heat / self._samples
        per_wave = units._Nav * units._e * 1e-5 / (6 * units._eps0 * units._c * heat)  # m^2/mol, of e^2 Angstrom^2 / fs
        return 0.1 * per_wave * total / windows  # 1 m^2/mol is 0.1 km/mol in 1 1/cm

    def arrays(self) -> dict[str, np.ndarray]:
        """What a restart keeps."""
        counts = np.array([self._waiting, self._filled, self._windows, self._samples])
        return {"positions": self._positions[: self._waiting], "dipoles": self._found[: self._filled],
                "total": self._total, "heat": np.array(self._heat), "counts": counts}  # fmt: skip

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from `arrays()` of a run of the same settings."""
        self._waiting, self._filled, self._windows, self._samples = map(int, arrays["counts"])
        self._positions[: self._waiting] = arrays["positions"]
        self._found[: self._filled] = arrays["dipoles"]
        self._total, self._heat = np.array(arrays["total"]), float(arrays["heat"])
