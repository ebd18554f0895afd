"""The keyword lab: verdicts on hits, the golden set, versions of the keywords, and the effect of a change."""
