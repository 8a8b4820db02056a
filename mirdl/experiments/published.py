"""Published checkpoints on real music: FCN, CRNN and musicnn on Emotify's MagnaTagATune tags."""

from dataclasses import replace

from mirdl import paths, published
from mirdl.evaluation import SharedTags, evaluate
from mirdl.experiments.plan import Run

#: Tags with fewer positive tracks say too little.
MIN_POSITIVES = 5
#: Core-minutes of each.
MINUTES = {"fcn": 1, "crnn": 1.5, "musicnn": 2}


def checkpoint(seed, settings, name="fcn"):
    """Score a published checkpoint on Emotify's tracks that MagnaTagATune labels.

    Nothing is trained: all tracks are heard, as float audio, as the checkpoint was trained, not
    as a pack of 16 bits. Windows of its own length, one after the other and one flush with the
    end, are averaged by track. The labels are weak, of other parts of the song, and some of
    these songs were in the training set with other parts.

    Returns
    -------
    Evaluation
    """
    network = SharedTags(
        published.load(name, weights(name)), frequent(settings.dataset("mtt_tags"))
    )
    return evaluate(network, network.dataset)


def weights(name):
    """Return the checkpoint that lies beside Emotify; None lets `published.load` find it."""
    shared = paths.shared_folder()
    path = shared and shared / "published_weights" / f"{name}.pth"
    return path if path and path.is_file() else None


def frequent(dataset):
    """Return a data set with those of its tags that `MIN_POSITIVES` clips carry."""
    enough = dataset.targets.sum(axis=0) >= MIN_POSITIVES
    tags = [tag for tag, keep in zip(dataset.tags, enough, strict=True) if keep]
    return replace(dataset, tags=tags, targets=dataset.targets[:, enough])


RUNS = [
    Run(
        "published_on_emotify",
        name,
        checkpoint,
        minutes=minutes,
        dataset="emotify",
        target="mtt_tags",
        split="all tracks",
        options={"name": name},
    )
    for name, minutes in MINUTES.items()
]
