"""What pytest and Hypothesis load of lowfare, in every run, also where nothing is tested that uses it.

So these modules are a package of their own: `router` is imported only where something of lowfare's is asked for, which
costs other projects nothing, and a `router.py` of their own is in nobody's way.
"""
