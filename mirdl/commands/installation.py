"""``mirdl doctor``."""


def doctor(options):
    """Check this installation, or mend its torchaudio."""
    from mirdl import doctor

    if options.mend:
        mended, line = doctor.mend()
        print(line)
        return 0 if mended else 1
    if options.unmend:
        print(doctor.unmend())
        return 0
    return doctor.report()
