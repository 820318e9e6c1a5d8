"""Attribution scores checked by ablation. Not in: the methods themselves, which stand in ``attrib.attribution``."""
