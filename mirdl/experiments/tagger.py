"""The committed tagger of `mirdl tag`: what it is worth, on the data it knows and on real music."""

from mirdl import models, paths
from mirdl.datasets.pack import pack
from mirdl.evaluation import SharedTags, evaluate
from mirdl.experiments.plan import Run


def tagger(seed, settings):
    """Score the committed tagger on the tags that it shares with a data set.

    On the embedded data these are the test clips; on Emotify all tracks that MagnaTagATune
    labels, since nothing was trained on them. Emotify's labels are weak: they come from other
    parts of a song.

    Returns
    -------
    Evaluation
    """
    dataset = settings.dataset()
    part = dataset.subset("test") if settings.dataset_name == "minitag" else dataset
    network = SharedTags(models.load(paths.TAGGER), part)
    return evaluate(network, network.dataset, audio=pack(part, progress=False))


RUNS = [
    Run("tagger", "fcn", tagger, minutes=2),
    Run("tagger_on_real_music", "tagger", tagger, dataset="emotify", target="mtt_tags", minutes=3),
]
