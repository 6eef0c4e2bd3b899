"""What SE blocks are called: SE_stage_block, as in the paper."""

import re
from collections.abc import Mapping

from torch import nn


def name_block(modules: Mapping[str, nn.Module], path: str, stages: dict[str, int]) -> str:
    """Return SE_stage_block for a path such as layer3.5.se; `stages` remembers the numbers of the stages met so far."""
    block = _residual_block(modules, path)
    stage, _, key = block.rpartition(".")
    if stage not in stages:
        unnumbered = [met for met in stages if not _stage_number(modules, met)]
        stages[stage] = _stage_number(modules, stage) or len(unnumbered) + 2
    position = list(modules[stage]._modules).index(key) if key else 0
    return f"SE_{stages[stage]}_{position + 1}"


def _stage_number(modules: Mapping[str, nn.Module], path: str) -> int:
    """Return the number of the stage that the nearest numbered module on the path stands for; 0 where there is none."""
    keys = path.split(".")
    for end in range(len(keys), 0, -1):
        key = keys[end - 1]
        if layer := re.fullmatch(r"layer([1-9]\d*)", key):
            return int(layer[1]) + 1
        if key == "stem":
            return 1
        if _is_number(key):
            siblings = modules[".".join(keys[: end - 1])]._modules
            return 2 + [name for name, child in siblings.items() if type(child) is type(siblings[key])].index(key)
    return 0


def _residual_block(modules: Mapping[str, nn.Module], path: str) -> str:
    """Return the path of the numbered module that holds an SE block, or of the block itself where it stands in a plain sequence."""
    keys = path.split(".")
    for end in range(len(keys) - 1, 0, -1):
        ancestor = ".".join(keys[:end])
        if _is_number(keys[end - 1]) and type(modules[ancestor]) not in (nn.Sequential, nn.ModuleList):
            return ancestor
    return path


def _is_number(key: str) -> bool:
    """Return whether a module's name ends in a number, as those of stages and blocks do."""
    return key[-1:].isdigit()
