"""Right and wrong answers of base and tuned. Not in: how one answer is judged, which ``grading`` says."""
