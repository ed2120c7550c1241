"""Pair reduction with a network of your own.

    python examples/own_module.py ethanol.npz 200

Any torch module will do that takes inputs (B, P), one for every pair of atoms that is kept, to one number a structure,
(B,).  Gossamer standardises the inverse distances, averages over exchanges of like atoms, trains on forces, finds the
pairs that the module can do without, and trains it anew on the others.  docs/families.md"""

import sys

import torch
from torch import nn

import gossamer as gs


class Residual(nn.Module):
    """Blocks that each add to what came before, with a sum of squares beside them."""

    def __init__(self, n_inputs: int, width: int = 64, blocks: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(n_inputs, width)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(width, width), nn.SiLU()) for _ in range(blocks))
        self.last = nn.Linear(width, 1)
        self.squares = nn.Linear(n_inputs, 1, bias=False)
        nn.init.zeros_(self.squares.weight)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        h = self.first(0.3 * z)
        for block in self.blocks:
            h = h + block(h)
        return (self.last(h) + self.squares(z * z))[:, 0]


def residual(n_inputs: int) -> nn.Module:
    return Residual(n_inputs)


def main(path: str, n_train: int, epochs: int = 100) -> None:
    train, valid, test = gs.read(path).split(n_train, n_train // 3, n_train // 3, seed=0)
    found = gs.reduce(train, valid, test, family=gs.Network(module=residual, epochs=epochs), tolerance=0.1)
    full, kept = found.record.full, found.record.chosen
    for name, model in (("all pairs", full), ("those kept", kept)):
        print(f"{name}: {model.pairs}, {model.parameters:,} parameters, force MAE {1e3 * model.force_mae:.1f} meV/A")
    found.model.save("own.gossamer")
    again = gs.load_network("own.gossamer", module=residual)
    print("forces from the file differ by", abs(again.predict(test).forces - found.model.predict(test).forces).max())


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
