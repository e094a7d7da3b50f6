"""A trained pipeline behind HTTP: a page, `/annotate`, and the ML backend protocol of Label Studio.

The modules need the extra `serve`, so only the command `serve` imports them, when it is called.
"""
