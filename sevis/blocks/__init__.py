"""The SE block, and how to look into the SE blocks of any model: it knows no network of ours."""

from sevis.blocks.block import GATES, SQUEEZES, DoubledSigmoid, SqueezeExcitation, average
from sevis.blocks.changes import Change
from sevis.blocks.hooks import capture, override
from sevis.blocks.record import Excitation, Record
from sevis.blocks.sites import Site, find_sites

__all__ = [
    "GATES",
    "SQUEEZES",
    "Change",
    "DoubledSigmoid",
    "Excitation",
    "Record",
    "Site",
    "SqueezeExcitation",
    "average",
    "capture",
    "find_sites",
    "override",
]
