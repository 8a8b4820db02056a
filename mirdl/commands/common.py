"""What several subcommands share: the data set that the options name."""


def load_dataset(options, sample_rate=16000):
    """Load the data set that the command line names."""
    from mirdl import datasets

    given = dict(options.load or [])
    for name in ("fold", "n_folds"):
        if getattr(options, name, None) is not None:
            given[name] = getattr(options, name)
    return datasets.load(
        options.dataset,
        target=options.target,
        split=options.split,
        root=options.root,
        sample_rate=sample_rate,
        **given,
    )
