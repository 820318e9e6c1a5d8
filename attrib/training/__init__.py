"""LoRA and QLoRA tuning. In: items, schedule, checkpoints, trainer. Not in: how influence reads them (``index``)."""
