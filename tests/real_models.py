"""Which models tests ask with trained weights: all that packages hold and a task understands."""

FETCHED = ("ocr", "LAC_2.1")
"""Installed before the first test that needs real models; with what they are made of."""

ASKED = (
    "mobilenet_v2_torchvision",
    "efficientnet_lite0",
    "page_orientation",
    "ssd_mobilenet_v1_face",
    "picodet_layout_cdla",
    "selfie_segmentation",
    "all-MiniLM-L6-v2",
    "slanet_plus",
)
"""Installed by the tests that ask them, in tests/models/."""
