"""keyturn: Cilium's transparent encryption in git."""

__version__ = "0.1.0"
