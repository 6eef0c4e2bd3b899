"""How one SE block computes its scales, in formulas and words that are true of the network on the page."""

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
PASSIVE = ("Pool", "Identity", "Dropout")  # what leaves the hidden layer as it is


@dataclass(frozen=True)
class BlockForm:
    """What a block is made of: the classes of its layers.

    Attributes:
        gate: such as Sigmoid.
        activation: of the hidden layer, such as ReLU; None where there is none.
        norm: of the hidden layer, such as BatchNorm2d; None where there is none.
        bias: whether the two projections have biases.
    """

    gate: str
    activation: str | None = "ReLU"
    norm: str | None = None
    bias: bool = True

    @property
    def bounded(self) -> bool:
        """Return whether s stays within 0..1."""
        return "sigmoid" in self.gate.lower()

    @property
    def hard(self) -> bool:
        """Return whether the gate is a hard sigmoid."""
        return self.bounded and "hard" in self.gate.lower()

    @property
    def excitation(self) -> str:
        """Return eq. (3) for the hidden layer h; the biases, which the paper does not write, as well."""
        inner, outer = r"\mathbf{W}_2 \mathbf{h}" + (r" + \mathbf{b}_2" if self.bias else ""), r"\mathrm{gate}"
        if self.bounded:
            outer = r"\bar\sigma" if self.hard else r"\sigma"
        return rf"\mathbf{{s}} = {outer}({inner}){STRUT} \qquad (3)"

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
            activation = "δ is the ReLU" if self.activation == "ReLU" else f"δ is {self.activation}; the paper uses the ReLU"
        norm = f"; norm is {self.norm}, which the paper's block does not have" if self.norm else ""
        return f"{channels} channels are reduced to {units} units (r = {channels / units:.3g}); {activation}{norm}."

    def describe_gate(self) -> str:
        """Return what the gate is, in words."""
        if self.hard:
            return "σ̄ is the hard sigmoid: it consists of straight lines and reaches 0 and 1"
        return "σ is the sigmoid" if self.bounded else f"the gate is {self.gate}; the paper uses the sigmoid"

    def describe_order(self) -> str:
        """Return what it means to have the highest scale, in words."""
        if self.hard:
            return "a hard sigmoid reaches 0 and 1, so the most open channels may pass whole and the most shut may be closed"
        if self.bounded:
            return "a sigmoid stays below 1, so “most open” means passed on nearly whole"
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
    leaves = {path: type(layer).__name__ for path, layer in block.named_modules() if path and not any(True for _ in layer.children())}
    between = [kind for path, kind in leaves.items() if path not in site.parts and not any(word in kind for word in PASSIVE)]
    norms = [kind for kind in between if "Norm" in kind]
    others = [kind for kind in between if "Norm" not in kind]
    return BlockForm(site.gate, activation=others[0] if others else None, norm=norms[0] if norms else None, bias=site.bias)
