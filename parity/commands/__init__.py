"""The commands of ``python -m parity``, one file each: ``add(subparsers)`` and ``execute(options) -> exit status``."""
