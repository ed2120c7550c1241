"""What to look for in each picture, in one sentence, and what is read out in its place."""

from collections.abc import Mapping
from typing import TypeAlias

Captions: TypeAlias = Mapping[str, tuple[str, str]]

CAPTIONS: Captions = {
    "rmse": (
        "Look for how far left the blue curve stays flat; the ring marks the model that was taken.",
        "Force RMSE against the number of kept pairs for each way of choosing them",
    ),
    "mae": (
        "The same models by mean absolute error, which large single errors sway less; it should tell the same story.",
        "Force MAE against the number of kept pairs for each way of choosing them",
    ),
    "choice": (
        "A close-up of where the choice was made, on validation structures: "
        "the ring should sit on the fewest pairs below the dashed line.",
        "Validation force RMSE against the number of pairs, close to the limit",
    ),
    "cost": (
        "Fewer pairs should cost less time; this is the training of each reduced model on this machine.",
        "Training time against the number of pairs",
    ),
    "web": (
        "Look for threads that span the molecule: these are the non-local pairs the forces depend on; "
        "dropped pairs are not drawn.",
        "The molecule with its kept pairs as threads",
    ),
    "web-near": (
        "Look for strong threads between atoms that are not bonded; dropped pairs are not drawn.",
        "The molecule with its kept pairs as threads",
    ),
    "web-terms": (
        "Threads in the colours of the scale are pairs that no local term sees: look for those that span the "
        "molecule. The thin green ones are the local pairs, which every model keeps; dropped pairs are not drawn.",
        "The molecule with its pairs as threads, the local ones apart from the kept non-local ones",
    ),
    "forces-bars": (
        "Each dot is a tenth of the force components, by rising standard deviation: on the line errors are as large as "
        "the model says, in the shade within 20 % of that.",
        "Root mean square error of forces against the standard deviation that the model gives",
    ),
    "energies-bars": (
        "The same for energies, of which there are few, so that dots scatter.",
        "Root mean square error of energies against the standard deviation that the model gives",
    ),
    "molecule": (
        "Click an atom for its force error; colour the atoms by error to see where the model is weakest.",
        "The molecule, balls and sticks",
    ),
    "relevance": (
        "Each dot is a pair; look for blue dots right of the dashed 5 Å line, "
        "which a distance cut-off would have thrown away.",
        "Relevance score of each pair against its mean distance, kept and dropped",
    ),
    "relevance-near": (
        "Each dot is a pair, all of them shorter than 5 Å; look for grey dots left of blue ones, "
        "where distance alone would have misled.",
        "Relevance score of each pair against its mean distance, kept and dropped",
    ),
    "relevance-terms": (
        "Each dot is a pair, by its relevance outside the local terms; green pairs stay in any case, since local "
        "terms see them. Look for blue dots far to the right, the non-local pairs that were kept.",
        "Relevance score of each pair against its mean distance: local, kept and dropped",
    ),
    "distances": (
        "How much of each distance range survives: look for how far out pairs are still kept.",
        "Histogram of all and of kept pairs by distance",
    ),
    "weights": (
        "Learning begins with every weight at one: pairs above the dashed line count more in their term than they did, "
        "pairs below it less. Pairs on a line share a weight.",
        "Learned weight of the pairs against their mean distance, local and global terms apart",
    ),
    "kinds": (
        "Each kind of terms was fitted to the same part of the training data and judged on the validation structures; "
        "a sum without a global term, the cheapest, is taken where it ends left of the dashed line.",
        "Validation force RMSE of the kinds of terms that were tried",
    ),
    "kinds-sum": (
        "Each kind of terms was fitted to the same part of the training data and judged on the validation structures; "
        "local terms alone are tried among the reduced models.",
        "Validation force RMSE of the kinds of terms that were tried",
    ),
    "learning": (
        "Every step fits some structures and judges others, drawn anew, so single steps scatter; "
        "the line should have come to rest.",
        "Force RMSE on held-out structures against the step of learning",
    ),
    "forces-full": (
        "Predicted against reference forces, stronger colour where there are more; all should lie on the line.",
        "Predicted against reference forces of the full model",
    ),
    "forces-chosen": (
        "The same forces from the reduced model: it should look like its neighbour.",
        "Predicted against reference forces of the reduced model",
    ),
    "forces-errors": (
        "Errors of the force components should be narrow and centred on zero.",
        "Distribution of the force errors",
    ),
    "energies-full": (
        "Predicted against reference energies, counted from the mean; a slope other than one shows a missing effect.",
        "Predicted against reference energies of the full model",
    ),
    "energies-chosen": (
        "The same energies from the reduced model: it should look like its neighbour.",
        "Predicted against reference energies of the reduced model",
    ),
    "energies-errors": (
        "A distribution that is not centred on zero is a shifted constant and harms no forces.",
        "Distribution of the energy errors",
    ),
    "per-atom": (
        "Look for atoms far above the dashed mean: the model knows their surroundings least.",
        "Force MAE of each atom",
    ),
    "atom-map": (
        "The same errors on the molecule, strong colour for a large error: look for groups that stand out together.",
        "The molecule with its atoms coloured by force MAE",
    ),
    "convergence": (
        "The error on validation structures should be level long before the solver's residual stops falling.",
        "Residual and validation error against the iteration",
    ),
    "lengths": (
        "The length scale that was taken should lie in a valley, not at an end of the range that was searched.",
        "Validation error against the length scale of the kernel",
    ),
}
