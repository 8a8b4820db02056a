"""``mirdl ledger``."""


def ledger(options):
    """Write every claim with its verdict and every system with its score, from results/ alone."""
    from mirdl.experiments import ledger

    print(ledger.counts().to_string())
    for path in ledger.export(options.folder):
        print(path)
