"""Documents, base or neither. In: evidence, calibration, judging, vocabulary. Not in: how scores are computed."""
