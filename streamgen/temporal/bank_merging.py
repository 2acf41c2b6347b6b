"""Two frames' features made into as many as one has, alike ones into their mean; no random numbers.

As StreamV2V merges its bank (arXiv 2405.15757, after Bolya et al. 2022, arXiv 2210.09461), which
picks at random what is merged into what. Here tokens take turns.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import normalize

#: A letter for each thing that is kept of a self-attention: "k", "v", and "o" of those fused.
Features = Mapping[str, Tensor]


def merged(old: Features, new: Features, *, turn: int) -> dict[str, Tensor]:
    """Return N tokens of old and new, [N, D] each by the letters k, v and o.

    Every other token stays where it is, of the old ones as many as of the new; each of the others
    goes into the one whose key is likest its own, which becomes the mean of what came there. All
    letters are merged alike. turn: counts the mergings, so that each token goes in its turn.
    """
    count = len(new["k"])
    stays_old = (torch.arange(count, device=new["k"].device) + turn) % 2 == 0
    mask = stays_old[:, None]
    staying = {part: torch.where(mask, old[part], new[part]) for part in new}
    going = {part: torch.where(mask, new[part], old[part]) for part in new}
    likest = (normalize(going["k"], dim=1) @ normalize(staying["k"], dim=1).T).argmax(dim=1)
    # A product, as sums by index have no fixed order on a GPU.
    goes_to = torch.zeros(count, count, device=likest.device, dtype=new["k"].dtype)
    goes_to[likest, torch.arange(count, device=likest.device)] = 1.0
    shares = 1 + goes_to.sum(dim=1, keepdim=True)
    return {part: (staying[part] + goes_to @ going[part]) / shares for part in new}
