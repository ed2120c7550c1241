"""What a fit may vary, and the grids that it searches."""

from dataclasses import dataclass, field

from gossamer import kernels
from gossamer.devices import resolve_device
from gossamer.errors import UsageError
from gossamer.fitting.labels import Block, blocks_of
from gossamer.fitting.learning import LearningRule
from gossamer.fitting.solvers import StopRule

LENGTHS = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
NOISES = (
    1e-10,
    1e-9,
    1e-8,
    1e-7,
    1e-6,
    1e-5,
    1e-4,
    1e-3,
    1e-2,
)  # relative to the mean prior variance of a force component
START_LENGTH, START_NOISE = 20.0, 1e-5
ROUGH_KERNEL, SMOOTH_KERNEL = "matern52", "matern92"  # the first is sgdml's (docs/decisions/0014-kernels.md)
WORTH_A_STEP = 5e-3  # relative gain of the validation error without which a search does not go on


@dataclass(frozen=True)
class Settings:
    """What a fit may vary.

    length (1/Angstrom) None: searched on the validation set.  noise: variance added to labels of unit spread, as
    sgdml's lam; relative_noise: the same over the mean prior variance of a force component; both None: searched too."""

    length: float | None = None
    noise: float | None = None
    relative_noise: float | None = None
    energies: bool = False
    solver: str = "auto"
    memory: float | None = None  # GiB, of the device's memory
    seed: int = 0
    stop: StopRule = field(default_factory=StopRule)
    learning_steps: int = LearningRule.steps  # of pair weights; 0 leaves them at one
    device: str = "auto"  # cpu, cuda, or cuda where there is a card
    kernel: str | None = None  # of all terms, by name; None: ROUGH_KERNEL, SMOOTH_KERNEL in sums with many labels
    error_bars: bool = False  # whether the model tells how sure it is (fitting.error_bars)
    condense: bool = False  # whether few representatives stand for the rows of local terms (fitting.representatives)
    dipoles: bool | None = None  # whether the model has dipoles; None: where the training structures have them
    max_images: int | None = None  # permutations of the global term at most; None: IMAGES, more where pairs are few

    @property
    def noise_given(self) -> bool:
        return self.noise is not None or self.relative_noise is not None

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The labels that are fitted to."""
        return blocks_of(self.energies)

    def global_kernel(self, length: float) -> kernels.Kernel:
        """The kernel of a model that is one global term."""
        return kernels.make(self.kernel or ROUGH_KERNEL, length)

    def sum_kernel(self, smooth: bool) -> kernels.Kernel:
        """The kernel of the terms of a sum, with length 1; smooth: whether they are to be smooth if nobody asked."""
        return kernels.make(self.kernel or (SMOOTH_KERNEL if smooth else ROUGH_KERNEL), 1.0)

    def __post_init__(self) -> None:
        if self.learning_steps < 0:
            raise UsageError(
                f"learning_steps: {self.learning_steps} given; use 0 for none, {LearningRule.steps} is usual."
            )
        if self.max_images is not None and self.max_images < 1:
            raise UsageError(f"max_images: {self.max_images} given; at least 1 permutation, the identity, is needed.")
        if self.solver not in ("auto", "cholesky", "cg"):
            raise UsageError(f"solver: {self.solver!r} is not known; use auto, cholesky or cg.")
        if self.noise is not None and not 0 <= self.noise < float("inf"):
            raise UsageError(
                f"noise: {self.noise} given, but it is a variance and cannot be negative; 1e-10 is sgdml's."
            )
        if self.relative_noise is not None and not 0 <= self.relative_noise < float("inf"):
            raise UsageError(f"relative_noise: {self.relative_noise} given; it is a fraction and cannot be negative.")
        if self.memory is not None and not 0 < self.memory < float("inf"):
            raise UsageError(f"memory: {self.memory} given; it is the budget in GiB and must be positive and finite.")
        if self.length is not None:
            self.global_kernel(self.length)
        if self.kernel is not None:
            self.global_kernel(START_LENGTH)
        resolve_device(self.device)
