"""Where tensors live.  Numbers are float64, which TF32 does not touch (a large preconditioner may be float32, for which
torch leaves TF32 off unless the user turns it on); none of torch's global switches is set."""

from typing import TYPE_CHECKING

from gossamer.errors import UsageError

if TYPE_CHECKING:
    import torch

BLOCK_BYTES = 24 * 2**20  # temporaries of one block of rows; measured best between L2 and L3 size (benchmarks/)
CARD_SHARE, CARD_BLOCK_BYTES = 1 / 16, 2 * 2**30  # of a card's free memory, and at most, for the temporaries of a block


def resolve_device(name: str) -> "torch.device":
    """ "cpu", "cuda", "cuda:1", or "auto": CUDA where there is a card, else the CPU.

    Raises UsageError for any other name, and for a card that is not there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise UsageError(f"device: {name!r} is not known; use auto, cpu or cuda.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"device: {name!r} asked for, but torch {torch.__version__} finds no CUDA card; use cpu, or "
            "install a driver and a torch built for CUDA."
        )
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise UsageError(
            f"device: {name!r} asked for, but cards are counted from 0 and there are {torch.cuda.device_count()}; use "
            "a smaller number."
        )
    return torch.device(name)


def on_host(tensor: "torch.Tensor") -> bool:
    """Whether the compiled CPU loops may work on the tensor."""
    return tensor.device.type == "cpu"


def card_memory(device: "torch.device") -> tuple[float, float]:
    """Bytes of a CUDA device that nobody uses, those that torch keeps in reserve included, and its bytes in all."""
    import torch

    free, total = torch.cuda.mem_get_info(device)
    return float(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)), float(total)


def block_bytes(device: "torch.device") -> float:
    """How large the temporaries of one block should be: within the caches of a CPU; on a card large enough for its
    matrix products to run at full speed, and a small part of what is free."""
    if device.type != "cuda":
        return BLOCK_BYTES
    return min(CARD_BLOCK_BYTES, CARD_SHARE * card_memory(device)[0])
