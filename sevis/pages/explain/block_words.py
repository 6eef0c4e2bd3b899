"""How one SE block computes its scales, in formulas and words that are true of the network on the page."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sevis.pages.shared.explanations import ready_model
from sevis.pages.shared.network import Network
from sevis.weights.card import Card

if TYPE_CHECKING:
    from torch import nn

    from sevis.blocks.sites import Site

OWN_GATES = {"sigmoid": "Sigmoid", "hardsigmoid": "Hardsigmoid", "tanh": "Tanh", "relu": "ReLU"}  # of sevis.blocks, by class
STRUT = r" \vphantom{\sum_{i,j}\frac{1}{H W}}"  # as high as eq. (2), so that the figures below stand in one line
UNREAD = "what lies between the projections, which cannot be read"
CUT = ("relu6", "hardtanh", "clamp", "clip")  # functions that a hard sigmoid ends in
OPEN = ("tanh", "relu", "doubledsigmoid", "logsigmoid")  # gates that leave 0..1


@dataclass(frozen=True)
class BlockForm:
    """What a block is made of: the classes of its layers.

    Attributes:
        gate: such as Sigmoid.
        activation: of the hidden layer, such as ReLU; None where there is none, UNREAD where it is not known.
        norm: of the hidden layer, such as BatchNorm2d; None where there is none.
        bias: whether the two projections have biases.
        form: what becomes of the maps, as of a `Site`; there, s is what comes out of the gate. On the page s is the scale, which is what
            the maps are multiplied by in all.
    """

    gate: str
    activation: str | None = "ReLU"
    norm: str | None = None
    bias: bool = True
    form: str = "s * u"

    @property
    def factor(self) -> str:
        """Return the scale by what comes out of the gate, g: `g`, `1 + g`, `2 * g`."""
        whole = re.sub(r" \* [uv]$", "", self.form)
        return re.sub(r"\bs\b", "g", re.sub(r"\b[uv]\b", "1", re.sub(r" \* [uv]\b", "", whole)))

    @property
    def sigmoid(self) -> bool:
        """Return whether the gate is a sigmoid, a hard one or the other."""
        return "sigmoid" in self.gate.lower() and self.gate.lower() not in OPEN

    @property
    def bounded(self) -> bool:
        """Return whether s stays within 0..1."""
        return self.sigmoid and self.factor == "g"

    @property
    def hard(self) -> bool:
        """Return whether the gate is a hard sigmoid."""
        return self.sigmoid and "hard" in self.gate.lower()

    @property
    def scaling(self) -> str:
        """Return eq. (4), with the maps v where z is the mean of others."""
        maps = "v" if self.form.endswith("v") else "u"
        return rf"\tilde{{\mathbf{{x}}}}_c = s_c \cdot \mathbf{{{maps}}}_c \qquad (4)"

    @property
    def excitation(self) -> str:
        """Return eq. (3) for the hidden layer h; the biases, which the paper does not write, as well."""
        inner, outer = r"\mathbf{W}_2 \mathbf{h}" + (r" + \mathbf{b}_2" if self.bias else ""), r"\mathrm{gate}"
        if self.sigmoid:
            outer = r"\bar\sigma" if self.hard else r"\sigma"
        gated = f"{outer}({inner})"
        factor = self.factor.replace("g * g", "g^2").replace("g", gated).replace(" * ", r" \cdot ")
        return rf"\mathbf{{s}} = {factor}{STRUT} \qquad (3)"

    @property
    def hidden(self) -> str:
        """Return the hidden layer of eq. (3), as it is in this block."""
        inner = r"\mathbf{W}_1 \mathbf{z}" + (r" + \mathbf{b}_1" if self.bias else "")
        inner = rf"\mathrm{{norm}}({inner})" if self.norm else inner
        inner = rf"\delta({inner})" if self.activation else inner
        return rf"\mathbf{{h}} = {inner}{STRUT}"

    def describe_hidden(self, channels: int, units: int) -> str:
        """Return what h is, in words."""
        activation = "there is no activation"
        if self.activation:
            activation = (
                f"δ is {UNREAD}"
                if self.activation == UNREAD
                else "δ is the ReLU"
                if self.activation == "ReLU"
                else f"δ is {self.activation}; the paper uses the ReLU"
            )
        norm = f"; norm is {self.norm}, which the paper's block does not have" if self.norm else ""
        return f"{channels} channels are reduced to {units} units (r = {channels / units:.3g}); {activation}{norm}."

    def describe_gate(self) -> str:
        """Return what the gate is, in words."""
        gate = "σ is the sigmoid" if self.sigmoid else f"the gate is {self.gate}; the paper uses the sigmoid"
        if self.hard:
            gate = "σ̄ is the hard sigmoid: it consists of straight lines and reaches 0 and 1"
        if self.factor == "g":
            return gate
        given = re.sub(r"\bs\b", "g", self.form)
        return f"{gate}. With g for what comes out of the gate, the block gives {given}, so s is {self.factor}"

    def describe_order(self) -> str:
        """Return what it means to have the highest scale, in words."""
        if self.factor != "g":
            return f"the block multiplies a channel by {self.factor}, where g comes out of the gate"
        if self.hard:
            return "a hard sigmoid reaches 0 and 1, so the most open channels may pass whole and the most shut may be closed"
        if self.bounded:
            return "a sigmoid stays below 1, so “most open” means passed on nearly whole"
        if self.gate.lower() in CUT:
            return "the gate is cut off at both ends, so several channels may have the highest scale, and several the lowest"
        if self.gate.lower() not in OPEN:
            return f"nothing is known of the range of the gate ({self.gate}), so a scale may be above 1 or below 0"
        return f"{self.gate} is not limited to 0 to 1, so a scale may be above 1 or below 0"


def form_of(network: Network, card: Card, block: str) -> BlockForm:
    """Return the form of one block, without torch for a network that comes with sevis. Raises SevisError where the network cannot be
    had.
    """
    if network.shipped:
        gate, bias = card.architecture.gate or "sigmoid", card.architecture.bias
        return BlockForm(gate=OWN_GATES.get(gate, "Sigmoid"), bias=bias is None or bias)
    from sevis.blocks.sites import find_sites

    model = ready_model(network).model
    site = next(site for site in find_sites(model) if site.name == block)
    return _read_form(model.get_submodule(site.path), site)


def _read_form(block: "nn.Module", site: "Site") -> BlockForm:
    from sevis.networks.drawing import read_between

    between = read_between(block, site)
    norms = [kind for kind in between or () if "norm" in kind.lower()]
    others = [kind for kind in between or () if "norm" not in kind.lower()]
    activation = UNREAD if between is None else ", ".join(others) or None
    return BlockForm(site.gate, activation, norms[0] if norms else None, site.bias, site.form or "s * u")
