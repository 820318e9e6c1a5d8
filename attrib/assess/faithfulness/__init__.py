"""Attribution scores checked by ablation."""
